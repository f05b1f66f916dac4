"""The head of a backend's answer, as far as the caller of a call gets it."""

from __future__ import annotations

from msgspec import Struct

Headers = tuple[tuple[bytes, bytes], ...]


class Head(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """Its HTTP status, its reason phrase, and those of its headers that pass (see
    `oq.rules.headers`), with their names in lower case.
    """

    status: int = 200
    reason: bytes = b""
    headers: Headers = ()

    def header(self, name: bytes) -> bytes:
        """The value of this header; nothing if it has none."""
        return next((value for each, value in self.headers if each == name), b"")

    def sized(self, size: int | None) -> Head:
        """The same head with this length of the body, in bytes; None: without any."""
        kept = tuple(item for item in self.headers if item[0] != b"content-length")
        length = () if size is None else ((b"content-length", b"%d" % size),)
        return Head(self.status, self.reason, (*kept, *length))

    def of_type(self, content_type: bytes) -> Head:
        """The head of another body with this content type, whose length is not known."""
        kept = tuple(item for item in self.sized(None).headers if item[0] != b"content-type")
        return Head(self.status, self.reason, (*kept, (b"content-type", content_type)))

    @property
    def content_type(self) -> bytes:
        """The kind of its body without parameters, in lower case."""
        return self.header(b"content-type").partition(b";")[0].strip().lower()
