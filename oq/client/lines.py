"""Bytes as they come from a connection, put together to lines and to server-sent events."""

from __future__ import annotations


class Lines:
    """Splits a stream into lines, wherever the network cut it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts.clear()
        if rest:
            self._parts.append(rest)
        return lines


class ServerSent:
    """Splits a stream into the data of its events.

    https://html.spec.whatwg.org/multipage/server-sent-events.html, as far as oq uses it: ids are
    in the data too, and names and comments carry nothing.
    """

    def __init__(self) -> None:
        self._lines = Lines()
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that `data` completes."""
        events = []
        for line in self._lines.feed(data):
            field, _, value = line.removesuffix(b"\r").partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
            elif not field and not value and self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
        return events
