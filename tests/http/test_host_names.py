"""Host headers that no host can have are refused with a word, alike on every way and by every
handler, whatever the settings let in.
"""

from __future__ import annotations

import pytest
import trio

from oq.http.host_names import MAX_NAME, HostNames, host_name
from oq.words.config import ServerConfig
from tests.support.http import live

LONG = "a" * 64
NO_HOSTS = [
    "a..localhost", "..localhost", ".localhost", "localhost..", "a.localhost..",
    "a..b.localhost:80",
    f"{LONG}.localhost", f"a.{LONG}", "a." * 130 + "localhost", "a" * 5000, "ö.localhost",
    "l\xf6calhost", "a b.localhost", "a\tb.localhost", "a/b.localhost", "a@localhost",
    "a?b.localhost", "a#b.localhost", "a\\b.localhost", "a%20b.localhost", "a,b.localhost",
    "localhost, localhost", "*.localhost", '"a".localhost', "<a>.localhost", "{a}.localhost",
    "a;b.localhost", "\x7f.localhost", "localhost:80:80", "localhost:+80", "localhost:8\xb2",
    "localhost:x", "[::1", "[::1]x", "[]", "[localhost]", "[127.0.0.1]", "::1::1", ":80", ".",
]  # fmt: skip
HOSTS = [
    "localhost", "localhost.", "LOCALHOST", "a.localhost", "a.localhost.:80", "localhost:",
    "localhost:0", "localhost:999999", "localhost:000080", "[::1]", "[::1]:999999", "::1",
    "[::ffff:127.0.0.1]", "127.0.0.1", "xn--0.localhost", "a_b.localhost", "-.localhost",
    f"{LONG[1:]}.localhost", "1.2.3.4.5.localhost",
]  # fmt: skip
SERVERS = [{}, {"allowed_hosts": ["*"]}, {"allowed_hosts": NO_HOSTS}, {"host": "0.0.0.0"}]


@pytest.mark.parametrize("header", NO_HOSTS)
@pytest.mark.parametrize("server", SERVERS)
def test_what_no_host_can_be_called(header: str, server: dict[str, object]):
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in server.items()}
    assert host_name(header) == ""
    assert HostNames(ServerConfig(**given)).allow(header) is None


@pytest.mark.parametrize("header", HOSTS)
def test_what_a_host_can_be_called(header: str):
    assert HostNames(ServerConfig()).allow(header) is True


def test_a_name_has_its_longest():
    name = ("a" * 61 + ".") * 4 + "local"
    assert len(name) == MAX_NAME
    assert host_name(name) == host_name(name + ".:80") == name
    assert host_name("a" + name) == ""


@pytest.mark.parametrize("given", ["Bücher.lan", "xn--bcher-kva.lan", "bücher.lan:7125"])
def test_a_name_in_the_settings_is_compared_as_it_is_sent(given: str):
    names = HostNames(ServerConfig(allowed_hosts=(given,)))
    assert names.allow("xn--bcher-kva.lan:7125") is True
    assert names.allow("xn--bcher-kva.example") is False


PLAIN, ODD = "X-Odd: 1", "X-Odd:\t1"
"""A header in two forms; the second one takes a request past the fast path."""
UNKNOWN = "/api/tasks/01990000-0000-7000-8000-000000000000"
ASKED = [
    (method, target, odd)
    for method, target in (
        ("GET", "/healthz"), ("GET", UNKNOWN), ("GET", "/api/tags"), ("GET", "/nowhere"),
        ("POST", "/api/chat"), ("POST", "/api/tasks"), ("OPTIONS", "/api/tasks"),
    )
    for odd in (PLAIN, ODD)
]  # fmt: skip


async def test_all_ways_say_the_same():
    async with live(server={"allowed_hosts": ["*"]}) as oq:
        for host in [*NO_HOSTS, *HOSTS]:
            answers = set()
            for method, target, odd in ASKED:
                head = (
                    f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{odd}\r\nConnection: close\r\n"
                )
                length = "Content-Length: 0\r\n" if method == "POST" else ""
                with trio.fail_after(10):
                    told = await oq.talk(f"{head}{length}\r\n".encode("latin-1"))
                status = int(told.split(b" ", 2)[1])
                assert (status == 400) == (host in NO_HOSTS) or method == "POST", (host, told)
                assert status < 500, (host, target, told)
                answers.add(told.partition(b"\r\n\r\n")[2])
            if host in NO_HOSTS:
                assert len(answers) == 1, (host, answers)
                assert b"names no host" in answers.pop()
            else:
                assert not any(b"names no host" in answer for answer in answers)


async def test_a_websocket_is_refused_likewise():
    async with live() as oq:
        reply = await oq.upgrade("/ws", Host="a..localhost")
        assert reply.status == 400
        assert "names no host" in reply.error
