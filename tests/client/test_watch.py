"""`oq.watch` where the way to the server, or what listens there, is not as it should be."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import oq
from tests.support.servers import served

CERTIFICATE = Path(__file__).parent.parent / "support" / "backend.pem"
SOON = 5
"""Seconds: less than a handshake may take."""

REJECTED = (
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: another\r\n\r\n"
)


@asynccontextmanager
async def answering(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of what says so to whoever asks something, and ends."""

    async def serve(stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                await stream.receive_some()
                await stream.send_all(answer)
            except trio.BrokenResourceError:
                pass

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    wrapped = [trio.SSLListener(each, tls) for each in listeners] if tls else listeners
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, wrapped)
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


async def refused(url: str) -> oq.OqError:
    with trio.fail_after(SOON), pytest.raises(oq.OqError) as raised:
        async with oq.watch(url):
            pass
    return raised.value


def test_a_server_without_tls_is_said_to_have_none():
    with served() as server:
        error = trio.run(refused, server.url.replace("http:", "https:"))
    assert isinstance(error, oq.ServerNotReached)
    assert "it does not speak TLS" in str(error)


async def test_a_certificate_that_is_not_accepted_is_named():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    async with answering(b"", context) as url:
        error = await refused(url)
    assert isinstance(error, oq.ServerNotReached)
    assert "its certificate is not accepted" in str(error)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "ended the connection in the WebSocket handshake"),
        (b"SSH-2.0-x\r\n", "ended the connection in the WebSocket handshake"),
        (REJECTED, "an answer that is not oq's"),
    ],
)
async def test_what_is_no_websocket_is_said_so(answer, said):
    async with answering(answer) as url:
        assert said in str(await refused(url))


@pytest.mark.parametrize("task_id", ["\ud800", "x" * 70_000])
async def test_what_cannot_be_asked_for_is_named(task_id):
    with pytest.raises(oq.InvalidTask):
        async with oq.watch("http://127.0.0.1:1", task_id=task_id):
            pass
