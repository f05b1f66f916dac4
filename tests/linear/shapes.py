"""Inputs that mean ill, each of about so many bytes."""

from __future__ import annotations

from collections.abc import Callable

Shape = Callable[[int], bytes]


def repeated(unit: bytes) -> Shape:
    return lambda size: unit * (size // len(unit))


def members(member: bytes) -> Shape:
    """A JSON object of one member, again and again, behind what a call or a payload needs."""
    head = b'{"model":"m","prompt":"x","messages":[{"role":"user","content":"x"}],"input":"x"'
    return lambda size: head + (b"," + member) * (size // (len(member) + 1)) + b"}"


def value(unit: bytes, begin: bytes = b"[", end: bytes = b"0]") -> Shape:
    """The same object with one long value."""
    return lambda size: (
        members(b'"a":' + begin + unit * (size // len(unit)) + end)(0)[:-1]
        + (b',"a":' + begin + unit * (size // len(unit)) + end + b',"stream":false}')
    )


DEEP = b"[" * 400 + b"]" * 400 + b","

OBJECTS: dict[str, Shape] = {
    "one member again and again": members(b'"stream":false'),
    "escaped names": members(rb'"str\u0065am":false'),
    "members with deep values": members(b'"a":[[[1],[2]]]'),
    "stream options": members(b'"stream_options":{"a":1}'),
    "299 digits": value(b"9" * 299 + b","),
    "300 digits": value(b"9" * 300 + b","),
    "4300 digits": value(b"9" * 4300 + b","),
    "exponents": value(b"1e100,"),
    "digits in a text": value(b"9" * 299 + b" ", b'"', b'"'),
    "empty lists": value(b"[],"),
    "deep lists": value(DEEP),
    "deeper than can be": value(b"["),
    "brackets that open": value(b"[a"),
    "quotes": value(b'\\"', b'"', b'"'),
    "backslashes": value(b"\\\\", b'"', b'"'),
    "half pairs": value(rb"\ud83e", b'"', b'"'),
    "whole pairs": value(rb"\ud83e\udd99", b'"', b'"'),
    "a text without an end": value(b"a", b'"', b""),
    "spaces": value(b" "),
    "newlines": value(b"\n"),
    "commas in a text": value(b",[{", b'"', b'"'),
}

LINES: dict[str, Shape] = {
    "newlines": repeated(b"\n"),
    "carriage returns": repeated(b"\r"),
    "both": repeated(b"\r\n"),
    "spaces": repeated(b" "),
    "lines of spaces": repeated(b"  \n"),
    "one line": repeated(b"a"),
    "short lines": repeated(b"a\n"),
    "empty objects": repeated(b"{}\n"),
}

NDJSON: dict[str, Shape] = LINES | {
    "tokens": repeated(b'{"message":{"content":"a"},"done":false}\n'),
    "tool calls": repeated(b'{"message":{"tool_calls":[{},{}]},"done":false}\n'),
    "half pairs": repeated(b'{"message":{"content":"\\ud83e"},"x":"\\udd99"}\n'),
    "no numbers": repeated(b'{"message":{"content":"a"},"x":NaN}\n'),
    "constants": repeated(b'{"message":{"format":"a"},"x":"a"}\n'),
    "what is no line": repeated(b"<p>\n"),
    "new fields": lambda size: b"".join(b'{"f%d":1}\n' % n for n in range(size // 12)),
}

EVENTS: dict[str, Shape] = LINES | {
    "comments": repeated(b":\n\n"),
    "data lines": repeated(b"data:\n"),
    "fields": repeated(b"id:\n"),
    "empty events": repeated(b"data:\n\n"),
    "tokens": repeated(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'),
    "arguments": repeated(
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":'
        b'[{"index":0,"function":{"name":"a","arguments":"a"}}]}}]}\n\n'
    ),
    "names again": repeated(
        b'data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"a",'
        b'"arguments":"{\\"\\\\"}}]}}]}\n\n'
    ),
    "whole calls again": lambda size: (
        (
            b'data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"a",'
            b'"arguments":"{}%b"}}]}}]}\n\n' % (b" " * 1000)
        )
        * (size // 1100)
    ),
    "parts": repeated(
        b'data: {"choices":[{"delta":{"content":[{"type":"text","text":"a"}]}}]}\n\n'
    ),
    "constants": repeated(b'data: {"choices":[{"delta":{"format":"a"}}]}\n\n'),
    "half pairs": repeated(b'data: {"choices":[{"delta":{"content":"\\ud83e"}}]}\n\n'),
    "no numbers": repeated(b'data: {"choices":[{"text":"a","a":NaN}]}\n\n'),
    "what is no event": repeated(b"<p>\n\n"),
    "many places": lambda size: b"".join(
        b'data: {"choices":[{"index":0,"delta":{"x":[{"index":%d}]}}]}\n\n' % (n % 4000)
        for n in range(size // 64)
    ),
    "empty lists": lambda size: (
        b'data: {"choices":[{"delta":{"x":[%b0]}}]}\n\n' % (b"[]," * (size // 3))
    ),
}
