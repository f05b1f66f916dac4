"""A backend that answers an upload before it has all of it."""

from __future__ import annotations

from contextlib import suppress

import trio

from tests.support.told import FAST, http, site


async def refuse(stream: trio.SocketStream) -> None:
    """Answer by the head alone, and read no further."""
    async with stream:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()
            await stream.send_all(http(b'{"error":"too big"}', "application/json", status="413 No"))
            await trio.sleep_forever()


async def test_an_upload_that_is_refused_ends_with_its_connection():
    """The caller goes on sending, and is in nobody's way."""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, refuse, listeners)
            where = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            admin = {"allow_admin": True}
            async with site(FAST, where, "ollama", gateway=admin) as here:
                async with await here.connect() as caller:
                    path = "/api/blobs/sha256:" + "a" * 64
                    request = here.request("POST", path, b"x" * 50_000_000)
                    nursery.start_soon(send, caller, request)
                    got = b""
                    while more := await caller.receive_some():
                        got += more
                assert got.startswith(b"HTTP/1.1 413 ")
                assert got.endswith(b'{"error":"too big"}')
            nursery.cancel_scope.cancel()


async def send(stream: trio.SocketStream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(data)
