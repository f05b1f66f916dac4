"""Bytes as they come from a socket, put together to lines."""

from __future__ import annotations

from oq.words.errors import BackendFailure

MAX_LINE = 64 * 1024 * 1024
"""Bytes. One chunk of an answer is a few hundred; a tool call or an image may be megabytes."""


class Lines:
    """Splits a stream into lines, wherever the network cut it. A line may end with CRLF."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends.

        BackendFailure if one is longer than the limit.
        """
        *lines, rest = data.split(b"\n")
        if lines:
            self._parts.append(lines[0])
            lines[0] = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
        self._size += len(rest)
        if rest:
            self._parts.append(rest)
        if self._size > self._limit or any(len(line) > self._limit for line in lines):
            raise BackendFailure(f"the backend sent a line of more than {self._limit} bytes")
        return [line[:-1] if line.endswith(b"\r") else line for line in lines]

    def rest(self) -> bytes:
        """What has come after the last line end."""
        return b"".join(self._parts)
