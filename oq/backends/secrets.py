"""The key of a backend, kept out of all that oq shows: answers, tasks, headers, the log.

Some servers repeat a key that they refuse, in an error or in a header. Each such place is cleaned
by the `Secret` of that backend, and by nothing else. What a model generates is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from oq.words.errors import BackendError

SHORTEST = 16
"""Characters. A shorter key (`ollama`, `-`) is no secret: to remove it would remove words."""

MASK = b"***"


class Secret:
    """One key, in every form in which a server may write it. None and a short key are no secret."""

    def __init__(self, key: str | None) -> None:
        secret = key is not None and len(key) >= SHORTEST
        self._characters = [_forms(character) for character in key or ""] if secret else []
        written = [b"(?:%b)" % b"|".join(map(_pattern, forms)) for forms in self._characters]
        self._key = re.compile(b"".join(written))
        self.longest = sum(max(map(len, forms)) for forms in self._characters)
        """Bytes of its longest form; 0 if there is nothing to hide."""

    def scrub(self, data: bytes, *, keep_length: bool = False) -> bytes:
        """`data` with a mask in place of the key; with `keep_length` one that is as long."""
        if not self._characters:
            return data
        return self._key.sub(_as_long if keep_length else MASK, data)

    def scrub_text(self, text: str) -> str:
        """The same of a text."""
        if not self._characters:
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
            if error.frame is not None:
                error.frame = self.scrub(error.frame)
            raise

    def half_said(self, data: bytes) -> int:
        """How many bytes at the end of `data` may be the beginning of the key, in which no line
        ends.
        """
        return max(0, min(self.longest - 1, len(data) - data.rfind(b"\n") - 1))


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


def _forms(character: str) -> list[bytes]:
    """How one character of a key may be written: as it is; in a JSON text, where any may be an
    escape, or in a JSON text that is quoted in another; in a url.
    """
    code = ord(character)
    escaped = [b"\\u%04x" % code, b"\\\\u%04x" % code, b"%%%02x" % code]
    if character in '"\\/':
        escaped += [b"\\" + character.encode(), b"\\" * 3 + character.encode()]
    return [*sorted(escaped, key=len, reverse=True), character.encode()]


def _pattern(form: bytes) -> bytes:
    """The digits of an escape may be large or small."""
    return re.escape(form) if len(form) == 1 else b"(?i:%b)" % re.escape(form)


def _as_long(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])
