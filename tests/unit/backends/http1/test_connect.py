"""How a connection is opened: addresses, TLS, and the time for all of it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio

from oq.backends.http1 import connection as module
from oq.backends.http1.connection import Origin, connect
from oq.backends.http1.errors import Lost, Unreachable
from oq.backends.openai import OpenAIBackend
from oq.words.errors import BackendDown

CERTIFICATE = Path(__file__).parents[3] / "support" / "backend.pem"
"""Of 127.0.0.1 and localhost, and its key."""
MODELS = b'{"object":"list","data":[{"id":"m"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(MODELS), MODELS)


@pytest.fixture
def trusted(monkeypatch):
    """The certificate is that of an authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    module._context.cache_clear()
    yield
    module._context.cache_clear()


async def say_nothing(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


class Server:
    """Speaks TLS, and answers each request with a list of models."""

    def __init__(self) -> None:
        self.connections = 0
        self.protocols: list[str | None] = []
        self.ended = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATE)
        context.set_alpn_protocols(["h2", "http/1.1"])
        secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            while head := await secured.receive_some(10_000):
                self.protocols.append(secured.selected_alpn_protocol())
                if b"/wait" not in head:
                    await secured.send_all(ANSWER)
        except trio.BrokenResourceError:
            pass
        self.ended.set()


@pytest.fixture
async def server(nursery):
    server = Server()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, server.serve, listeners)
    server.port = listeners[0].socket.getsockname()[1]
    return server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_server_whose_certificate_is_known_is_asked_over_tls(trusted, server, host):
    backend = OpenAIBackend("b", f"https://{host}:{server.port}")
    with trio.fail_after(30):
        for _ in range(3):
            assert [each.name for each in (await backend.models()).models] == ["m"]
    await backend.aclose()
    assert set(server.protocols) == {"http/1.1"}
    assert server.connections == 1


async def test_one_that_is_not_known_is_down_and_it_is_said_why(server):
    module._context.cache_clear()
    backend = OpenAIBackend("b", f"https://127.0.0.1:{server.port}")
    with trio.fail_after(30), pytest.raises(BackendDown, match="certificate verify failed"):
        await backend.models()
    await backend.aclose()


async def test_nor_is_one_with_the_certificate_of_another(trusted, server, monkeypatch):
    find = trio.open_tcp_stream
    monkeypatch.setattr(trio, "open_tcp_stream", lambda host, port: find("127.0.0.1", port))
    with pytest.raises(Unreachable, match=r"other\.example"):
        await connect(Origin(True, "other.example", server.port, b""), 5)


async def test_a_connection_is_closed_at_once(trusted, server):
    connection = await connect(Origin(True, "127.0.0.1", server.port, b""), 5)
    await connection.send(b"GET /wait HTTP/1.1\r\n\r\n")
    connection.close()  # a plain call: there is nothing in it to wait for
    with trio.fail_after(10):
        await server.ended.wait()
    with pytest.raises(Lost):
        await connection.receive()


async def test_the_time_for_a_connection_has_tls_in_it(nursery, autojump_clock):
    """The server takes the connection, and says nothing."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, say_nothing, listeners)
    port = listeners[0].socket.getsockname()[1]
    began = trio.current_time()
    with pytest.raises(Unreachable, match="no connection within 5s"):
        await connect(Origin(True, "127.0.0.1", port, b""), 5)
    assert trio.current_time() - began == pytest.approx(5)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_addresses_are_taken_as_they_are(nursery, host):
    listeners = await trio.open_tcp_listeners(0, host=host)
    nursery.start_soon(trio.serve_listeners, say_nothing, listeners)
    connection = await connect(Origin(False, host, listeners[0].socket.getsockname()[1], b""), 5)
    assert connection.is_idle
    connection.close()


async def test_a_name_has_several_addresses_and_one_that_answers_will_do(nursery, monkeypatch):
    """Of localhost only one is listened on."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, say_nothing, listeners)
    port = listeners[0].socket.getsockname()[1]
    family = trio.socket.AF_INET6, trio.socket.SOCK_STREAM, 0, ""
    both = [(*family, ("::1", port, 0, 0)), (trio.socket.AF_INET, *family[1:], ("127.0.0.1", port))]

    class Names(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
            return both

        async def getnameinfo(self, sockaddr, flags):
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Names())
    connection = await connect(Origin(False, "two.example", port, b""), 5)
    assert connection.is_idle
    connection.close()
