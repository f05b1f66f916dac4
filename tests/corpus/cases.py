"""The cases: what is sent, what the simulator is told, and what the direct answer is like."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from oq.backends.simulated import Script

HERE = Path(__file__).parent
_BOUNDARY = "----corpus-boundary"
_REPEATED = re.compile(rb"\{\{(\d+) x ([^{}]+)\}\}")
_OLLAMAS = ("api/", "v1/messages", "v1/responses")
"""Paths of which the calls go through a backend of kind ollama."""


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a form: a field with a `text`, or a file with `name` and base64 `data`."""

    field: str
    text: str = ""
    name: str | None = None
    type: str = "application/octet-stream"
    data: str = ""

    def encoded(self) -> bytes:
        """The part with its head, between two boundaries."""
        head = f'Content-Disposition: form-data; name="{self.field}"'
        if self.name is None:
            return f"{head}\r\n\r\n{self.text}".encode()
        head += f'; filename="{self.name}"\r\nContent-Type: {self.type}'
        return f"{head}\r\n\r\n".encode() + base64.b64decode(self.data)


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call. At most one of `json`, `text`, `latin1`, `base64` and `form` is its body."""

    name: str
    path: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    """Beside Host and the length. A Content-Type is sent unless there is one, or `untyped`."""
    untyped: bool = False
    json: Raw = Raw()
    """Sent as it is written in the line."""
    text: str | None = None
    latin1: str | None = None
    base64: str | None = None
    form: tuple[Part, ...] = ()
    chunks: int = 0
    """The body is sent in so many chunks instead of with a length."""
    script: Script | None = None
    """What the simulator is told."""
    lacks: bool = False
    """Whether the simulator lacks this path."""
    backends: tuple[Literal["ollama", "openai"], ...] | None = None
    """The kinds of backend through which the call is made, in place of the one of `kinds`."""

    status: int = 200
    """Of the direct answer: a case that does not do what it is for would hold nothing."""
    has: str = ""
    """A part of the direct answer's body, in Latin-1."""
    cut: Literal["", "stream", "whole", "silent"] = ""
    """How the direct answer breaks off: within a stream, within one body, or before any of it."""
    stated: int | None = None
    """The direct answer is an error that hides behind 200: as the only thing in it, or before all
    else in a stream. Through oq the error has this status, the one that it states itself.
    """

    busy: bool = False
    """The refusal says that the server is busy. Through oq the call is sent again, and answered."""

    def body(self) -> bytes:
        """The bytes of the body."""
        if self.form:
            parts = [f"--{_BOUNDARY}\r\n".encode() + part.encoded() for part in self.form]
            return b"\r\n".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])
        for value, encoding in ((self.text, "utf-8"), (self.latin1, "latin-1")):
            if value is not None:
                return value.encode(encoding)
        return base64.b64decode(self.base64) if self.base64 is not None else bytes(self.json)

    def head(self) -> list[tuple[str, str]]:
        """The headers that say what the body is, and those of the case."""
        typed = self.untyped or any(name.lower() == "content-type" for name, _ in self.headers)
        kind = f"multipart/form-data; boundary={_BOUNDARY}" if self.form else "application/json"
        return [*([] if typed or self.method == "GET" else [("Content-Type", kind)]), *self.headers]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of backend through which it is made: by default one that has its API."""
        if self.backends is not None:
            return self.backends
        return ("ollama",) if self.path.lstrip("/").startswith(_OLLAMAS) else ("openai",)


def read_cases() -> Iterator[tuple[str, Case]]:
    """Each case with the name of its file."""
    for path in sorted(HERE.glob("*.jsonl")):
        for case in read_lines(path):
            yield path.stem, case


def read_lines(path: Path) -> Iterator[Case]:
    """The cases of one file. ``{{300 x ab}}`` stands for the text that is repeated so many times.
    ValueError names the line that is none.
    """
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            yield msgspec.json.decode(_REPEATED.sub(_repeat, line), type=Case)
        except msgspec.MsgspecError as error:
            raise ValueError(f"{path.name}:{number}: {error}") from None


def _repeat(found: re.Match[bytes]) -> bytes:
    return found[2] * int(found[1])


class Headers(Struct, frozen=True, forbid_unknown_fields=True):
    """Which headers of an answer are the same on both ways: `passed`, and those that begin with one
    of `families`. Of these oq may have `added` one that the direct answer lacks: that a client need
    not try again what oq has tried again, and what the body is. Those of `own` are each side's own.
    Of all others oq's answer has none.
    """

    passed: frozenset[str]
    families: tuple[str, ...]
    added: frozenset[str]
    own: frozenset[str]

    def passes(self, name: str) -> bool:
        """Whether a header is that of the backend on both ways."""
        return name in self.passed or name.startswith(self.families)


HEADERS = msgspec.convert(json.loads((HERE / "headers.json").read_text()), Headers)
