"""One answer takes so much memory and no more, whatever its backend sends."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest
import trio

from oq.backends.transport import MAX_LIST
from oq.dialects import ENDPOINTS
from oq.dialects.answer_limit import AnswerLimit
from oq.dialects.framing import End, Frames
from oq.dialects.openai_fold import OpenAIFold
from oq.rules.json_size import count_values
from oq.words.config import to_config
from oq.words.errors import BackendFailure, InvalidConfig
from tests.gateway.test_liars import http, lying
from tests.support.gateway import CHAT

COMPLETIONS = ENDPOINTS["/v1/chat/completions"]


def feed_again(answer, data: bytes, times: int) -> None:
    for _ in range(times):
        answer.feed(data)


LISTS = b"[" + b"[]," * 1000 + b"[]]"


@pytest.mark.parametrize(
    "text", [b"1", b"[]", LISTS, b'{"a":{"b":[1,2,{"c":null}]},"d":"x"}', b'[{"a":1},{"a":"[,{"}]']
)
def test_a_text_has_no_more_values_than_are_counted(text):
    def values(value) -> int:
        inner = value.values() if isinstance(value, dict) else value
        return 1 + sum(map(values, inner)) if isinstance(value, (list, dict)) else 1

    found = values(json.loads(text))
    assert found - 1 <= count_values(text) <= 2 * found


def test_what_stands_in_a_text_is_one_value():
    assert count_values(json.dumps({"a": "[,{" * 100 + '\\"'}).encode()) == 1


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "delta",
    [
        b'{"tool_calls":%b}' % LISTS,
        b'{"content":"%b"}' % (b"x" * 3000),
        b'{"content":"","x":%b}' % LISTS,
    ],
)
def test_an_answer_that_takes_too_much_names_its_bound(path, delta):
    if path == "/api/chat":
        chunk = b'{"message":%b,"done":false}\n' % delta
    else:
        chunk = b'data: {"choices":[{"index":0,"delta":%b}]}\n\n' % delta
    kept: list[bytes] = []
    answer = ENDPOINTS[path].dialect.streamed(ENDPOINTS[path], kept.append, limit=1_000_000)
    with pytest.raises(BackendFailure, match=r"over 1000000 bytes .*ollama\.max_answer.*raise"):
        feed_again(answer, chunk, 100_000)
    assert sum(map(len, kept)) <= 1_000_000
    if LISTS in delta:
        assert sum(map(len, kept)) < 50_000, "a list takes more memory than its text"


@pytest.mark.parametrize("flood", [b": are you there?\n\n", b"\n\n", b"event: ping\n\n"])
def test_events_that_say_nothing_are_bounded_too(flood):
    kept: list[bytes] = []
    answer = COMPLETIONS.dialect.streamed(COMPLETIONS, kept.append, limit=100_000)
    with pytest.raises(BackendFailure, match=r"ollama\.max_answer"):
        feed_again(answer, flood, 100_000)
    assert len(kept) < 2000


def test_tokens_take_what_they_are():
    """The allowance is for answers, not for their frames: a token's may be as small as it is."""
    allowance = AnswerLimit(200_000)
    for _ in range(1000):
        allowance.take(b'{"model":"m","message":{"role":"assistant","content":" a"},"done":false}')


def test_a_list_with_many_places_is_put_together_at_once():
    """Each of its items is found, not looked for."""
    fold = OpenAIFold()
    for _ in range(3):
        calls = [{"index": n, "function": {"arguments": "x"}} for n in range(4000)]
        event = json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}).encode()
        fold.add(event, event)
    fold.add(b"[DONE]", b"[DONE]")
    [choice] = json.loads(fold.completed().result)["choices"]
    arguments = [call["function"]["arguments"] for call in choice["message"]["tool_calls"]]
    assert arguments == ["xxx"] * 4000


@pytest.mark.parametrize("end", list(End))
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_frames_lose_nothing_wherever_they_are_cut(end, size):
    said = b"\n\na\r\nb\n\r\nc\n\n\n\nd\r\n\r\ne\n"
    frames, given = Frames(end), []
    for start in range(0, len(said), size):
        given += frames.feed(said[start : start + size])
    whole = b"".join([*given, frames.rest()])
    assert whole == said
    if end is End.EVENT:
        assert [one.strip() for one in given if one.strip()] == [b"a\r\nb", b"c", b"d"]
    else:
        assert [one.strip() for one in given if one.strip()] == [b"a", b"b", b"c", b"d", b"e"]


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/api/embed"])
async def test_a_compressed_answer_is_bounded_as_a_plain_one_is(path):
    packed = gzip.compress(b"\n" * 50_000_000)
    settings = {"ollama": {"max_answer": 1_000_000}}
    async with lying(http(packed, "200 OK", "Content-Encoding: gzip"), **settings) as here:
        with trio.fail_after(30):
            answer = await here.oq.post(path, json={**CHAT, "input": "x"})
        assert answer.status_code == 502
        assert "over 1000000 bytes of memory (ollama.max_answer)" in answer.text


def test_the_bound_is_a_setting():
    assert to_config({"ollama": {"max_answer": 2048}}).ollama.max_answer == 2048
    with pytest.raises(InvalidConfig, match=r"ollama\.max_answer"):
        to_config({"ollama": {"max_answer": 1}})


@pytest.mark.parametrize("path", ["/api/chat", "/api/embed"])
async def test_compressed_bytes_that_say_nothing_are_bounded(path):
    said = gzip.compress(b"") + b"a" * 3_000_000
    settings = {"ollama": {"max_answer": 1_000_000}}
    async with lying(http(said, "200 OK", "Content-Encoding: gzip"), **settings) as here:
        with trio.fail_after(30):
            answer = await here.oq.post(path, json={**CHAT, "input": "x"})
        assert "over 1000000 bytes of memory (ollama.max_answer)" in answer.text


def test_an_event_of_many_lines_is_bounded_before_they_are_apart():
    answer = COMPLETIONS.dialect.streamed(COMPLETIONS, [].append, limit=10_000_000)
    said = b"data:a\n" * 1_000_000 + b"\n"
    tracemalloc.start()
    with pytest.raises(BackendFailure, match=r"ollama\.max_answer"):
        answer.feed(said)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5 * len(said)


@pytest.mark.parametrize("kind", ["ollama", "openai"])
@pytest.mark.parametrize("key", [b"models", b"data"])
async def test_a_list_of_models_is_bounded(kind, key):
    """It is decoded at once; one of these would be of a third of a million models."""
    said = b'{"%b":[' % key + b'{"id":"","name":""},' * (MAX_LIST // 19) + b'{"id":"","name":""}]}'
    async with lying(http(said), kind=kind) as here:
        with pytest.raises(BackendFailure, match=f"answers more than {MAX_LIST} bytes"):
            await here.queue._core.by_name["b"].models()


async def test_embeddings_are_bounded_by_what_they_take_once_they_are_apart():
    said = b'{"data":[' + b'{"embedding":0},' * 20_000 + b'{"embedding":0}]}'
    settings = {"ollama": {"max_answer": 1_000_000}}
    async with lying(http(said), kind="openai", **settings) as here:
        answer = await here.oq.post("/api/embed", json={"model": "m", "input": "x"})
        assert answer.status_code == 502
        assert "over 1000000 bytes of memory (ollama.max_answer)" in answer.text
