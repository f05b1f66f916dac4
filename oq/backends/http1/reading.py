"""Reads an answer out of the bytes of a connection, however they are cut. No I/O.

httptools finds what is where. What it would take as one answer, and other readers as another, is
refused here: a transfer coding beside ``chunked``, another version, a switch of protocols. Three
things that h11 reads are read too, since some servers send them: lines of the head that end with a
line feed alone, spaces behind the size of a chunk, and a length that is said twice and is the same.
"""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from oq.backends.http1.errors import Lost

MAX_HEAD = 100 * 1024
"""Bytes of the head of an answer, that of an interim one too (1xx)."""
MAX_FIELDS = 1000
"""Headers of an answer."""
MAX_INTERIM = 1000
"""Interim answers before the answer: a server may say for long that it is still at work."""
MAX_FRAMING = 64 * 1024
"""Bytes in a row of which none is of the body: the size of a chunk with its extensions, trailers.
"""

_SHOWN = 60
"""Bytes that an error shows of what came."""
_CODING, _LENGTH = b"transfer-encoding", b"content-length"
_NO_BODY = (204, 304)
_TWICE = "Duplicate Content-Length"
_BLANK = re.compile(rb"\n\r?\n")
_INTERIM = re.compile(rb"HTTP/1\.[01] 1[0-9][0-9]\b")
_VERSIONS = ("1.1", "1.0")
_REASON = re.compile(rb"[\t -~\x80-\xff]*")


class AnswerReader:
    """One answer. `head_only`: it answers HEAD, so no body follows, whatever it says.

    The methods that begin with ``on_`` are called by httptools.
    """

    def __init__(self, *, head_only: bool = False) -> None:
        self.status = 0
        self.reason = b""
        self.fields: list[tuple[bytes, bytes]] = []
        """The headers as they were written, without the spaces around a value."""
        self.has_head = False
        self.whole = False
        """Whether the end of the answer has come."""
        self.keeps = False
        """Whether the connection can be used again once the answer is whole."""
        self.open_end = False
        """Whether the body ends where the connection does: the head says no length."""
        self._head_only = head_only
        self._wrong = ""
        self._interim = 0
        self._without_body = 0  # bytes in a row
        self._pieces: list[bytes] = []
        self._head = bytearray()  # what has come of it, with interim ones
        self._twice: HttpParserError | None = None
        self._parser = self._new_parser()

    def feed(self, data: bytes) -> None:
        """Read what has come; nothing means that the connection has ended. Lost if it is wrong."""
        if not data:
            self._end()
            return
        if not self.has_head and not self._interim and not self._without_body:
            if data[0] != 72:  # H
                raise Lost(f"what came is no HTTP/1.1: {_shown(data)}")
        wrong = ""
        try:
            self._parse(data)
        except HttpParserUpgrade:
            wrong = "it switches to another protocol, unasked"
        except HttpParserError as error:
            wrong = str(error) if self.has_head else f"{error}: {_shown(data)}"
        if wrong and self.whole:
            self.keeps = False
        elif wrong := self._wrong or wrong:
            self._wrong = wrong
            self.keeps = False
            if not self._pieces:
                raise Lost(wrong)
        elif not self._pieces and not self.whole:
            self._count(len(data))

    def take(self) -> bytes:
        """The bytes of the body that have come since. Lost if what came behind them was wrong."""
        pieces = self._pieces
        if not pieces:
            if self._wrong:
                raise Lost(self._wrong)
            return b""
        self._without_body = 0
        self._pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def release(self) -> None:
        """Nothing more will be read: forget the parser, which knows this reader in turn."""
        del self._parser

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        return parser

    def _parse(self, data: bytes) -> None:
        """Let httptools read it. That refuses every second length: then the head is read again,
        once it is whole, without those that say the same as the first (RFC 9112, 6.3).
        """
        if self.has_head:
            self._parser.feed_data(data)
            return
        if len(self._head) <= MAX_HEAD:
            self._head += data
        new = max(0, len(self._head) - len(data) - 2)  # an end of the head may have begun before
        if self._twice is None:
            new = 0
            try:
                self._parser.feed_data(data)
            except HttpParserError as error:
                if self.has_head or _TWICE not in str(error) or len(self._head) > MAX_HEAD:
                    raise
                self._twice = error
            else:
                return
        once = _said_once(bytes(self._head)) if _BLANK.search(self._head, new) else None
        if once is None:
            return
        if once == self._head:
            raise self._twice
        self._parser, self._twice = self._new_parser(), None
        self._interim, self.reason, self.fields = 0, b"", []
        self._parser.feed_data(once)

    def _count(self, size: int) -> None:
        self._without_body += size
        if not self.has_head:
            if self._without_body > MAX_HEAD:
                raise Lost(f"the head of the answer has over {MAX_HEAD} bytes")
        elif self._without_body > MAX_FRAMING:
            raise Lost(f"the sizes of chunks, or the trailers, have over {MAX_FRAMING} bytes")

    def _end(self) -> None:
        if self.open_end:
            self.whole = True
        elif self.has_head:
            raise Lost("the server closed the connection before the end of its answer")
        elif self._without_body or self._interim:
            raise Lost("the server closed the connection in the head of its answer")
        else:
            raise Lost("the server closed the connection without an answer")

    # -- what httptools calls

    def on_message_begin(self) -> None:
        if self.has_head:
            self.keeps = False  # what follows was not asked for

    def on_status(self, data: bytes) -> None:
        if not self.has_head:
            self.reason += data

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.fields.append((name, value.rstrip(b" \t")))
        elif not self.whole and name.lower() == _CODING:  # other trailers are dropped
            self._wrong = "a trailer of the answer names a transfer coding"

    def on_headers_complete(self) -> None:
        if self.has_head:
            return
        parser = self._parser
        self.status = status = parser.get_status_code()
        version = parser.get_http_version()
        names = [name.lower() for name, _ in self.fields]
        self._wrong = self._wrong or self._refused(status, version, names)
        if status < 200 or self._wrong:
            return
        parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=False)  # of chunks
        self.has_head, self._head = True, bytearray()
        self._without_body = 0
        empty = self._head_only or status in _NO_BODY
        self.open_end = not empty and _CODING not in names and _LENGTH not in names
        self.whole = self._head_only
        self.keeps = version == "1.1" and not self._head_only and parser.should_keep_alive()

    def _refused(self, status: int, version: str, names: list[bytes]) -> str:
        """Why the head is refused; nothing if it is not."""
        if version not in _VERSIONS:
            return f"it answers in HTTP/{version}"
        if status == 101:
            return "it switches to another protocol, unasked"
        if status < 100:
            return f"it answers with the status {status}"
        if not _REASON.fullmatch(self.reason):
            return f"its reason phrase has control characters: {_shown(self.reason)}"
        if len(names) > MAX_FIELDS:
            return f"the answer has over {MAX_FIELDS} headers"
        if _CODING in names:
            codings = [value for name, value in self.fields if name.lower() == _CODING]
            if len(codings) > 1 or codings[0].lower() != b"chunked":
                return f"it sends a transfer coding unasked: {_shown(b', '.join(codings))}"
        return ""

    def on_body(self, data: bytes) -> None:
        if self.has_head and not self.whole:  # what follows a head that is refused is no body
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        if self.has_head:
            self.whole = True
            return
        self._interim += 1
        self._without_body = 0
        self.reason = b""
        self.fields = []
        if self._interim > MAX_INTERIM:
            self._wrong = f"over {MAX_INTERIM} interim answers came before the answer"


def _said_once(data: bytes) -> bytes | None:
    """The same without each Content-Length that says what the first one of its head does. None if
    the head is not whole; what follows it stays.
    """
    kept, said, at, interim = [], b"", 0, False
    while (end := data.find(b"\n", at) + 1) > 0:
        line = data[at:end]
        at = end
        if _INTERIM.match(line):
            interim = True
        if not line.strip(b"\r\n"):
            kept.append(line)
            if not interim:
                return b"".join(kept) + data[at:]
            said, interim = b"", False
            continue
        name, _, value = line.partition(b":")
        if name.lower() == _LENGTH:
            if value.strip() == said:
                continue
            said = said or value.strip()
        kept.append(line)
    return None


def _shown(data: bytes) -> str:
    """The beginning of what came. No word is cut: half a key would not be known as one."""
    return repr(data if len(data) <= _SHOWN else data[:_SHOWN].rpartition(b" ")[0])
