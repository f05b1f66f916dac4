"""The callers and the backend of the gateway's benchmark, one in front of the other."""

from __future__ import annotations

import os
import socket
import threading

import msgspec
import pytest

from bench.gateways.backend import Peer, backend
from bench.gateways.bodies import CHAT, COMPLETIONS, EMBED, call, stream
from bench.gateways.load import Callers, Calls, Firsts, Lone, Paced, Streams, Target, _done, load
from bench.scenario import NotMeasured
from bench.stamper import STAMP
from bench.wire import KeptAlive, request


@pytest.fixture(scope="module")
def behind():
    with backend() as started:
        yield started


@pytest.fixture(scope="module")
def callers():
    with load() as started:
        yield started


def target(server, path=CHAT, body=None):
    return Target(server.url, path, call(path) if body is None else body, server.pid)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EMBED])
@pytest.mark.parametrize("connections", [1, 8])
def test_calls_are_counted_and_so_is_the_processor_time(behind, callers, path, connections):
    found = callers.do(Calls(target(behind, path), connections, 0.2, warm=0.05))
    assert found.count > 50
    assert 0.2 <= found.seconds < 1
    assert found.rate == found.count / found.seconds
    assert 1e-6 < found.cpu_each < 1e-3


def test_lone_calls_are_just_so_many(behind, callers):
    found = callers.do(Lone(target(behind), 40))
    assert found.count == 40
    assert 1e-6 < found.cpu_each < 1e-3


def test_a_paced_stream_has_its_next_chunk_when_the_one_before_was_read(callers):
    with backend(0) as paced:
        asked = target(paced, CHAT, stream(CHAT, 43))
        assert callers.do(Paced(asked, paced.url, 40)).count == 40
        assert callers.do(Paced(asked, paced.url, 40)).count == 40, "the one before has ended"


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_streams_are_in_time_at_their_rate(behind, callers, path):
    asked = target(behind, path, stream(path, 75))
    found = callers.do(Streams(asked, streams=8, rate=50, seconds=0.5, lead=0.3))
    assert found.count == pytest.approx(8 * 50 * 0.5, rel=0.5)
    assert found.in_time > 0.5
    assert found.p99 > 0
    assert found.resident > 1_000_000


def test_a_stream_that_ends_too_soon_is_not_in_time(behind, callers):
    asked = target(behind, CHAT, stream(CHAT, 28))  # it ends after 0.54 s
    found = callers.do(Streams(asked, streams=4, rate=50, seconds=0.5, lead=0.3))
    assert found.in_time < 0.9


def test_first_bytes_are_timed_of_each_target(behind, callers):
    found = callers.do(Firsts([target(behind), target(behind)], 10))
    assert len(found.firsts) == 2
    assert all(0 < each < 100 for each in found.firsts)


def test_idle_callers_are_counted_in_bytes(behind, callers):
    found = callers.do(Callers(target(behind), 20))
    assert found.count == 20
    assert 0 <= found.each < 100_000


def test_a_backend_that_refuses_is_not_measured(behind, callers):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    nobody = Target(f"http://127.0.0.1:{closed}", CHAT, call(CHAT), behind.pid)
    with pytest.raises(NotMeasured, match="refused"):
        callers.do(Calls(nobody, 1, 0.1))
    with pytest.raises(NotMeasured, match="no processor time is counted"):
        callers.do(Calls(Target(behind.url, CHAT, call(CHAT), 999999999), 1, 0.1))


def test_an_answer_that_is_an_error_is_said():
    """By a server that answers each request with 503."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 503 \r\nContent-Length: 4\r\n\r\nbusy")
                connection.recv(1)

        server = threading.Thread(target=serve)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        order = Calls(Target(url, CHAT, call(CHAT), os.getsid(0)), 1, 5)
        assert _done(msgspec.json.encode(order)).problem == "POST /api/chat: 503 b'busy'"
        server.join()


def ask(server, path, body):
    with KeptAlive(server.url) as connection:
        return connection.ask(request(server.url, "POST", path, body.encode()))


def test_a_stream_of_the_backend_has_so_many_chunks_in_either_form(behind):
    ollama = ask(behind, CHAT, stream(CHAT, 3)).body
    assert len(STAMP.findall(ollama)) == 3
    assert b'"done":true' in ollama
    openai = ask(behind, COMPLETIONS, stream(COMPLETIONS, 3)).body
    assert len(STAMP.findall(openai)) == 3
    assert openai.count(b"data: [DONE]") == 1


def test_the_backend_says_what_it_is(behind):
    with KeptAlive(behind.url) as connection:
        body = connection.ask(request(behind.url, "GET", "/api/tags")).body
    assert msgspec.json.decode(body)["models"][0]["model"] == "m:latest"


@pytest.mark.parametrize(
    "whole",
    [
        b"POST /x HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ],
)
def test_a_request_is_read_in_any_pieces(whole):
    with socket.socket() as sock:
        peer = Peer(sock)
        for at in range(len(whole)):
            assert peer.request() is None
            peer.got += whole[at : at + 1]
        assert peer.request() == (b"POST /x HTTP/1.1", b"body")
        assert peer.request() is None
