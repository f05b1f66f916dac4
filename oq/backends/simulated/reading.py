"""Reads the body of a request as Ollama does, which is written in Go: https://pkg.go.dev/encoding/json

Keys may be in upper case, what follows the first value is left unread, bytes that are no UTF-8 are
read as U+FFFD, and an error says what it says there.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from oq.rules.surrogates import readable
from oq.words.from_json import NOT_READ

T = TypeVar("T")


class Refused(Exception):
    """The request gets an HTTP error instead of an answer. `fields` are further ones of the error;
    `scripted` says that a script wants it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        retry_after: str | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.fields = fields or {}


_ODD_KEY = re.compile(rb'"[a-z_]*[A-Z][A-Za-z_]*"\s*:')
_WRONG = re.compile(
    r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`(?: - at `\$\.?(?P<field>[^`]*)`)?"
)
_GOT = {"str": "string", "int": "number", "float": "number"}
_TYPES = {"str": "string", "bool": "bool", "int": "int", "object": "map[string]interface {}"}
_FIRST = json.JSONDecoder()


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The request; Refused with 400, and Go's words, if it is not what was expected."""
    text = readable(body)
    if not _ODD_KEY.search(text):
        try:
            return decoder.decode(text)
        except NOT_READ:
            pass  # read slowly, it may be one after all
    value = first_value(body)
    kind = decoder.type
    try:
        return msgspec.convert({} if value is None else _folded(value, kind), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Refused(400, _in_go(error, kind)) from None


def decode_object(body: bytes) -> dict[str, Any]:
    """The same of an object whose fields are read one by one."""
    return decode(_OBJECT, body)


def first_value(body: bytes) -> Any:
    """The first JSON value of a body; Refused with Go's words if there is none."""
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise Refused(400, "EOF")
    try:
        value, end = _FIRST.raw_decode(text)
        plain = readable(text[:end].encode())  # what follows may be anything
        return value if plain == text[:end].encode() else json.loads(plain)
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or "Unterminated" in error.msg or _is_cut(text[error.pos :]):
            raise Refused(400, "unexpected EOF") from None
        character = text[error.pos]
        raise Refused(
            400, f"invalid character {character!r} looking for beginning of value"
        ) from None
    except RecursionError:
        raise Refused(400, "exceeded max depth") from None


def _is_cut(rest: str) -> bool:
    """Whether it ends within a word that could have become one of JSON."""
    return any(word.startswith(rest) for word in ("true", "false", "null"))


def _folded(value: Any, kind: Any) -> Any:
    """The object with its keys as the type spells them, and those of its messages in lower case."""
    if not isinstance(value, dict) or not hasattr(kind, "__struct_encode_fields__"):
        return value
    names = {name.lower(): name for name in kind.__struct_encode_fields__}
    fields = {names.get(key.lower(), key): part for key, part in value.items()}
    messages = fields.get("messages")
    if isinstance(messages, list):
        fields["messages"] = [
            {key.lower(): part for key, part in message.items()}
            if isinstance(message, dict)
            else message
            for message in messages
        ]
    return fields


def _in_go(error: Exception, kind: Any) -> str:
    """The error in Go's words, as far as it has them."""
    found = _WRONG.fullmatch(str(error))
    if found is None:
        return str(error)
    wanted = found["wanted"].split(" | ")[0]
    type_, got = _TYPES.get(wanted, wanted), _GOT.get(found["got"], found["got"])
    name = getattr(kind, "__name__", "")
    if not found["field"]:
        return f"json: cannot unmarshal {got} into Go value of type api.{name}"
    return (
        f"json: cannot unmarshal {got} into Go struct field {name}.{found['field']} of type {type_}"
    )


_OBJECT = msgspec.json.Decoder(dict[str, Any])
