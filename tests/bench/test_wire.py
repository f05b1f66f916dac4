"""The client of the benchmark reads answers as they come, in any pieces."""

import socket
import threading

import pytest

from bench.wire import Answer, KeptAlive, address, request, spoken

HEAD = b"HTTP/1.1 201 \r\nContent-Type: application/json\r\n"
WITH_LENGTH = HEAD + b'Content-Length: 7\r\n\r\n{"a":1}'
IN_CHUNKS = HEAD + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"a":1}\n\r\n0\r\n\r\n'
WITHOUT_BODY = b"HTTP/1.1 204 \r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize("whole", [WITH_LENGTH, IN_CHUNKS, WITHOUT_BODY])
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_an_answer_is_done_with_its_last_byte_and_not_before(whole, step):
    answer = Answer()
    for start in range(0, len(whole), step):
        assert not answer.done
        answer.feed(whole[start : start + step])
    assert answer.done
    assert answer.begun
    assert answer.problem is None


def test_an_answer_has_begun_with_the_first_byte_of_its_body():
    answer = Answer()
    answer.feed(IN_CHUNKS[: IN_CHUNKS.index(b"8\r\n")])
    assert not answer.begun
    answer.feed(b"8")
    assert answer.begun
    assert not answer.done


def test_what_is_no_success_says_why():
    answer = Answer()
    answer.feed(b'HTTP/1.1 404 \r\ncontent-length: 14\r\n\r\n{"error":"no"}')
    assert answer.problem == """404 b'{"error":"no"}'"""


def test_what_is_no_http_is_told():
    with pytest.raises(ConnectionError, match=r"no answer of HTTP/1.1: b'SSH-2.0"):
        Answer().feed(b"SSH-2.0-OpenSSH\r\n\r\n")


@pytest.mark.parametrize(
    "url", ["localhost:7999", "https://box:1", "box", "http://", "http://box:port", "ftp://box"]
)
def test_a_url_that_is_not_spoken_is_refused(url):
    with pytest.raises(ValueError):
        spoken(url)


def test_a_url_that_is_spoken_stays_as_it_is():
    assert spoken("http://box:7125/") == "http://box:7125/"


def test_a_connection_that_the_server_ends_is_made_again():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections = []

        def serve():
            for _ in range(3):
                connection, _ = listener.accept()
                connections.append(connection)
                with connection:
                    connection.recv(1000)
                    connection.sendall(WITH_LENGTH.replace(b"201 ", b"201 \r\nConnection: close"))

        server = threading.Thread(target=serve)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with KeptAlive(url) as connection:
            assert [connection.ask(request(url, "GET", "/")).status for _ in range(2)] == [201, 201]
            connection.ask(request(url, "GET", "/"))
        server.join()
    assert len(connections) == 3


def test_a_request_says_how_long_it_is():
    made = request("http://127.0.0.1:80", "POST", "/api/tasks", b"{}")
    assert made.startswith(b"POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1:80\r\n")
    assert made.endswith(b"Content-Length: 2\r\n\r\n{}")
    assert address("http://box:7125/") == ("box", 7125)
