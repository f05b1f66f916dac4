"""The times of an answer, as the last line of each server says them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from oq.dialects import ENDPOINTS
from oq.dialects.ollama_fold import embedded
from oq.dialects.timings import LONGEST, llama_timings, ollama_timings
from oq.words.outcome import Timings

# The last line of a real Ollama, of August 2026, whose call waited behind three others.
LAST = {
    "model": "smollm2:135m", "created_at": "2026-08-22T10:00:06.2Z", "done": True,
    "done_reason": "stop", "total_duration": 6_200_000_000, "load_duration": 12_500_000,
    "prompt_eval_count": 31, "prompt_eval_duration": 87_500_000,
    "eval_count": 48, "eval_duration": 1_400_000_000,
}  # fmt: skip
WAITED = Timings(4.7, 0.0125, 0.0875, 1.4)

# The same of llama.cpp's server, build 11434.
SAID = {
    "cache_n": 0, "prompt_n": 31, "prompt_ms": 87.5, "prompt_per_token_ms": 2.82,
    "prompt_per_second": 354.2, "predicted_n": 48, "predicted_ms": 1400.0,
    "predicted_per_token_ms": 29.1, "predicted_per_second": 34.2,
}  # fmt: skip
WORKED = Timings(None, None, 0.0875, 1.4)

ODD = [None, -1, "12", "", [], {}, True, 1e30, 10**400, float("nan"), float("inf"), -0.5]


def streamed(path, *frames):
    call = ENDPOINTS[path]
    answer = call.dialect.streamed(call, lambda _: None)
    for frame in frames:
        answer.feed(frame)
    return answer.completed().timings


def whole(path, said):
    call = ENDPOINTS[path]
    return call.dialect.whole(call, json.dumps(said).encode()).timings


def line(said) -> bytes:
    return json.dumps(said).encode() + b"\n"


def event(said) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


CHAT, GENERATE = (
    {"message": {"role": "assistant", "content": "hi"}},
    {"response": "hi"},
)


@pytest.mark.parametrize(
    ("path", "said"), [("/api/chat", CHAT), ("/api/generate", GENERATE)], ids=["chat", "generate"]
)
def test_ollamas_last_line_says_how_long_the_call_waited_inside(path, said):
    begin = {"model": "m", **said, "done": False}
    assert streamed(path, line(begin), line({**said, **LAST})) == WAITED
    assert whole(path, {**said, **LAST}) == WAITED


def test_durations_of_other_lines_are_not_the_answers():
    odd = {**GENERATE, **LAST, "done": False}
    end = {"response": "", "done": True}
    assert streamed("/api/generate", line(odd), line(end)) is None


def test_an_embedding_says_its_load_and_not_how_long_it_waited():
    said = {"embeddings": [[0.5]], "total_duration": 900_000_000, "load_duration": 250_000_000}
    assert whole("/api/embed", said) == Timings(None, 0.25, None, None)
    assert embedded(json.dumps(said).encode()).timings == Timings(None, 0.25, None, None)
    assert whole("/api/embeddings", {"embedding": [0.5]}) is None


def test_a_call_that_only_loads_says_no_times():
    said = {**GENERATE, "response": "", "done": True, "done_reason": "load"}
    assert whole("/api/generate", said) is None


def test_a_duration_of_zero_is_left_out_by_ollama_and_counts_as_zero():
    kept = {key: LAST[key] for key in ("total_duration", "load_duration", "eval_duration")}
    assert ollama_timings(kept) == Timings(4.7875, 0.0125, None, 1.4)


def test_parts_that_are_more_than_the_total_mean_that_nothing_waited():
    timings = ollama_timings({**LAST, "total_duration": 1_000_000_000})
    assert timings == Timings(0, 0.0125, 0.0875, 1.4)


@pytest.mark.parametrize("odd", ODD, ids=[str(index) for index in range(len(ODD))])
@pytest.mark.parametrize(
    ("key", "field"),
    [("load_duration", "load"), ("prompt_eval_duration", "prompt"), ("eval_duration", "generate")],
)
def test_what_is_no_time_is_not_known_and_neither_is_the_wait(key, field, odd):
    timings = ollama_timings({**LAST, key: odd})
    assert timings is not None
    assert getattr(timings, field) is None
    assert timings.waited is None


@pytest.mark.parametrize("odd", ODD, ids=[str(index) for index in range(len(ODD))])
def test_without_a_total_the_wait_is_not_known(odd):
    assert ollama_timings({**LAST, "total_duration": odd}) == Timings(None, 0.0125, 0.0875, 1.4)
    assert llama_timings({**SAID, "prompt_ms": odd}) == Timings(None, None, None, 1.4)
    assert llama_timings(odd) is None


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("/v1/chat/completions",
         {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}),
        ("/v1/completions", {"choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}]}),
        ("/completion", {"index": 0, "content": "hi", "stop": True, "tokens_predicted": 48}),
    ],
    ids=["chat", "completions", "native"],
)  # fmt: skip
def test_llama_cpp_says_the_work_and_not_the_wait(path, last):
    assert streamed(path, event({**last, "timings": SAID}), b"data: [DONE]\n\n") == WORKED
    assert whole(path, {**last, "timings": SAID}) == WORKED
    assert whole(path, last) is None


def test_so_does_the_last_event_of_its_responses():
    response = {"object": "response", "status": "completed", "output": []}
    end = {"type": "response.completed", "response": response, "timings": SAID}
    assert streamed("/v1/responses", event(end)) == WORKED
    assert streamed("/v1/responses", event({**end, "timings": ["odd"]})) is None


def test_of_timings_with_each_token_the_last_ones_count():
    def said(**choice):
        return {"choices": [{"index": 0, "delta": {"content": "a"}, **choice}]}

    early = {**said(), "timings": {**SAID, "predicted_ms": 3.0}}
    late = {**said(finish_reason="stop"), "timings": SAID}
    assert streamed("/v1/chat/completions", event(early), event(late)) == WORKED


def test_the_times_of_several_prompts_are_not_known():
    answers = [{"content": "hi", "stop": True, "timings": SAID} for _ in range(2)]
    assert whole("/completion", answers) is None


@given(
    st.dictionaries(
        st.sampled_from([key for key in LAST if key.endswith("_duration")]),
        st.one_of(
            st.integers(), st.floats(), st.none(), st.text(max_size=3), st.booleans(),
            st.binary(max_size=6).map(Raw), st.integers().map(lambda n: Raw(b"%d" % n)),
        ),
    )
)  # fmt: skip
def test_whatever_is_said_each_time_is_unknown_or_can_be_one(fields):
    timings = ollama_timings(fields) or Timings()
    for time in (timings.waited, timings.load, timings.prompt, timings.generate):
        assert time is None or 0 <= time <= LONGEST
