"""Ollama's form to OpenAI's and back, without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.backends.base import Request
from oq.backends.openai_stream import TranslatedFold, ollama_embeddings
from oq.backends.translate import LOAD_TIME, openai_call
from oq.dialects.ollama_fold import Fold
from oq.words.errors import BackendFailure, BackendRejected
from oq.words.task import TaskType, Usage
from tests.linear.growth import assert_linear
from tests.linear.shapes import Shape

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def call(kind, payload, options=None):
    request = Request(kind, "m", json.dumps(payload).encode(), json.dumps(options or {}).encode())
    path, body = openai_call(request)
    return path, json.loads(body)


def chat(*messages, **fields):
    return call(TaskType.CHAT, {"messages": list(messages), **fields})[1]


def user(content="x", **fields):
    return {"role": "user", "content": content, **fields}


def test_a_chat_call():
    path, body = call(TaskType.CHAT, {"messages": [user("hi", odd=1)], "system": "be brief"})
    assert path == "/chat/completions"
    messages = [{"role": "system", "content": "be brief"}, user("hi", odd=1)]
    assert body == {"model": "m", "messages": messages, **STREAMED}


def test_a_generate_call_puts_the_system_before_the_prompt():
    path, body = call(TaskType.GENERATE, {"prompt": "p", "system": "s", "suffix": "z", "raw": True})
    assert path == "/completions"
    assert body == {"model": "m", "prompt": "s\n\np", "suffix": "z", **STREAMED}
    assert call(TaskType.GENERATE, {"prompt": "p", "system": "", "raw": True})[1]["prompt"] == "p"


def test_a_generate_call_without_raw_or_suffix_is_a_chat_so_that_the_template_applies():
    path, body = call(TaskType.GENERATE, {"prompt": "p", "system": "s", "images": ["iVBORw0"]})
    assert path == "/chat/completions"
    system, user = body["messages"]
    assert system == {"role": "system", "content": "s"}
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]


def test_a_call_for_a_whole_answer():
    request = Request(TaskType.CHAT, "m", b'{"messages":[],"stream":true}', b"{}")
    assert json.loads(openai_call(request, stream=False)[1]) == {"model": "m", "messages": []}


def test_an_embed_call():
    path, body = call(TaskType.EMBED, {"input": ["a"], "dimensions": 4, "truncate": True})
    assert path == "/embeddings"
    assert body == {"model": "m", "input": ["a"], "dimensions": 4}


def test_options():
    same = {
        "temperature": 0.5, "top_p": 0.9, "seed": 1, "stop": ["x"], "presence_penalty": 0.1,
        "frequency_penalty": 0.2, "top_k": 40, "min_p": 0.05, "repeat_penalty": 1.1,
        "logit_bias": {"1": 2},
    }  # fmt: skip
    dropped = dict.fromkeys(LOAD_TIME, 1) | {"model": "other", "stream": False, "n": 3}
    options = {**same, **dropped, "num_predict": 7, "num_keep": 2}
    _, body = call(TaskType.GENERATE, {"prompt": "p"}, options)
    messages = [{"role": "user", "content": "p"}]
    expected = {
        "model": "m",
        "messages": messages,
        "max_tokens": 7,
        "n_keep": 2,
        **same,
        **STREAMED,
    }
    assert body == expected
    _, body = call(TaskType.GENERATE, {"prompt": "p"}, {"num_predict": -1})
    assert "max_tokens" not in body


def test_numbers_stay_byte_for_byte():
    request = Request(
        TaskType.GENERATE, "m", b'{"prompt":"p","logit":1.50}', b'{"temperature":0.70}'
    )
    _, body = openai_call(request)
    assert b'"temperature":0.70' in body
    assert b'"logit":1.50' in body


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"format": "json"}, {"response_format": {"type": "json_object"}}),
        ({"format": ""}, {}),
        ({"format": None}, {}),
        (
            {"format": {"type": "object"}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}},
                }
            },
        ),
        ({"think": True}, {"reasoning_effort": "medium"}),
        ({"think": False}, {"reasoning_effort": "none"}),
        ({"think": "high"}, {"reasoning_effort": "high"}),
        ({"think": None}, {}),
        ({"tools": [{"type": "function"}]}, {"tools": [{"type": "function"}]}),
        ({"tools": []}, {}),
        ({"tools": None}, {}),
        ({"keep_alive": "5m", "truncate": True, "stream": False}, {}),
        ({"tool_choice": "none", "logprobs": True}, {"tool_choice": "none", "logprobs": True}),
    ],
)
def test_fields_of_a_chat(payload, said):
    assert chat(user(), **payload) == {"model": "m", "messages": [user()], **said, **STREAMED}


def test_an_empty_list_may_have_spaces():
    payload = b'{"messages":[],"tools":[ \n ]}'
    _, body = openai_call(Request(TaskType.CHAT, "m", payload, b"{}"))
    assert json.loads(body) == {"model": "m", "messages": [], **STREAMED}


def test_images_become_parts_with_data_urls():
    [message] = chat(user("what?", images=["iVBORw0", "/9j/4", "data:image/x;base64,A", "?"]))[
        "messages"
    ]
    assert message["content"][0] == {"type": "text", "text": "what?"}
    assert [part["image_url"]["url"] for part in message["content"][1:]] == [
        "data:image/png;base64,iVBORw0",
        "data:image/jpeg;base64,/9j/4",
        "data:image/x;base64,A",
        "data:image/jpeg;base64,?",
    ]
    with pytest.raises(BackendRejected, match="no images with raw"):
        call(TaskType.GENERATE, {"prompt": "p", "images": ["iVBORw0"], "raw": True})
    call(TaskType.GENERATE, {"prompt": "p", "images": []})


def test_tool_calls_and_their_answers_find_each_other():
    def called(name, **fields):
        return {"function": {"name": name, "arguments": {"a": 1}, "index": 0}, **fields}

    messages = chat(
        user(),
        {"role": "assistant", "content": "", "thinking": "hm",
         "tool_calls": [called("f"), called("g"), called("h", id="mine")]},
        {"role": "tool", "content": "G", "tool_name": "g"},
        {"role": "tool", "content": "H", "tool_call_id": "mine"},
        {"role": "tool", "content": "F"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "content": "F2", "tool_name": "f"},
    )["messages"]  # fmt: skip
    function = {"name": "f", "arguments": '{"a":1}'}
    assert messages[1]["tool_calls"][0] == {
        "id": "call_0", "type": "function", "function": function
    }  # fmt: skip
    assert messages[1]["reasoning_content"] == "hm"
    assert "thinking" not in messages[1]
    answers = [message.get("tool_call_id") for message in messages if message["role"] == "tool"]
    assert answers == ["call_1", "mine", "call_0", "call_3"]
    assert messages[5]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize(
    "message",
    [user(tool_calls="x"), user(tool_calls=[{}]), user(tool_calls=[1]), user(images=[1]),
     user(images="x"), user(tool_name=1)],
)  # fmt: skip
def test_messages_that_no_ollama_would_take_are_final(message):
    with pytest.raises(BackendRejected, match=r"payload\.messages"):
        chat(message)


class Clock:
    """It starts at 10 seconds, and each look at it is a second later."""

    def __init__(self) -> None:
        self.now = 9.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def translated(kind, *events, marked=True):
    """The whole answer, and the chunks."""
    chunks: list[bytes] = []
    fold = TranslatedFold(kind, "m", NOW, Clock(), chunks.append)
    for event in events:
        data = json.dumps(event).encode()
        fold.add(data, data)
    if marked:
        fold.add(b"[DONE]", b"data: [DONE]\n\n")
    completed = fold.completed()
    again = Fold(kind)
    for chunk in chunks:
        again.add(chunk)
    assert json.loads(again.completed().result) == json.loads(completed.result)
    return completed, [json.loads(chunk) for chunk in chunks]


def delta(finish=None, **fields):
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def test_a_chat_answer():
    completed, chunks = translated(
        TaskType.CHAT,
        delta(role="assistant", content=None),
        delta(content="a"),
        delta(content="b", odd=1),
        delta("stop"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    )
    head = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
    assert chunks[0] == {
        **head, "message": {"role": "assistant", "content": "a"}, "done": False
    }  # fmt: skip
    assert json.loads(completed.result) == {
        **head,
        "message": {"role": "assistant", "content": "ab"},
        "done": True,
        "done_reason": "stop",
        "total_duration": 2_000_000_000,
        "load_duration": 0,
        "prompt_eval_duration": 1_000_000_000,
        "eval_duration": 1_000_000_000,
        "prompt_eval_count": 3,
        "eval_count": 2,
    }
    assert completed.usage == Usage(3, 2)


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_thinking(key):
    completed, _ = translated(
        TaskType.CHAT, delta(**{key: "let "}), delta(**{key: "me"}), delta("length", content="x")
    )
    result = json.loads(completed.result)
    assert result["message"] == {"role": "assistant", "content": "x", "thinking": "let me"}
    assert result["done_reason"] == "length"
    assert completed.usage == Usage(0, 3)  # a chunk counts as a token


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)), st.data())
def test_a_tool_call_is_whole_however_it_was_split(arguments, data):
    text = json.dumps(arguments)
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    parts = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    named = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}
    more = [delta(tool_calls=[{"index": 0, "function": {"arguments": part}}]) for part in parts]
    other = {"index": 1, "function": {"name": "g"}}
    completed, chunks = translated(
        TaskType.CHAT, delta(tool_calls=[named]), *more, delta("tool_calls", tool_calls=[other])
    )
    result = json.loads(completed.result)
    assert result["message"]["tool_calls"] == [
        {"id": "c1", "function": {"name": "f", "arguments": arguments}},
        {"function": {"name": "g", "arguments": {}}},
    ]
    assert result["done_reason"] == "stop"
    assert len(chunks) == 2


def test_arguments_may_come_as_an_object_but_must_be_one():
    part = {"function": {"name": "f", "arguments": {"a": 1}}}
    completed, _ = translated(TaskType.CHAT, delta("tool_calls", tool_calls=[part]))
    [call] = json.loads(completed.result)["message"]["tool_calls"]
    assert call["function"]["arguments"] == {"a": 1}
    for nothing in ("", " ", "null", " null\n", None):
        part = {"index": 0, "function": {"name": "f", "arguments": nothing}}
        completed, _ = translated(TaskType.CHAT, delta("tool_calls", tool_calls=[part]))
        [call] = json.loads(completed.result)["message"]["tool_calls"]
        assert call["function"]["arguments"] == {}
    for wrong in ("{", "[1]", "x", "nul", "nullnull", '"null"'):
        part = {"index": 0, "function": {"name": "f", "arguments": wrong}}
        with pytest.raises(BackendFailure, match="arguments"):
            translated(TaskType.CHAT, delta("tool_calls", tool_calls=[part]))


def test_a_generate_answer_with_the_timings_of_llama_cpp():
    completed, chunks = translated(
        TaskType.GENERATE,
        {"choices": [{"index": 0, "text": "a"}]},
        {"choices": [{"index": 1, "text": "another choice"}]},
        {"choices": [{"index": 0, "text": "b", "finish_reason": "stop"}],
         "timings": {"prompt_ms": 12.5, "predicted_ms": 30}},
        marked=False,
    )  # fmt: skip
    result = json.loads(completed.result)
    assert result["response"] == "ab"
    assert (result["prompt_eval_duration"], result["eval_duration"]) == (12_500_000, 30_000_000)
    assert len(chunks) == 3


def test_logprobs_pass():
    event = delta("stop", content="a")
    event["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.5}]}
    completed, _ = translated(TaskType.CHAT, event)
    assert json.loads(completed.result)["logprobs"] == [{"token": "a", "logprob": -0.5}]


def test_a_stream_ends_with_done_or_with_a_reason():
    assert translated(TaskType.CHAT, delta(content="a"), marked=True)
    assert translated(TaskType.CHAT, delta("stop", content="a"), marked=False)
    with pytest.raises(BackendFailure, match="ended before done"):
        translated(TaskType.CHAT, delta(content="a"), marked=False)


@pytest.mark.parametrize(
    "odd", [b"", b"{", b"[]", b"null", b'{"choices":{}}', b'{"choices":[{"delta":1}]}', b"\xff"]
)
def test_what_cannot_be_read_adds_nothing(odd):
    chunks: list[bytes] = []
    fold = TranslatedFold(TaskType.CHAT, "m", NOW, Clock(), chunks.append)
    for data in (b'{"choices":[{"delta":{"content":"a"}}]}', odd, b"[DONE]"):
        fold.add(data, data)
    assert json.loads(fold.completed().result)["message"]["content"] == "a"
    assert len(chunks) == 2


@pytest.mark.parametrize("kind", [TaskType.CHAT, TaskType.GENERATE])
def test_a_pair_that_was_cut_in_two_is_put_together(kind):
    _, chunks = translated(kind, *(delta(content=half) for half in ("a\ud83e", "\udd99", "\ud83e")))
    said = [chunk.get("response") or chunk.get("message", {}).get("content") for chunk in chunks]
    assert said == ["a", "🦙", "\ufffd"]


def test_parts_of_a_content_are_text_and_thinking():
    """As Mistral sends them."""
    thinks = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    completed, chunks = translated(
        TaskType.CHAT, delta(content=[thinks]), delta(content=[{"type": "text", "text": "a"}]),
        delta("stop", content="b"),
    )  # fmt: skip
    assert json.loads(completed.result)["message"] == {
        "role": "assistant", "content": "ab", "thinking": "hm"
    }  # fmt: skip
    assert len(chunks) == 4


def test_calls_that_all_have_the_index_0_are_several():
    parts = [
        {"index": 0, "id": name, "function": {"name": name, "arguments": '{"a":1}'}}
        for name in ("f", "g")
    ]
    completed, _ = translated(TaskType.CHAT, *(delta(tool_calls=[part]) for part in parts))
    assert json.loads(completed.result)["message"]["tool_calls"] == [
        {"id": name, "function": {"name": name, "arguments": {"a": 1}}} for name in ("f", "g")
    ]


@pytest.mark.parametrize("kind", [TaskType.CHAT, TaskType.GENERATE])
def test_an_answer_that_came_whole_is_the_same(kind):
    message = {"role": "assistant", "content": "a", "reasoning_content": "hm"}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "length"}],
             "usage": {"prompt_tokens": 3, "completion_tokens": 2.0}}  # fmt: skip
    completed, chunks = translated(kind, whole, marked=False)
    streamed, _ = translated(
        kind, delta(reasoning_content="hm"), delta("length", content="a"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    )  # fmt: skip
    same = ("message", "response", "thinking", "done", "done_reason", "eval_count")
    told, other = json.loads(completed.result), json.loads(streamed.result)
    assert [told.get(key) for key in same] == [other.get(key) for key in same]
    assert completed.usage == Usage(3, 2)
    assert len(chunks) == 2


@pytest.mark.parametrize(
    ("code", "error"), [(500, BackendFailure), (400, BackendRejected), ("429", BackendFailure)]
)
def test_an_error_in_mid_stream(code, error):
    data = b'{"error":{"code":%b,"message":"context is full"}}' % json.dumps(code).encode()
    fold = TranslatedFold(TaskType.CHAT, "m", NOW, Clock(), print)
    with pytest.raises(error, match="broke off with an error: context is full") as caught:
        fold.add(data, b"data: " + data + b"\n\n")
    assert (caught.value.status, caught.value.body) == (int(code), data)


def test_embeddings_are_put_in_order_and_stay_as_they_are():
    body = (
        b'{"data":[{"index":1,"embedding":[2.50]},{"index":0,"embedding":[1e-9]}],'
        b'"usage":{"prompt_tokens":4,"total_tokens":4}}'
    )
    assert ollama_embeddings(body, "m", 1.5) == (
        b'{"model":"m","embeddings":[[1e-9],[2.50]],"total_duration":1500000000,'
        b'"load_duration":0,"prompt_eval_count":4}'
    )
    with pytest.raises(BackendFailure):
        ollama_embeddings(b'{"data":[{}]}', "m", 0)
    with pytest.raises(BackendRejected, match="too long"):
        ollama_embeddings(b'{"error":{"code":400,"message":"too long"}}', "m", 0)


def test_embeddings_may_be_base64_or_hold_what_is_no_number():
    body = b'{"data":[{"index":0,"embedding":"AACA"},{"index":1,"embedding":[NaN,1.50]}]}'
    said = json.loads(ollama_embeddings(body, "m", 0))
    assert said["embeddings"] == ["AACA", [None, 1.5]]


def tool_messages(call_id: Callable[[int], str | None], name: str | None) -> Shape:
    """A chat of about so many bytes: one message with tool calls, and an answer to each."""

    def make(size: int) -> bytes:
        count = size // 100
        calls = [{"id": str(i), "function": {"name": f"f{i}"}} for i in range(count)]
        answers = [
            {"role": "tool", "tool_call_id": call_id(count - 1 - i), "tool_name": name}
            for i in range(count)
        ]
        messages = [{"role": "assistant", "tool_calls": calls}, *answers]
        return msgspec.json.encode({"messages": messages})

    return make


@pytest.mark.parametrize(
    "shape",
    [
        tool_messages(str, None),
        tool_messages(lambda _: "x", None),
        tool_messages(lambda _: None, "f0"),
        tool_messages(lambda _: None, "nobody"),
    ],
    ids=["from the end", "of no call", "by name", "of no name"],
)
def test_the_answers_of_many_tools_find_their_calls_in_linear_time(shape):
    assert_linear(shape, lambda body: openai_call(Request(TaskType.CHAT, "m", body, b"{}")))
