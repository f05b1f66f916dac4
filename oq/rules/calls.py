"""A call's body: what oq reads of it, and the one thing that it changes. Pure.

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
from oq.words.calls import Call, Dialect
from oq.words.errors import InvalidTask
from oq.words.task import Body

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TOKEN = re.compile(_STRING + rb"|[][{}:,]", re.DOTALL)
_FLAT = rb'(?:[^][{}"]++|' + _STRING + rb")*+"
_BRACKET = re.compile(
    rb'(?:[^][{}"]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})*+([][{}])",
    re.DOTALL,
)
"""The next bracket, and all that stands before it: of a value that is deeper only they matter, and
the most of it, what opens and closes without another one within, is passed over in one step."""
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_APART = frozenset({"model", "options", "stream"})


class Asked(Struct):
    """What oq itself has to know of a call."""

    model: str | None = None
    stream: bool | None = None


_ASKED = msgspec.json.Decoder(Asked)


def read_call(call: Call, body: bytes) -> tuple[str, bool]:
    """The model, and whether the answer is to be streamed. InvalidTask if the body is not such a
    call; what else is wrong with it is for the backend to say.
    """
    asked = decode(_ASKED.decode, readable(body), any_number=True)
    if not asked.model:
        raise InvalidTask("", "model is required")
    if call.streams is None:
        return asked.model, False
    return asked.model, call.streams if asked.stream is None else asked.stream


def upstream_body(call: Call, body: bytes) -> bytes:
    """The body for a backend that speaks the call's dialect."""
    if call.streams is None or read_call(call, body)[1]:
        return body
    body = with_member(body, "stream", b"true")
    if call.dialect is Dialect.OPENAI:
        given = _OBJECT.decode(readable(body)).get("stream_options", Raw(b"null"))
        options = msgspec.json.decode(given)
        asked = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        body = with_member(body, "stream_options", msgspec.json.encode(asked))
    return body


def with_member(body: bytes, name: str, value: bytes) -> bytes:
    """The JSON object with this member, and every other byte as it was."""
    spans = [span for key, *span in _members(body) if key == name]
    for begin, end in reversed(spans):
        body = body[:begin] + value + body[end:]
    if not spans:
        begin = body.index(b"{") + 1
        comma = b"," if body[begin:].strip() != b"}" else b""
        body = b"%b%b:%b%b%b" % (
            body[:begin], msgspec.json.encode(name), value, comma, body[begin:]
        )  # fmt: skip
    return body


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


def _members(body: bytes) -> Iterator[tuple[str, int, int]]:
    """Each member of a JSON object: its name, and where its value begins and ends."""
    depth, name, begin = 0, "", -1
    at = 0
    while token := (_BRACKET if depth > 1 else _TOKEN).search(body, at):
        text, at = token[token.lastindex or 0], token.end()
        closes = text in (b"}", b"]")
        if text in (b"{", b"["):
            depth += 1
        elif depth == 1 and begin >= 0 and (text == b"," or closes):
            value = body[begin : token.start()]
            start = begin + len(value) - len(value.lstrip())
            yield name, start, start + len(value.strip())
            begin = -1
        elif depth == 1 and begin < 0 and text == b":":
            begin = token.end()
        elif depth == 1 and begin < 0 and text[:1] == b'"':
            name = msgspec.json.decode(readable(text), type=str)
        depth -= closes
