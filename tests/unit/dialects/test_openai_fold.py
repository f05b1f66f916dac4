"""A stream in OpenAI's form, folded into the answer that the same call gives without streaming."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects.openai_fold import OpenAIFold
from oq.words.errors import BackendFailure
from oq.words.task import Usage

HEAD = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def folded(*events: dict[str, Any], done: bool = True):
    fold = OpenAIFold()
    for event in events:
        data = json.dumps({**HEAD, **event}).encode()
        fold.add(data, b"data: " + data + b"\n\n")
    if done:
        fold.add(b"[DONE]", b"data: [DONE]\n\n")
    return fold.completed()


def choice(delta: dict[str, Any] | None = None, reason: str | None = None, **more: Any):
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": reason, **more}]}


def message(*events: dict[str, Any], **how: Any) -> Any:
    return json.loads(folded(*events, **how).result)["choices"][0]["message"]


def test_an_answer():
    done = folded(
        choice({"role": "assistant", "content": None}),
        choice({"content": "Pa"}),
        choice({"content": "ris"}),
        choice({}, "stop"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}, "timings": {"a": 1}},
    )
    assert json.loads(done.result) == {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Paris"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        "timings": {"a": 1},
    }
    assert done.usage == Usage(3, 2)


@given(st.lists(st.text()), st.lists(st.text()), st.text())
def test_no_text_is_lost(thoughts: list[str], words: list[str], unknown: str):
    said = message(
        choice({"role": "assistant"}),
        *(choice({"reasoning_content": each}) for each in thoughts),
        *(choice({"content": each, "some_future_text": unknown}) for each in words),
    )
    assert said.get("reasoning_content", "") == "".join(thoughts)
    assert said.get("content", "") == "".join(words)
    assert said.get("some_future_text", "") == unknown * len(words)


@pytest.mark.parametrize(("server", "indexed"), [("fp_ollama", True), ("fp_1", False)])
def test_tool_calls_come_in_pieces(server, indexed):
    """Whole answers of OpenAI have no index, those of Ollama have."""
    calls = [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x"'}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": ":1}"}},
    ]
    events = [{**choice({"tool_calls": [call]}), "system_fingerprint": server} for call in calls]
    said = message(*events)
    first, second = said["tool_calls"]
    assert first["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert (first["id"], second["id"], second["function"]["name"]) == ("a", "b", "g")
    assert ("index" in first) is indexed


def test_several_answers_at_once():
    events = [
        {"choices": [{"index": index, "delta": {"content": text}}]}
        for index, text in ((0, "a"), (1, "x"), (0, "b"), (1, "y"))
    ]
    answer = json.loads(folded(*events).result)
    assert [each["message"]["content"] for each in answer["choices"]] == ["ab", "xy"]


def test_what_is_said_in_every_chunk_is_said_once():
    steady = {"system_fingerprint": "fp", "service_tier": "default"}
    answer = json.loads(folded(*[{**choice({"role": "assistant"}), **steady}] * 3).result)
    assert answer["system_fingerprint"] == "fp"
    assert answer["choices"][0]["message"]["role"] == "assistant"


def test_a_plain_completion():
    events = [
        {"object": "text_completion", "choices": [{"index": 0, "text": text}]} for text in "abc"
    ]
    answer = json.loads(folded(*events).result)
    assert answer["choices"] == [{"index": 0, "text": "abc"}]
    assert answer["object"] == "text_completion"


def test_log_probabilities_are_put_together():
    events = [choice({"content": t}, logprobs={"content": [{"token": t}]}) for t in ("a", "b")]
    answer = json.loads(folded(*events).result)
    assert answer["choices"][0]["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}


def test_a_stream_that_ends_with_a_reason_but_without_a_mark_is_whole():
    assert message(choice({"content": "a"}, "stop"), done=False) == {"content": "a"}


def test_one_that_ends_with_neither_is_not():
    with pytest.raises(BackendFailure, match="before done"):
        folded(choice({"content": "a"}), done=False)


def test_an_error_keeps_its_event():
    with pytest.raises(BackendFailure, match="out of memory") as caught:
        folded({"error": {"message": "out of memory"}})
    assert caught.value.body
    assert caught.value.body.startswith(b"data: {")


@pytest.mark.parametrize(
    "event", [{"choices": [1]}, {"choices": [{"index": n} for n in range(5000)]}]
)
def test_what_no_server_sends(event):
    with pytest.raises(BackendFailure):
        folded(event)
