"""The one type of a request. The door makes it (see `oq.http.door`), and all handlers take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from msgspec import Struct
from werkzeug.datastructures import MultiDict

from oq.http.guard import Verdict
from oq.queue import RawQueue
from oq.words.caller import Caller

if TYPE_CHECKING:
    from oq.http.connection import Connection


class Request(Struct, kw_only=True):
    """A request whose caller is known. Names of headers are lower-case.

    `scope` is its ASGI scope; on the fast path that has no more than what handlers ask for. `queue`
    has the verbs on behalf of the request's caller. `body` is the whole body, for handlers that
    take one.
    """

    scope: Any
    headers: dict[bytes, bytes]
    queue: RawQueue
    verdict: Verdict
    body: bytes = b""

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return self.queue.caller

    @property
    def is_websocket(self) -> bool:
        """Whether it asks for a WebSocket."""
        return bool(self.scope["type"] == "websocket")

    @property
    def method(self) -> str:
        """ "GET" for a WebSocket too."""
        method: str = self.scope.get("method", "GET")
        return method

    @property
    def path(self) -> str:
        """The path, decoded, without the query."""
        path: str = self.scope["path"]
        return path

    @property
    def where(self) -> str:
        """What was asked for, for errors and the log: ``"POST /api/tasks"``."""
        return f"{self.method} {self.path}"

    @property
    def args(self) -> MultiDict[str, str]:
        """What comes after the question mark."""
        given = self.scope.get("query_string", b"").decode()
        return MultiDict(parse_qsl(given, keep_blank_values=True, errors="werkzeug.url_quote"))

    @property
    def mimetype(self) -> str:
        """The type of the body, without its parameters."""
        return (self.header(b"content-type") or "").partition(";")[0].strip().lower()

    @property
    def connection(self) -> Connection | None:
        """The connection, if it is oq's own and speaks HTTP/1.1: then pieces can go past the
        layers above it.
        """
        if self.scope.get("http_version") != "1.1":
            return None
        connection: Connection | None = self.scope.get("state", {}).get("connection")
        return connection

    def header(self, name: bytes) -> str | None:
        """The header of this lower-case name."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")
