"""Which options are another load of the model, and how they are said."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from oq.rules import lifecycle
from oq.rules.load_options import LONGEST, load_text
from oq.rules.place import Place, place_of
from oq.rules.validation import check, decode_submission
from oq.words.outcome import Failed
from oq.words.terms import Terms
from tests.support.builders import LIMITS, at, finish, new, start

ALL = {"num_thread": 2, "num_gpu": 0, "num_ctx": 4096, "num_batch": 64, "main_gpu": 1}


@pytest.mark.parametrize(
    ("options", "shift", "text"),
    [
        (b"", b"", ""),
        (b"{}", b"", ""),
        (b"null", b"null", ""),
        (b'{"temperature": 0.5, "seed": 7, "num_keep": 4, "use_mmap": true}', b"", ""),
        (b'{"num_ctx": 4096}', b"", "num_ctx=4096"),
        (b'{"num_ctx": 4096.0}', b"", "num_ctx=4096"),
        (b'{"num_ctx": 4.096e3}', b"", "num_ctx=4096"),
        (b'{"num_ctx": 4096.9}', b"", "num_ctx=4096"),
        (b'{"num_ctx": -0.0}', b"", "num_ctx=0"),
        (b'{"num_ctx": null, "num_batch": 1}', b"", "num_batch=1"),
        (b'{"num_ctx": 1, "num_ctx": 2}', b"", "num_ctx=2"),
        (b'{"NUM_CTX": 1}', b"", ""),
        (b'{"num_gpu": -1}', b"", ""),
        (b'{"num_gpu": 0}', b"", "num_gpu=0"),
        (b'{"main_gpu": -1}', b"", "main_gpu=-1"),
        (b"{}", b"true", "shift=true"),
        (b'{"num_ctx": 4096}', b"false", "num_ctx=4096,shift=false"),
        (
            json.dumps(ALL).encode(), b"true",
            "main_gpu=1,num_batch=64,num_ctx=4096,num_gpu=0,num_thread=2,shift=true",
        ),
    ],
)  # fmt: skip
def test_what_is_another_load(options, shift, text):
    assert load_text(options, shift) == text


@pytest.mark.parametrize(
    "value",
    ['"4096"', "true", "[1]", '{"a": 1}', "1e999", "1e19", "-1e19", "0" * 9, "1" * (LONGEST + 1)],
)
def test_what_ollama_refuses_loads_nothing(value):
    assert load_text(b'{"num_batch": 1, "num_ctx": %b}' % value.encode()) == ""


@pytest.mark.parametrize("shift", [b"1", b'"true"', b"[]", b"tru"])
def test_a_shift_that_is_none_loads_nothing(shift):
    assert load_text(b'{"num_ctx": 1}', shift) == ""


@pytest.mark.parametrize("options", [b"[]", b"7", b"{", b'"num_ctx"', b'{"num_ctx": }', b"\xff"])
def test_options_that_are_none_load_nothing(options):
    assert load_text(options) == ""


def test_it_is_short():
    most = dict.fromkeys(ALL, -(1 << 62)) | {"num_gpu": 1 << 62}
    assert len(load_text(json.dumps(most).encode(), b"false")) <= 200


def submitted(**fields: object) -> Terms:
    task = {"type": "generate", "model": "m", "payload": {"prompt": "x"}} | fields
    return check(decode_submission(json.dumps(task).encode()), LIMITS).terms


def test_a_task_has_it_of_its_options_and_its_payload():
    assert submitted().load == ""
    assert submitted(options={"seed": 1}).load == ""
    assert submitted(options={"num_ctx": 8}).load == "num_ctx=8"
    payload = {"prompt": "x", "shift": False}
    assert submitted(payload=payload, options={"num_ctx": 8}).load == "num_ctx=8,shift=false"
    assert submitted(payload=payload | {"shift": 3}).load == ""


def test_a_chat_has_it_and_an_embedding_has_no_shift():
    chat = {"messages": [{"role": "user", "content": "x"}], "shift": True}
    assert submitted(type="chat", payload=chat).load == "shift=true"
    embed = {"input": "x", "shift": True}
    assert submitted(type="embed", payload=embed, options={"num_ctx": 8.0}).load == "num_ctx=8"


def test_its_place_has_it_and_keeps_it_when_its_time_has_come():
    state = new(run_at=at(5), options=Raw(b'{"num_ctx": 8}')).state
    place = place_of(state)
    assert place == Place(5, "smollm2", at(5), load="num_ctx=8")
    assert place.when_due() == Place(5, "smollm2", load="num_ctx=8")


def test_nothing_that_happens_to_a_task_changes_it():
    first = new(options=Raw(b'{"num_ctx": 8}')).state
    retrying = finish(start(first).state, Failed("busy", retryable=True)).state
    cancelled = lifecycle.cancelled(retrying, at(2)).state
    again = lifecycle.requeued(cancelled).state
    raised = lifecycle.reprioritised(again, 9).state
    assert {each.terms.load for each in (retrying, cancelled, again, raised)} == {"num_ctx=8"}
    assert place_of(raised) == Place(9, "smollm2", load="num_ctx=8")
