"""A stream in Ollama's form folds to the object that the same call gives without streaming."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects.answer_errors import MAX_TEXT, error_text
from oq.dialects.ollama_fold import Fold, embedded
from oq.words.errors import BackendFailure
from oq.words.task import TaskType, Usage


def folded(kind, *chunks):
    fold = Fold(kind)
    for chunk in chunks:
        fold.add(json.dumps(chunk).encode())
    return fold.completed()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_split_of_a_text_folds_to_the_text(parts):
    chat = [{"message": {"role": "assistant", "content": part}, "done": False} for part in parts]
    end = {"message": {"role": "assistant", "content": ""}, "done": True}
    result = json.loads(folded(TaskType.CHAT, *chat, end).result)
    assert result == {"message": {"role": "assistant", "content": "".join(parts)}, "done": True}
    said = [{"response": part, "done": False} for part in parts]
    result = json.loads(folded(TaskType.GENERATE, *said, {"response": "", "done": True}).result)
    assert result == {"response": "".join(parts), "done": True}


def test_chat_folds_thinking_tool_calls_and_unknown_fields():
    call = {"function": {"name": "f", "arguments": {"n": 1}}}
    completed = folded(
        TaskType.CHAT,
        {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "a"}},
        {"model": "m", "message": {"content": None, "thinking": "b", "new": 1}},
        {"model": "m", "message": {"content": "x", "tool_calls": [call]}, "logprobs": [{"t": 1}]},
        {"model": "m", "message": {"content": "y", "tool_calls": [call]}, "logprobs": [{"t": 2}]},
        {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "odd": [1]},
    )
    assert json.loads(completed.result) == {
        "model": "m",
        "message": {
            "role": "assistant",
            "content": "xy",
            "thinking": "ab",
            "tool_calls": [call, call],
            "new": 1,
        },
        "done": True,
        "odd": [1],
        "logprobs": [{"t": 1}, {"t": 2}],
    }
    assert completed.usage is None


def test_the_last_chunk_stays_byte_for_byte_and_in_order():
    fold = Fold(TaskType.GENERATE)
    fold.add(b'{"response":"a","done":false,"gone":1}')
    fold.add(b'{"z":1.50,"response":"","done":true,"eval_count":7,"context":[1, 2],"a":1e400}')
    completed = fold.completed()
    assert completed.result == (
        b'{"z":1.50,"response":"a","done":true,"eval_count":7,"context":[1, 2],"a":1e400}'
    )
    assert completed.usage == Usage(0, 7)


@pytest.mark.parametrize(
    "line",
    [b"[]", b"{", b"\xff", b"<html>", b"null", b'{"message":1}', b'{"message":{"content":3}}',
     b"[" * 100_000, b'{"response":["x"]}', b'{"message":{"tool_calls":{}}}'],
)  # fmt: skip
def test_what_is_no_chunk_is_a_failure(line):
    with pytest.raises(BackendFailure):
        Fold(TaskType.CHAT).add(line)


def test_a_stream_without_its_end_and_one_without_bound_are_failures():
    fold = Fold(TaskType.GENERATE, limit=100)
    fold.add(b'{"response":"a","done":false}')
    with pytest.raises(BackendFailure, match="ended before done"):
        fold.completed()
    with pytest.raises(BackendFailure, match="over 100 bytes"):
        fold.add(b'{"response":"%s","done":false}' % (b"x" * 100))


def test_an_embed_answer_is_kept_as_it_came_if_it_is_one():
    body = b'{"model":"m","embeddings":[[0.10, 1e-9]],"prompt_eval_count":3}'
    assert embedded(body).result == body
    assert embedded(body).usage == Usage(3, 0)
    for wrong in (b"", b"{}", b'{"embeddings":1}', b"[1]"):
        with pytest.raises(BackendFailure):
            embedded(wrong)


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3(", b"\xed\xa0\x80"])
def test_what_is_no_utf_8_is_a_failure_wherever_it_stands(broken):
    lines = [
        b'{"response":"%b","done":true}',
        b'{"context":["%b"],"done":true}',
        b'{"message":{"images":["%b"]},"done":true}',
    ]
    for line in lines:
        with pytest.raises(BackendFailure, match="no answer"):
            Fold(TaskType.GENERATE).add(line % broken)
    with pytest.raises(BackendFailure, match="no answer"):
        embedded(b'{"embeddings":[["%b"]]}' % broken)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":"no such model"}', "no such model"),
        (b'{"error":{"message":"bad key","type":"x"}}', "bad key"),
        (b'{"error":{"odd":1}}', '{"odd":1}'),
        (b'{"message":"from vLLM"}', "from vLLM"),
        (b'{"detail":[{"msg":"x"}]}', '[{"msg":"x"}]'),
        (b"<h1>502</h1>\n", "<h1>502</h1>"),
        (b"\xff\xfe", "��"),
        (b"", ""),
        (b"[" * 3000, "[" * MAX_TEXT + " …"),
    ],
)
def test_error_texts(body, text):
    assert error_text(body) == text
