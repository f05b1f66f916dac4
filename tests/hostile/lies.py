"""Answers that no good backend gives, drawn from a seed: what is sent, in which parts, and how the
connection ends then.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import repeat
from random import Random

MB = 1 << 20
PARTS_AT_MOST = 2000
HUGE = 48 * MB
"""Bytes of what is sent without an end: far more than an answer may take in the test."""


class End(Enum):
    """What a backend does when it has said all."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True)
class Lie:
    """`parts` are sent one by one."""

    name: str
    parts: Iterator[bytes]
    end: End


class Liar:
    """Draws answers for one dialect; `key` is said wherever there is room for it."""

    def __init__(self, random: Random, key: str, *, openai: bool) -> None:
        self._random = random
        self._key = key
        self._openai = openai

    def draw(self) -> Lie:
        """One answer."""
        kinds: list[Callable[[], tuple[bytes, Iterator[bytes]]]] = [
            self._good, self._bad_json, self._bad_json, self._status, self._bomb, self._not_gzip,
            self._flood, self._framing, self._framing, self._length, self._garbage, self._endless,
            self._twice, self._cut,
        ]  # fmt: skip
        kind = self._random.choice(kinds)
        head, body = kind()
        parts = self._split(head, body)
        return Lie(kind.__name__, parts, self._random.choice(list(End)))

    def _split(self, head: bytes, body: Iterator[bytes]) -> Iterator[bytes]:
        """As the network may cut it, down to single bytes."""
        size = self._random.choice([1, 7, 100, 65536, MB])
        yield head
        for piece in body:
            step = max(size, len(piece) // PARTS_AT_MOST + 1)
            for start in range(0, len(piece), step):
                yield piece[start : start + step]

    def _head(self, *fields: str, status: str = "200 OK") -> bytes:
        kind = "text/event-stream" if self._openai else "application/x-ndjson"
        lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"X-Key: {self._key}", *fields]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _chunk(self, text: str, *, last: bool = False) -> bytes:
        """A good line, or event."""
        if self._openai:
            choice = {"index": 0, "delta": {"content": text}}
            choice["finish_reason"] = "stop" if last else None
            data = {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}
            return b"data: " + json.dumps(data).encode() + b"\n\n" + b"data: [DONE]\n\n" * last
        said = {"model": "m", "message": {"role": "assistant", "content": text}, "done": last}
        return json.dumps(said).encode() + b"\n"

    def _frame(self, data: bytes) -> bytes:
        return b"data: " + data + b"\n\n" if self._openai else data + b"\n"

    def _answer(self) -> bytes:
        words = [self._chunk("word ") for _ in range(self._random.randrange(50))]
        return b"".join(words) + self._chunk("", last=True)

    def _good(self) -> tuple[bytes, Iterator[bytes]]:
        return self._head("Connection: close"), iter([self._answer()])

    def _bad_json(self) -> tuple[bytes, Iterator[bytes]]:
        odd = self._random.choice(
            [
                b'{"done": NaN}', b'{"message": Infinity}', b"[]", b"null", b"1e999", b'"', b"{",
                b'{"message": [], "choices": {}}', b'{"message": 5, "choices": [5]}',
                b'{"message": {"content": {"a": 1}}, "choices": [{"delta": "x"}]}',
                b'{"choices": [{"index": "x", "delta": {"content": 5}}], "done": "yes"}',
                b'{"choices": [{"index": 99999999999999999999, "delta": {"tool_calls": [1]}}]}',
                b'{"message": {"content": "a", "content": "b"}, "done": true, "done": false}',
                b'{"message": {"content": "\\ud800"}, "choices": [{"text": "\\udfff"}]}',
                b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe\x00", b"\x00" * 5000,
                b'{"error": "no such key: %b"}' % self._key.encode(),
                b'{"error": {"message": "%b"}}' % self._key.encode(),
                b'{"a": "%b", "b": %b}' % (b"x" * MB, b"1," * MB),
                b'{"message": {"tool_calls": [%b1]}}' % (b"1," * MB),
                b'{"eval_count": -1, "prompt_eval_count": 1e30, "done": true}',
            ]
        )  # fmt: skip
        after = self._answer() if self._random.random() < 0.5 else b""
        return self._head("Connection: close"), iter([self._chunk("a"), self._frame(odd), after])

    def _status(self) -> tuple[bytes, Iterator[bytes]]:
        status = self._random.choice(
            ["100 Continue", "101 Switching", "204 No", "206 Part", "301 Moved", "304 Not",
             "400 Bad", "401 No", "404 Not", "407 Proxy", "418 Tea", "429 Many", "500 Oh",
             "503 Busy", "599 What", "999 What", "20 x", "2000 x", "abc def"]
        )  # fmt: skip
        retry = self._random.choice(["0", "-1", "9" * 400, "soon", "1"])
        said = f'{{"error": "bad key {self._key}"}}'.encode() * self._random.choice([1, 5000])
        where = f"Location: http://127.0.0.1:1/{self._key}"
        head = self._head(where, f"Retry-After: {retry}", status=f"{status} {self._key}")
        return head, iter([said])

    def _bomb(self) -> tuple[bytes, Iterator[bytes]]:
        inner = self._random.choice([b"\0", b"\n", b" ", b"[", self._chunk("x" * 50)])
        packed = gzip.compress(inner * (HUGE // len(inner)), 1)
        if self._random.random() < 0.5:
            packed = gzip.compress(packed, 1)
        return self._head("Content-Encoding: gzip", "Connection: close"), iter([packed])

    def _not_gzip(self) -> tuple[bytes, Iterator[bytes]]:
        name = self._random.choice(["gzip", "deflate", "br", "zstd", "gzip, gzip", "x" * 5000])
        return self._head(f"Content-Encoding: {name}"), iter([self._answer()])

    def _flood(self) -> tuple[bytes, Iterator[bytes]]:
        fields = self._random.choice(
            [
                [f"X-{n}: {self._key}" for n in range(5000)],
                ["X: " + "y" * MB],
                ["Set-Cookie: a"] * 9,
            ]
        )
        return self._head(*fields), iter([self._answer()])

    def _framing(self) -> tuple[bytes, Iterator[bytes]]:
        body = self._random.choice(
            [b"zz\r\nabc\r\n", b"-1\r\n", b"f" * 400 + b"\r\n", b"5\r\nabc", b"0\r\n\r\n",
             b"5;" + b"x" * MB + b"\r\nabcde\r\n", b"0\r\n" + b"T: x\r\n" * 50_000, b"5\nabcde\n"]
        )  # fmt: skip
        return self._head("Transfer-Encoding: chunked"), iter([body])

    def _length(self) -> tuple[bytes, Iterator[bytes]]:
        length = self._random.choice(["0", "3", "-5", "9" * 30, "1, 2", "0x10", str(1 << 62), " "])
        return self._head(f"Content-Length: {length}"), iter([self._answer()])

    def _garbage(self) -> tuple[bytes, Iterator[bytes]]:
        said = self._random.randbytes(self._random.choice([0, 1, 100, 10_000]))
        return self._random.choice([b"", b"HTTP/9.9 \r\n", b"\r\n" * 1000, b"SSH-2.0-x\r\n"]), iter(
            [said]
        )

    def _endless(self) -> tuple[bytes, Iterator[bytes]]:
        said = self._random.choice(
            [self._chunk("x" * 1000), self._chunk(""), b"x" * 1000, b"\n", b": c\n\n", b"\r\n\r\n"]
        )
        block = said * (MB // len(said))
        return self._head("Connection: close"), repeat(block, HUGE // MB)

    def _twice(self) -> tuple[bytes, Iterator[bytes]]:
        whole = self._answer()
        return self._head("Connection: close"), iter([whole, whole, self._head(), whole])

    def _cut(self) -> tuple[bytes, Iterator[bytes]]:
        whole = self._head("Connection: close") + self._answer()
        return whole[: self._random.randrange(len(whole))], iter([])
