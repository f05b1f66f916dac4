"""What a submit may carry: its own fields, a whole task of an ollama-queue client, and no other."""

from __future__ import annotations

import json

import msgspec
import pytest

from oq.rules.validation import check, decode_batch, decode_submission
from oq.words.errors import InvalidBatch, InvalidTask
from tests.support.builders import LIMITS
from tests.support.http import GENERATE, api

GO_TASK = {
    "id": "", "type": "chat", "priority": 10, "status": "pending", "model": "llama2",
    "payload": {"messages": [{"role": "user", "content": "hi"}], "stream": True}, "options": None,
    "created_at": "2025-01-02T03:04:05.123456789+08:00", "retry_count": 0, "max_retries": 3,
}  # fmt: skip
"""What ollama-queue's Go client sends: a task as its struct is encoded."""


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("priorty", "priority"), ("max_retrys", "max_retries"), ("Model", "model"),
        ("metdata", "metadata"), ("runat", "run_at"), ("time_out", "timeout"),
        ("idempotency-key", "idempotency_key"), ("pay load", "payload"),
    ],
)  # fmt: skip
def test_a_field_that_there_is_not_is_refused_with_the_one_that_is_meant(field, meant):
    with pytest.raises(InvalidTask) as raised:
        decode_submission(as_json({**GENERATE, field: 1}))
    assert str(raised.value) == f"unknown field {field!r}; did you mean {meant!r}?"


@pytest.mark.parametrize("field", ["zzz", "", "x" * 10_000, "\n", "`", "`` - at `$.model`"])
def test_a_field_that_is_like_none_is_named_shortly(field):
    with pytest.raises(InvalidTask, match="unknown field") as raised:
        decode_submission(as_json({**GENERATE, field: 1}))
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("ndjson", [False, True])
def test_each_item_of_a_batch_is_named(ndjson):
    tasks = [GENERATE, {**GENERATE, "priorty": 1}, {**GENERATE, "id": "mine"}]
    body = b"\n".join(map(as_json, tasks)) if ndjson else as_json(tasks)
    with pytest.raises(InvalidBatch) as raised:
        decode_batch(body, ndjson=ndjson, limits=LIMITS)
    assert raised.value.problems == {1: "unknown field 'priorty'; did you mean 'priority'?"}


async def test_the_other_bodies_are_as_strict():
    async with api(paused=True) as oq:
        task_id = await oq.submit()
        reply = await oq.post(f"/api/tasks/{task_id}/priority", {"priority": 1, "prioritee": 2})
        assert reply.status == 400
        assert reply.error == "unknown field 'prioritee'; did you mean 'priority'?"
        reply = await oq.post("/api/tasks/bulk", {"action": "cancel", "filters": {}})
        assert (reply.status, "did you mean 'filter'?" in reply.error) == (400, True)
        body = {"action": "cancel", "filter": {"modle": ["m"]}}
        reply = await oq.post("/api/tasks/bulk", body)
        assert (reply.status, "did you mean 'model'?" in reply.error) == (400, True)
        reply = await oq.post("/api/tasks", {**GENERATE, "priorty": "high"})
        assert (reply.status, "did you mean 'priority'?" in reply.error) == (400, True)


@pytest.mark.parametrize(
    "more",
    [{}, {"id": "my-own-id"}, {"error": "", "result": None, "started_at": None},
     {"status": "completed", "result": {"a": 1}, "completed_at": "0001-01-01T00:00:00Z"}],
)  # fmt: skip
def test_a_whole_task_of_an_ollama_queue_client_is_taken(more):
    task = check(decode_submission(as_json({**GO_TASK, **more})), LIMITS)
    assert (task.terms.model, task.terms.priority, task.terms.max_retries) == ("llama2", 10, 3)


async def test_a_client_s_own_id_is_not_the_task_s():
    async with api(paused=True) as oq:
        task_id = await oq.submit({**GO_TASK, "id": "my-own-id"})
        assert task_id != "my-own-id"
        assert (await oq.get("/api/tasks/my-own-id")).status == 404


def test_a_misspelt_field_in_a_whole_task_is_still_found():
    with pytest.raises(InvalidTask, match="unknown field"):
        decode_submission(as_json({**GO_TASK, "optoins": {}}))


@pytest.mark.parametrize(
    ("kind", "payload", "stored"),
    [
        ("chat", {"prompt": "hi"}, {"messages": [{"role": "user", "content": "hi"}]}),
        ("chat", {"prompt": "hi", "system": "be brief", "think": False},
         {"messages": [{"role": "user", "content": "hi"}], "system": "be brief", "think": False}),
        ("embed", {"prompt": "a text"}, {"input": "a text"}),
        ("embed", {"prompt": "a text", "truncate": True}, {"input": "a text", "truncate": True}),
        ("generate", {"prompt": "hi"}, {"prompt": "hi"}),
        ("chat", {"messages": [], "prompt": "x"}, {"messages": [], "prompt": "x"}),
    ],
)  # fmt: skip
def test_what_the_form_of_ollama_queue_sends_is_taken(kind, payload, stored):
    form = {"model": "m", "type": kind, "priority": 5, "payload": payload}
    task = check(decode_submission(as_json(form)), LIMITS)
    assert json.loads(task.body.payload) == stored


@pytest.mark.parametrize(
    ("kind", "payload"),
    [("chat", {}), ("chat", {"prompt": 1}), ("embed", {"prompt": ["a"]}), ("generate", {}),
     ("chat", {"messages": 1, "prompt": "x"}), ("chat", {"prompt": "x", "system": 1})],
)  # fmt: skip
def test_a_payload_that_asks_nothing_is_refused_as_before(kind, payload):
    with pytest.raises(InvalidTask, match="payload"):
        check(decode_submission(as_json({"model": "m", "type": kind, "payload": payload})), LIMITS)


@pytest.mark.parametrize(
    ("sent", "zero_is_default", "got"),
    [({}, False, 3), ({"max_retries": None}, False, 3), ({"max_retries": 0}, False, 0),
     ({"max_retries": 0}, True, 3), ({"max_retries": 2}, True, 2), ({}, True, 3)],
)  # fmt: skip
def test_how_many_retries_a_task_gets(sent, zero_is_default, got):
    limits = msgspec.structs.replace(LIMITS, zero_is_default=zero_is_default)
    assert check(decode_submission(as_json({**GENERATE, **sent})), limits).terms.max_retries == got


async def test_zero_is_default_is_a_setting():
    async with api(paused=True, retry_config={"zero_is_default": True, "max_retries": 7}) as oq:
        task_id = await oq.submit({**GENERATE, "max_retries": 0})
        assert (await oq.get(f"/api/tasks/{task_id}")).json["max_retries"] == 7
