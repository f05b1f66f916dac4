"""The options of a task that make Ollama load its model again, as one text.

Two tasks of a model whose texts differ need two loads: a server that has one of them in memory
loads the model anew for the other. The text is made once, when the task is submitted. Which options
these are, and how their values are read, is as in Ollama (`Options.FromMap` in its api/types.go,
`needsReload` in its server/sched.go).
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from oq.words.from_json import NOT_READ

LONGEST = 32
"""Characters of a value that is read."""

_INTEGERS = 1 << 63
"""What is as large as this is no integer in Go."""


class _Options(Struct):
    """In the order of the text. Names match exactly: in Ollama these are keys of a map."""

    main_gpu: Raw = Raw()
    num_batch: Raw = Raw()
    num_ctx: Raw = Raw()
    num_gpu: Raw = Raw()
    num_thread: Raw = Raw()


_OPTIONS = msgspec.json.Decoder(_Options)
_NUMBER = msgspec.json.Decoder(float)
_BOOLEANS = (b"true", b"false")
_NOTHING = (b"", b"null")


def load_text(options: bytes | Raw, shift: bytes | Raw = b"") -> str:
    """Such as ``num_ctx=4096,shift=false``, sorted by name; empty if none of them is given.
    `options` is a JSON object, `shift` the value of that member beside it.

    It is empty too if Ollama refuses one of the values, or if one is longer than anybody writes it:
    of such a task nothing is loaded. So the text has at most 200 characters.
    """
    try:
        given = {} if bytes(options) in _NOTHING else _integers(_OPTIONS.decode(options))
        if bytes(shift) not in _NOTHING:
            given["shift"] = _boolean(bytes(shift))
    except (*NOT_READ, _Refused):
        return ""
    return ",".join(f"{name}={value}" for name, value in given.items())


class _Refused(Exception):
    """Ollama does not take this value."""


def _integers(options: _Options) -> dict[str, str]:
    given: dict[str, str] = {}
    for name in options.__struct_fields__:
        written = bytes(getattr(options, name))
        if written in _NOTHING:
            continue
        value = _integer(written)
        # A negative number of layers is the default: Ollama chooses it.
        if name != "num_gpu" or value >= 0:
            given[name] = str(value)
    return given


def _integer(written: bytes) -> int:
    """Go reads a number as a double, and cuts it."""
    if len(written) > LONGEST:
        raise _Refused
    value = int(_NUMBER.decode(written))
    if not -_INTEGERS <= value < _INTEGERS:
        raise _Refused
    return value


def _boolean(written: bytes) -> str:
    if written not in _BOOLEANS:
        raise _Refused
    return written.decode()
