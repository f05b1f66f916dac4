"""A stream in Ollama's form folds to the object that the same call gives without streaming."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects.answer_errors import MAX_TEXT, error_text
from oq.dialects.ollama_fold import Fold, FoldedLines, chunks_only, embedded
from oq.words.errors import BackendFailure, BackendRejected
from oq.words.task import TaskType, Usage

DONE = b'{"response":"","done":true}'


def folded(kind, *chunks):
    fold = Fold(kind)
    for chunk in chunks:
        fold.add(json.dumps(chunk).encode())
    return fold.completed()


def lines(*said: bytes, kind=TaskType.GENERATE):
    """The answer, decoded."""
    fold = Fold(kind)
    for line in said:
        fold.add(line)
    return json.loads(fold.completed().result)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_split_of_a_text_folds_to_the_text(parts):
    chat = [{"message": {"role": "assistant", "content": part}, "done": False} for part in parts]
    end = {"message": {"role": "assistant", "content": ""}, "done": True}
    result = json.loads(folded(TaskType.CHAT, *chat, end).result)
    assert result == {"message": {"role": "assistant", "content": "".join(parts)}, "done": True}
    said = [{"response": part, "done": False} for part in parts]
    result = json.loads(folded(TaskType.GENERATE, *said, {"response": "", "done": True}).result)
    assert result == {"response": "".join(parts), "done": True}


def usual(text: bytes, kind: TaskType, **more: bytes) -> bytes:
    """A line as nearly all are, but for `more`; nothing there leaves a member out."""
    thinking = more.pop("thinking", b"")
    message = _members({"role": b'"assistant"', "content": text, "thinking": thinking})
    said = (
        {"message": message} if kind is TaskType.CHAT else {"response": text, "thinking": thinking}
    )
    ends = {"model": b'"m"', "created_at": b'"now"', **said, "done": b"false", **more}
    return _members(ends) + b"\n"


def _members(members: dict[str, bytes]) -> bytes:
    said = [b'"%b":%b' % (key.encode(), value) for key, value in members.items() if value]
    return b"{" + b",".join(said) + b"}"


_TEXT = st.sampled_from(
    [b'"a"', b'""', b'"\xc3\xa9"', b'"\\ud83d"', b'"\\ude00 b"', b'"\xff"', b"null", b"7", b'"\\n"']
)
_LINES = st.lists(
    st.builds(
        lambda text, odd: (text, dict(odd)),
        _TEXT,
        st.lists(
            st.sampled_from(
                [("thinking", b'"t"'), ("thinking", b"null"), ("model", b'"n"'), ("model", b"1"),
                 ("created_at", b""), ("created_at", b'"then"'), ("done", b""), ("x", b'"y"'),
                 ("x", b'"z"'), ("role", b'"r"'), ("tool_calls", b"[1]"), ("logprobs", b"[2]"),
                 ("done", b'"no"'), ("message", b"{}"), ("response", b'"r"')]
            ),
            max_size=2,
        ),
    )
)  # fmt: skip


@given(_LINES, st.sampled_from([TaskType.CHAT, TaskType.GENERATE]))
def test_a_line_as_nearly_all_are_is_read_as_any_other(drawn, kind):
    said = [usual(text, kind, **odd) for text, odd in drawn]
    said.append(usual(b'""', kind, done=b"true", eval_count=b"3"))
    fold, passed = Fold(kind), []
    for line in said:
        fold.add(line)
    quick = FoldedLines(kind, passed.append)
    assert quick.feed(b"".join(said))
    assert quick.completed() == fold.completed()
    assert passed == said


@pytest.mark.parametrize("kind", [TaskType.CHAT, TaskType.GENERATE])
def test_such_a_line_is_decoded_once(kind, monkeypatch):
    read: list[bytes] = []
    answer = FoldedLines(kind, bytes)
    answer.feed(usual(b'"first"', kind))
    monkeypatch.setattr(Fold, "add", lambda _, line: read.append(line) or True)
    for number in range(100):
        answer.feed(usual(b'"%d"' % number, kind))
    assert read == []


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
    fold.add(b'{"response":"a","done":false,"earlier":1}')
    fold.add(
        b'{"z":1.50,"response":"","done":true,"eval_count":7,"context":[1, 2],"a":1e400,'
        b'"said_once":"\\u00e9"}'
    )
    completed = fold.completed()
    assert completed.result == (
        b'{"z":1.50,"response":"a","done":true,"eval_count":7,"context":[1, 2],"a":1e400,'
        b'"said_once":"\\u00e9","earlier":1}'
    )
    assert completed.usage == Usage(0, 7)


def test_every_text_that_grows_is_kept_and_what_is_repeated_is_said_once():
    assert lines(
        b'{"model":"m","created_at":"1","image":"iVBO","completed":1,"total":9,"format":"png"}',
        b'{"model":"m","created_at":"2","image":"Rw0K","completed":9,"total":9,"format":"png"}',
        b'{"model":"m","created_at":"3","image":"","done":true,"done_reason":"stop"}',
    ) == {
        "model": "m", "created_at": "3", "image": "iVBORw0K", "completed": 9, "total": 9,
        "format": "png", "done": True, "done_reason": "stop",
    }  # fmt: skip
    chat = [
        b'{"message":{"images":["%b"],"transcript":"%b"},"done":false}' % (c, c)
        for c in (b"a", b"b")
    ]
    assert lines(*chat, b'{"done":true}', kind=TaskType.CHAT)["message"] == {
        "images": ["a", "b"], "transcript": "ab",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"null", {}), (b"[]", {}), (b"{", {}), (b"<html>", {}), (b"[" * 100_000, {}),
        (b'{"response":["x"]}', {}), (b'{"response":3,"eval_count":"x"}', {"eval_count": "x"}),
        (b'{"response":"!","n":NaN}', {"response": "a!b", "n": None}),
        (b'{"response":"\xff"}', {"response": "a\ufffdb"}),
        (b'{"tool_calls":{},"logprobs":null}', {"tool_calls": [], "logprobs": []}),
        (b'{"x":"\\ud83e","y":{"\\ud83e":[1]}}', {"x": "\ufffd", "y": {"\ufffd": [1]}}),
        (b'{"response":"\\ud83e"}', {"response": "a\ufffdb"}),
        (b'{"n":123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
    ],
)  # fmt: skip
def test_what_cannot_be_read_adds_nothing(line, kept):
    said = lines(b'{"response":"a"}', line, b'{"response":"b","done":true}')
    assert said == {"response": "ab", "done": True} | kept


@pytest.mark.parametrize(
    "message", [b"1", b"null", b'"x"', b"[]", b'{"content":3}', b'{"content":["x"]}']
)
def test_a_message_that_is_none_adds_nothing(message):
    end = b'{"message":{"role":"assistant","content":"a"},"done":true}'
    odd = b'{"message":%b,"done":false}' % message
    assert lines(odd, end, kind=TaskType.CHAT)["message"]["content"] == "a"


@pytest.mark.parametrize("kind", [TaskType.CHAT, TaskType.GENERATE])
def test_a_pair_that_was_cut_in_two_is_put_together(kind):
    shape = b'{"message":{"content":"%b"}}' if kind is TaskType.CHAT else b'{"response":"%b"}'
    halves = [shape % part for part in (b"a\\ud83e", b"\\udd99b\\ud83e", b"c\\udd99", b"\\ud83e")]
    said = lines(*halves, b'{"done":true}', kind=kind)
    text = said["message"]["content"] if kind is TaskType.CHAT else said["response"]
    assert text == "a🦙b\ufffdc\ufffd\ufffd"


@pytest.mark.parametrize(
    ("count", "usage"),
    [(b"7", Usage(7, 0)), (b"7.0", Usage(7, 0)), (b"-1", Usage(0, 0)), (b"NaN", None),
     (b'"x"', Usage(0, 0)), (b"1e30", Usage(0, 0)), (b"null", None)],
)  # fmt: skip
def test_counts_are_read_leniently(count, usage):
    fold = Fold(TaskType.GENERATE)
    fold.add(b'{"response":"a","done":true,"prompt_eval_count":%b}' % count)
    assert fold.completed().usage == usage


def test_a_stream_without_its_end_and_one_without_bound_are_failures():
    fold = Fold(TaskType.GENERATE)
    fold.add(b'{"response":"a","done":false}')
    with pytest.raises(BackendFailure, match="ended before done"):
        fold.completed()
    with pytest.raises(BackendFailure, match="over 100 bytes"):
        FoldedLines(TaskType.GENERATE, print, limit=100).feed(b'{"response":"%b"}\n' % (b"x" * 100))


def test_what_is_rendered_and_not_run_is_whole():
    """See `_debug_render_only`: Ollama answers with one object that is never done."""
    said = b'{"model":"m","message":{"role":"","content":""},"done":false,"_debug_info":{"a":1}}'
    passed = []
    answer = FoldedLines(TaskType.CHAT, passed.append)
    answer.feed(said)
    assert json.loads(answer.completed().result) == json.loads(said)
    assert passed == [said]


@pytest.mark.parametrize(
    ("line", "error", "status"),
    [
        (b'{"error":"kaput"}', BackendFailure, 500),
        (b'{"error":"kaput","status":400}', BackendRejected, 400),
        (b'{"error":"kaput","status_code":429,"status":"busy"}', BackendFailure, 429),
        (b'{\n "error": "kaput"\n}', BackendFailure, 500),
    ],
)
def test_an_error_line_is_raised_with_its_bytes(line, error, status):
    passed = []
    answer = FoldedLines(TaskType.GENERATE, passed.append)
    with pytest.raises(error, match="kaput") as caught:
        answer.feed(line + b"\n") or answer.completed()
    assert (caught.value.status, caught.value.body, passed) == (status, line, [])


def test_the_lines_of_a_task_are_chunks_for_everybody_to_read():
    passed: list[bytes] = []
    answer = FoldedLines(TaskType.GENERATE, chunks_only(passed.append))
    answer.feed(b'{"response":"a"}\n\n<html>\n{"response":"\\ud83e"}\n{"response":4}\nnull\n')
    answer.feed(DONE)
    answer.completed()
    assert passed == [b'{"response":"a"}\n\n', b'{"response":"\xef\xbf\xbd"}', DONE]


def test_an_embed_answer_is_kept_as_it_came_if_it_is_one():
    body = b'{"model":"m","embeddings":[[0.10, 1e-9]],"prompt_eval_count":3}'
    assert embedded(body).result == body
    assert embedded(body).usage == Usage(3, 0)
    for wrong in (b"", b"{}", b'{"embeddings":1}', b"[1]", b'{"embeddings":[["\xff"]]}'):
        with pytest.raises(BackendFailure, match=r"no embedding|no answer"):
            embedded(wrong)
    with pytest.raises(BackendRejected, match="kaput"):
        embedded(b'{"error":"kaput","status":400}')


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
