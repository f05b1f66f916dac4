"""Calls that are translated: their bodies, and the answers to them."""

from __future__ import annotations

import itertools
import json

import pytest

from oq.dialects import ENDPOINTS
from oq.dialects.translate import translation
from tests.unit.translate.ways import FORMS, MESSAGES, NOW, RESPONSES, translated

from .growth import assert_linear
from .shapes import EVENTS, NDJSON, OBJECTS, Shape, repeated

WAYS = pytest.mark.parametrize(
    ("path", "form"), list(itertools.product((RESPONSES, MESSAGES), FORMS))
)


def event(delta: object) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()


def calls(arguments: str, *, first: str = "", name: str = "f") -> Shape:
    """One call after the other, with one index and without ids."""
    one = event({"tool_calls": [{"index": 0, "function": {"name": name, "arguments": arguments}}]})
    begin = {"index": 7, "id": "x", "function": {"name": "f", "arguments": first}}
    return lambda size: event({"tool_calls": [begin]}) * bool(first) + repeated(one)(size)


CALLS: dict[str, Shape] = {
    "calls that are whole": calls("{}"),
    "calls that wait": calls("{}", first="{"),
    "arguments that might be whole": calls("{}{}", first='{"a":'),
    "arguments without an end": calls('{"a":{}'),
    "arguments of empty texts": calls(""),
    "texts and thoughts": repeated(
        event({"content": "a"}) + event({"reasoning": "b"})
    ),
}  # fmt: skip
ITEMS: dict[str, Shape] = {
    "messages": repeated(b'{"role":"assistant","content":[{"type":"text","text":"a"}]},'),
    "texts": repeated(b'{"role":"assistant","content":"a"},'),
    "instructions": repeated(b'{"role":"system","content":"a"},'),
    "thoughts": repeated(b'{"type":"reasoning","summary":[{"text":"a"}]},'),
    "calls": repeated(b'{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},'),
    "what is left out": repeated(b'{"type":"web_search_call"},'),
}

ANSWERS: dict[str, Shape] = {**EVENTS, **CALLS, **NDJSON}


@WAYS
@pytest.mark.parametrize("piece", [64, 1 << 30], ids=["tiny", "one"])
@pytest.mark.parametrize("shape", ANSWERS.values(), ids=ANSWERS)
def test_an_answer(path, form, piece, shape):
    def work(data: bytes) -> None:
        stream = translated(path, form, stream=True).stream("x", NOW)
        for start in range(0, len(data), piece):
            stream.feed(data[start : start + piece])
        stream.end()

    assert_linear(shape, work)


@WAYS
@pytest.mark.parametrize("shape", [*OBJECTS.values(), *ITEMS.values()], ids=[*OBJECTS, *ITEMS])
def test_a_request(path, form, shape):
    how = translation(ENDPOINTS[path], FORMS[form])
    assert how is not None
    key = b"input" if path == RESPONSES else b"messages"
    listed = shape in ITEMS.values()

    def work(data: bytes) -> None:
        how.request(b'{"model":"m","%b":[%b{}]}' % (key, data) if listed else data)

    assert_linear(shape, work)
