"""Reads the body of a call: what oq needs to know of it, and the one thing that oq changes.

The bytes of a body are kept as they came. A backend that speaks the call's own dialect gets these
very bytes, except that chat and generate always stream: closing the connection is the only way to
stop them, and a call that does not stream may run on after its caller has gone. To a call of
OpenAI's that did not stream, `stream_options.include_usage` is added too, without which the counts
that its answer has would be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from oq.rules.surrogates import readable
from oq.rules.validation import decode
from oq.words.endpoints import Dialect, Endpoint
from oq.words.errors import InvalidTask
from oq.words.task import Body

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = rb'(?:[^][{}"]++|' + _STRING + rb")*+"
_BRACKET = re.compile(
    rb'(?:[^][{}"]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})*+([][{}])",
    re.DOTALL,
)
"""The next bracket, and all that stands before it: of a value that is deeper only they matter, and
the most of it, what opens and closes without another one within, is passed over in one step."""
_MEMBER = re.compile(
    rb"[\s,]*+(" + _STRING + rb")\s*+:\s*+"
    rb'([^][{}",\s]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})?+",
    re.DOTALL,
)
"""A member's name and its value, if that is no deeper than one bracket."""
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_APART = frozenset({"model", "options", "stream"})


class _CallFields(Struct):
    """What oq itself has to know of a call."""

    model: str | None = None
    stream: bool | None = None


class _Optioned(Struct):
    stream_options: Raw = Raw(b"null")


_ASKED = msgspec.json.Decoder(_CallFields)
_OPTIONED = msgspec.json.Decoder(_Optioned)


def read_call(call: Endpoint, body: bytes) -> tuple[str, bool]:
    """The model, and whether the answer is to be streamed. InvalidTask if the body is not such a
    call; what else is wrong with it is for the backend to say.
    """
    asked = decode(_ASKED.decode, readable(body), any_number=True)
    if not asked.model:
        raise InvalidTask("", "model is required")
    if call.streams is None:
        return asked.model, False
    return asked.model, call.streams if asked.stream is None else asked.stream


def upstream_body(call: Endpoint, body: bytes) -> bytes:
    """The body for a backend that speaks the call's dialect."""
    if call.streams is None or read_call(call, body)[1]:
        return body
    body = with_member(body, "stream", b"true")
    if call.dialect is Dialect.OPENAI:
        given = _OPTIONED.decode(readable(body)).stream_options
        asked = bytes(given) if memoryview(given)[:1].tobytes() == b"{" else b"{}"
        body = with_member(body, "stream_options", with_member(asked, "include_usage", b"true"))
    return body


def with_member(body: bytes, name: str, value: bytes) -> bytes:
    """The JSON object with this member, and every other byte as it was. Of several of this name
    each is replaced: which one counts depends on who reads it.
    """
    parts: list[bytes] = []
    at = 0
    for begin, end in _values(body, name):
        parts += (body[at:begin], value)
        at = end
    if not parts:
        at = body.index(b"{") + 1
        comma = b"," if body[at:].strip() != b"}" else b""
        parts = [body[:at], msgspec.json.encode(name), b":", value, comma]
    return b"".join([*parts, body[at:]])


def as_shown(body: Body) -> Body:
    """What a task asks for, as payload and options: those of a call are parts of its one body. A
    call whose numbers not everybody can read is shown without them.
    """
    if body.call is None:
        return body
    text = readable(body.payload)
    try:
        decode(_OBJECT.decode, text)
    except InvalidTask:
        return Body(b"{}")
    return split_body(text)


def split_body(body: bytes) -> Body:
    """The body of a call as payload and options."""
    fields = _OBJECT.decode(readable(body))
    options = bytes(fields.get("options", b""))
    payload = {key: value for key, value in fields.items() if key not in _APART}
    return Body(msgspec.json.encode(payload), options if options[:1] == b"{" else b"{}")


def _values(body: bytes, name: str) -> Iterator[tuple[int, int]]:
    """Where the values of the members of this name begin and end, in a JSON object that can be
    decoded. Each byte is looked at a few times at most.
    """
    plain = msgspec.json.encode(name)
    at = body.index(b"{") + 1
    while member := _MEMBER.match(body, at):
        begin, at = member.end() if member[2] is None else member.start(2), member.end()
        if member[2] is None:
            at = _end_of_deep(body, begin)
        written = member[1]
        if written == plain or (b"\\" in written and _read(written) == name):
            yield begin, at


def _end_of_deep(body: bytes, begin: int) -> int:
    """Where the value ends that begins here with a bracket."""
    depth, at = 1, begin + 1
    while depth and (bracket := _BRACKET.match(body, at)):
        at = bracket.end()
        depth += 1 if bracket[1] in (b"[", b"{") else -1
    return at


def _read(name: bytes) -> str:
    return msgspec.json.decode(readable(name), type=str)
