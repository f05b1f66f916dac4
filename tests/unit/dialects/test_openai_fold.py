"""A stream in OpenAI's form, folded into the answer that the same call gives without streaming."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.deltas import MAX_ITEMS
from oq.dialects.events import FoldedEvents
from oq.dialects.framing import event_data
from oq.dialects.openai import OPENAI
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


_TEXTS = st.sampled_from(
    [b'"a"', b'"b \\n"', b'""', b'"\xc3\xa9"', b'"\\ud83d"', b'"\\ude00"', b'"\xff"', b"null", b"7",
     b'{"content":"x"}', b'["x"]', b'"\\"content\\":"', b'"\"', b'"a","content":"b"']
)  # fmt: skip
_DELTAS = st.sampled_from(
    [b'{"content":%b}', b'{"role":"assistant","content":%b}', b'{"content":%b,"x":"y"}',
     b'{"content":"","reasoning_content":%b}', b'{"reasoning_content":%b,"content":null}',
     b'{"content":%b,"tool_calls":[{"index":0,"function":{"arguments":"1"}}]}', b'{"c\\u006f":%b}',
     b'{"role":["r"],"content":%b}', b'{"content":%b,"status":"s"}', b'{"refusal":%b}', b"%b"]
)  # fmt: skip
_CHOICES = st.sampled_from(
    [b'{"index":0,"delta":%b,"finish_reason":null}', b'{"delta":%b,"logprobs":[1]}',
     b'{"index":1,"delta":%b}', b'{"index":0,"delta":%b,"text":"t"}', b'{"index":0,"text":%b}',
     b'{"delta":%b,"finish_reason":"stop"}', b'{"index":0,"delta":%b},{"index":1,"delta":{}}']
)  # fmt: skip
_EVENTS = st.sampled_from(
    [b'data: {"id":"c","choices":[%b]}\n\n', b'data: {"choices":[%b],"usage":null,"n":1}\n\n',
     b'data: {"choices":[%b],"content":"x"}\n\n', b': key\ndata: {"choices":[%b]}\n\n']
)  # fmt: skip


@st.composite
def runs_of_events(draw: st.DrawFn) -> list[bytes]:
    """Events of which some in a row differ in a text alone."""
    events = []
    for _ in range(draw(st.integers(1, 4))):
        event, choice, delta = draw(_EVENTS), draw(_CHOICES), draw(_DELTAS)
        texts = draw(st.lists(_TEXTS, min_size=1, max_size=4))
        events += [event % (choice % (delta % text)) for text in texts]
    return events


@given(runs_of_events())
def test_events_that_are_alike_are_read_as_any_other(events: list[bytes]):
    events.append(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
    fold, passed = OpenAIFold(), []
    for event in events:
        fold.add(event_data(event), event)
    quick = FoldedEvents(OpenAIFold(), passed.append, MAX_ANSWER, lambda data: b"*" * len(data))
    slow = FoldedEvents(OpenAIFold(), bytes, MAX_ANSWER)
    slow._add_usual = lambda frame: False
    for answer in (quick, slow):
        answer.feed(b"".join(events))
    assert quick.completed() == slow.completed() == fold.completed()
    assert b": key" not in b"".join(passed)
    assert b"".join(passed).replace(b"*****", b": key") == b"".join(events)


@pytest.mark.parametrize("delta", [b'{"content":%b}', b'{"content":null,"reasoning_content":%b}'])
def test_such_an_event_is_decoded_once(delta: bytes, monkeypatch: pytest.MonkeyPatch):
    event = b'data: {"choices":[{"index":0,"delta":%b}]}\n\n' % delta
    read: list[bytes] = []
    answer = FoldedEvents(OpenAIFold(), bytes, MAX_ANSWER)
    answer.feed(event % b'"first"')
    monkeypatch.setattr(OpenAIFold, "add", lambda _, data, frame: read.append(data) or True)
    for number in range(100):
        answer.feed(event % b'"%d"' % number)
    assert read == []


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


def well_formed(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(st.lists(st.text()), st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_no_text_is_lost(thoughts: list[str], words: list[str], unknown: list[str]):
    said = message(
        choice({"role": "assistant"}),
        *(choice({"reasoning_content": each}) for each in thoughts),
        *(choice({"content": each}) for each in words),
        *(choice({"some_future_text": each, "format": "same"}) for each in unknown),
        choice({}, "stop"),
    )
    assert said.get("reasoning_content", "") == well_formed("".join(thoughts))
    assert said["content"] == well_formed("".join(words))
    different = len({each for each in unknown if each}) > 1
    text = "".join(unknown) if different else max(unknown)
    assert said["some_future_text"] == well_formed(text)
    assert said["format"] == "same"


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
    same = {**choice({"role": "assistant", "type": "text", "id": "a"}), **steady}
    answer = json.loads(folded(*[same] * 3, choice({}, "stop")).result)
    assert answer["system_fingerprint"] == "fp"
    assert answer["choices"][0]["message"] == {
        "role": "assistant", "content": None, "type": "text", "id": "a"
    }  # fmt: skip


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
    said = message(choice({"content": "a"}, "stop"), done=False)
    assert said == {"role": "assistant", "content": "a"}


def test_one_that_ends_with_neither_is_not():
    with pytest.raises(BackendFailure, match="before done"):
        folded(choice({"content": "a"}), done=False)


def test_an_error_keeps_its_event():
    with pytest.raises(BackendFailure, match="out of memory") as caught:
        folded({"error": {"message": "out of memory"}})
    said, frame = caught.value.body, caught.value.frame
    assert json.loads(said)["error"] == {"message": "out of memory"}
    assert frame == b"data: " + said + b"\n\n"


def test_choices_are_given_by_their_index():
    events = [
        {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": "stop"}]}
        for index, text in ((1, "x"), (0, "a"), (1, "y"), (0, "b"))
    ]
    answer = json.loads(folded(*events).result)
    assert [each["index"] for each in answer["choices"]] == [0, 1]
    assert [each["message"]["content"] for each in answer["choices"]] == ["ab", "xy"]


def test_choices_without_an_index_are_told_apart_by_their_place():
    event = {"choices": [{"text": "a"}, {"text": "x"}, {"text": None, "index": 2.0}]}
    answer = json.loads(folded(event, event).result)
    assert [each["text"] for each in answer["choices"]] == ["aa", "xx", None]


THINKS = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize(
    ("deltas", "content"),
    [
        (["a", None, "b"], "ab"),
        ([[THINKS], [THINKS], "a", "b"], [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hmhm"}]},
            {"type": "text", "text": "ab"},
        ]),
        (["a", [{"type": "text", "text": "b"}]], [{"type": "text", "text": "ab"}]),
        ([["a", 7, {"type": "reference", "ids": [1]}]] * 2, [
            {"type": "text", "text": "a"}, {"type": "reference", "ids": [1]},
        ] * 2),
        ([5, "a", {"odd": 1}, True], "a"),
    ],
)  # fmt: skip
def test_a_content_may_be_a_list_of_parts(deltas, content):
    answer = json.loads(folded(*(choice({"content": each}) for each in deltas)).result)
    assert answer["choices"][0]["message"]["content"] == content
    assert OPENAI.text(answer) == "".join(
        content if isinstance(content, str) else [part.get("text", "") for part in content]
    )


def test_details_of_reasoning_are_put_together():
    """As OpenRouter sends them."""

    def detail(**said):
        return choice({"reasoning_details": [{"index": 0, "format": "unknown", **said}]})

    said = message(
        detail(type="reasoning.text", text="a"), detail(type="reasoning.text", text="a"),
        detail(type="reasoning.encrypted", data="xyz"), choice({}, "stop"),
    )  # fmt: skip
    assert said["reasoning_details"] == [
        {"index": 0, "format": "unknown", "type": "reasoning.text", "text": "aa"},
        {"index": 0, "format": "unknown", "type": "reasoning.encrypted", "data": "xyz"},
    ]


def test_the_old_form_of_a_function_call():
    said = message(
        choice({"function_call": {"name": "f", "arguments": ""}}),
        choice({"function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
    )
    assert said["function_call"] == {"name": "f", "arguments": "{}"}


def test_log_probabilities_of_a_plain_completion_are_put_together():
    def said(token):
        logprobs = {"tokens": [token], "token_logprobs": [-1.0], "top_logprobs": None}
        return {"choices": [{"index": 0, "text": token, "logprobs": logprobs}]}

    answer = json.loads(folded(said("a"), said("b")).result)
    assert answer["choices"][0]["logprobs"] == {
        "tokens": ["a", "b"], "token_logprobs": [-1.0, -1.0], "top_logprobs": None
    }  # fmt: skip


@pytest.mark.parametrize("odd", [
    None, [], 1, "x", {}, {"choices": None}, {"choices": [1, None, []]}, {"choices": {}},
    {"choices": [{"index": [0], "delta": None}]}, {"choices": [{"index": {}, "text": 4}]},
    {"choices": [{"delta": {"tool_calls": [1, None, {"function": 3}], "role": 7}}]},
    {"choices": [{"delta": {"tool_calls": {}}, "logprobs": 5}]}, {"usage": 3},
])  # fmt: skip
def test_what_cannot_be_read_adds_nothing(odd):
    fold = OpenAIFold()
    for said in (choice({"content": "a"}), odd, choice({"content": "b"}, "stop")):
        data = json.dumps(said).encode()
        fold.add(data, data)
    done = fold.completed()
    [first, *_] = json.loads(done.result)["choices"]
    assert (first["message"]["content"], first["finish_reason"]) == ("ab", "stop")


@pytest.mark.parametrize("usage", [
    {"usage": {"prompt_tokens": 7.0, "completion_tokens": 3}},
    {"usage": {"prompt_tokens": 7, "completion_tokens": 3.0, "odd": None}},
    {"timings": {"prompt_n": 5, "cache_n": 2, "predicted_n": 3}},
])  # fmt: skip
def test_what_an_answer_costs(usage):
    assert folded(choice({"content": "a"}, "stop"), {**usage, "choices": []}).usage == Usage(7, 3)


def test_what_is_no_number_is_no_cost():
    fold = OpenAIFold()
    for data in (b'{"choices":[{"text":"a"}],"usage":{"prompt_tokens":NaN}}', b" [DONE] "):
        assert fold.add(data, data)
    assert fold.completed().usage == Usage(0, 0)


@pytest.mark.parametrize("events", [
    [], [{"usage": {"prompt_tokens": 1}, "choices": []}], [choice({"role": "assistant"})],
    [choice({"role": "assistant", "content": ""})], [{"choices": [{"text": ""}]}],
])  # fmt: skip
def test_an_answer_that_says_nothing_is_a_failure(events):
    with pytest.raises(BackendFailure, match="generated nothing"):
        folded(*events)
    with pytest.raises(BackendFailure, match="ended before done"):
        folded(*events, done=False)


def test_an_answer_without_text_that_says_why_it_ended_is_one():
    assert message(choice({"content": ""}, "stop"))["content"] == ""
    assert message(choice({}, "content_filter"), done=False)["content"] is None


def test_what_is_said_whole_inside_a_stream():
    whole = {"role": "assistant", "content": "a", "tool_calls": []}
    assert message({"choices": [{"index": 0, "message": whole}]}, done=False) == whole


def test_more_choices_than_are_kept_are_left_out():
    event = {"choices": [{"index": n, "text": "a"} for n in range(MAX_ITEMS + 5)]}
    assert len(json.loads(folded(event).result)["choices"]) == MAX_ITEMS


def test_what_is_nested_too_deeply_is_kept_as_far_as_it_can_be():
    deep = b'{"choices":[{"index":0,"delta":{"content":"a","x":%b}}]}' % (b"[" * 900 + b"]" * 900)
    fold = OpenAIFold()
    fold.add(deep, deep)
    fold.add(b"[DONE]", b"")
    assert json.loads(fold.completed().result)["choices"][0]["message"]["content"] == "a"
