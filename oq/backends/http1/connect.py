"""Opens connections: a name, an address that answers, and TLS where that is asked for."""

from __future__ import annotations

import ssl
from functools import cache

import trio

from oq.backends.http1.connection import Connection, Origin
from oq.backends.http1.errors import Unreachable, words
from oq.words.durations import format_duration


async def connect(origin: Origin, seconds: float) -> Connection:
    """A connection to the server there, within so many seconds for all of it. Or Unreachable."""
    try:
        with trio.fail_after(seconds):
            return await _connect(origin)
    except trio.TooSlowError:
        raise Unreachable(f"no connection within {format_duration(seconds)}") from None
    # A host that the name system cannot hold is a ValueError of the codec for it.
    except (OSError, ValueError, trio.BrokenResourceError) as error:
        raise Unreachable(words(error)) from None


async def _connect(origin: Origin) -> Connection:
    # Each address of the name gets its chance, the next one a quarter of a second later.
    stream = await trio.open_tcp_stream(origin.host, origin.port)
    if not origin.tls:
        return Connection(origin, stream, stream.socket)
    try:
        secured = trio.SSLStream(
            stream, _context(), server_hostname=origin.host, https_compatible=True
        )
        await secured.do_handshake()
    except BaseException:
        stream.socket.close()
        raise
    return Connection(origin, secured, stream.socket)


@cache
def _context() -> ssl.SSLContext:
    """What certificates are checked by: httpx's authorities, or those that SSL_CERT_FILE or
    SSL_CERT_DIR name. They take a while to read, so a server without TLS does not need them.
    """
    import httpx

    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
