"""The key of a backend, kept out of all that oq shows: answers, tasks, headers, the log.

Some servers repeat a key that they refuse, in an error or in a header. Each such place is cleaned
by the `Secret` of that backend, and by nothing else. What a model generates is never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import msgspec

from oq.words.errors import BackendError

SHORTEST = 16
"""Characters. A shorter key (`ollama`, `-`) is no secret: to remove it would remove words."""

MASK = b"***"


class Secret:
    """One key, in every form in which a server may write it. None and a short key are no secret."""

    def __init__(self, key: str | None) -> None:
        self._forms = sorted(_forms(key), key=len, reverse=True)
        self.longest = max(map(len, self._forms), default=0)
        """Bytes of its longest form; 0 if there is nothing to hide."""

    def scrub(self, data: bytes, *, keep_length: bool = False) -> bytes:
        """`data` with a mask in place of the key; with `keep_length` one that is as long."""
        for form in self._forms:
            data = data.replace(form, b"*" * len(form) if keep_length else MASK)
        return data

    def scrub_text(self, text: str) -> str:
        """The same of a text."""
        if not self._forms:
            return text
        data = text.encode("utf-8", "surrogatepass")
        return self.scrub(data).decode("utf-8", "surrogatepass")

    def scrub_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The same of the headers of an answer."""
        return [(name, self.scrub(value)) for name, value in headers]

    @contextmanager
    def kept_from_errors(self) -> Iterator[None]:
        """What is raised in here says nothing of the key, nor does the body that it carries."""
        try:
            yield
        except BackendError as error:
            error.args = tuple(
                self.scrub_text(each) if isinstance(each, str) else each for each in error.args
            )
            if error.body is not None:
                error.body = self.scrub(error.body)
            raise

    def half_said(self, data: bytes) -> int:
        """How many bytes at the end of `data` may be the beginning of the key."""
        return max((_overlap(data, form) for form in self._forms), default=0)


class ScrubbedStream:
    """A body that comes in pieces: a key is found wherever the network has cut it."""

    def __init__(self, secret: Secret, *, keep_length: bool) -> None:
        self._secret = secret
        self._keep_length = keep_length
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be passed on now."""
        if not self._secret.longest:
            return data
        clean = self._secret.scrub(self._held + data, keep_length=self._keep_length)
        passed = len(clean) - self._secret.half_said(clean)
        self._held = clean[passed:]
        return clean[:passed]

    def rest(self) -> bytes:
        """What was held back, once nothing more comes."""
        rest, self._held = self._held, b""
        return rest


def _forms(key: str | None) -> set[bytes]:
    """As it is, in a JSON text (Go writes some characters as escapes there), and in a url."""
    if key is None or len(key) < SHORTEST:
        return set()
    in_json = msgspec.json.encode(key)[1:-1]
    in_gos_json = in_json
    for character in b"<>&":
        in_gos_json = in_gos_json.replace(bytes([character]), b"\\u%04x" % character)
    slashes_escaped = in_json.replace(b"/", b"\\/")
    return {key.encode(), in_json, in_gos_json, slashes_escaped, quote(key, safe="").encode()}


def _overlap(data: bytes, form: bytes) -> int:
    start = max(0, len(data) - len(form) + 1)
    while (start := data.find(form[:1], start)) >= 0:
        if form.startswith(data[start:]):
            return len(data) - start
        start += 1
    return 0
