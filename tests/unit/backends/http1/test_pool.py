"""Which connection is used again, and for how long one waits."""

from __future__ import annotations

import pytest
import trio

from oq.backends.http1 import client as module
from oq.backends.http1.client import KEPT_CONNECTIONS, KEPT_FOR, Pool
from oq.backends.http1.connection import Connection, Origin

HERE = Origin(False, "127.0.0.1", 1, b"127.0.0.1:1")
THERE = Origin(False, "127.0.0.1", 2, b"127.0.0.1:2")


class Kept(Connection):
    """A connection without a socket."""

    looked = 0

    def __init__(self, origin: Origin = HERE) -> None:
        self.origin = origin
        self.dead = self.closed = False
        self.kept_until = 0.0

    @property
    def is_idle(self) -> bool:
        Kept.looked += 1
        return not self.dead

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still, until it is told."""
    time = [100.0]
    monkeypatch.setattr(module.trio, "current_time", lambda: time[0])
    return time


def test_the_one_that_was_used_last_comes_first(now):
    pool = Pool()
    one, two = Kept(), Kept()
    pool.keep(one)
    pool.keep(two)
    assert [pool.take(HERE), pool.take(HERE), pool.take(HERE)] == [two, one, None]
    assert [one.closed, two.closed] == [False, False]


def test_one_that_its_server_has_closed_is_found_when_it_is_taken(now):
    pool = Pool()
    one, two = Kept(), Kept()
    pool.keep(one)
    pool.keep(two)
    two.dead = True
    assert pool.take(HERE) is one
    assert two.closed


def test_one_that_leads_elsewhere_is_not_used(now):
    pool = Pool()
    other = Kept(THERE)
    pool.keep(other)
    assert pool.take(HERE) is None
    assert other.closed


def test_none_waits_longer_than_its_server_would_keep_it(now):
    pool = Pool()
    old, new = Kept(), Kept()
    pool.keep(old)
    now[0] += KEPT_FOR / 2
    pool.keep(new)
    now[0] += KEPT_FOR / 2
    pool.keep(later := Kept())  # the old ones go when others come
    assert (old.closed, new.closed) == (True, False)
    now[0] += KEPT_FOR
    assert pool.take(HERE) is None
    assert new.closed
    assert later.closed


def test_so_many_wait_and_no_more(now):
    pool = Pool()
    kept = [Kept() for _ in range(KEPT_CONNECTIONS + 2)]
    for each in kept:
        pool.keep(each)
    assert [each.closed for each in kept] == [True] * 2 + [False] * KEPT_CONNECTIONS
    pool.close()
    pool.keep(late := Kept())  # its answer ends after the client was closed
    assert all(each.closed for each in [*kept, late])


def test_its_work_for_a_request_does_not_grow_with_how_many_wait(now):
    pool = Pool()
    for _ in range(KEPT_CONNECTIONS):
        pool.keep(Kept())
    Kept.looked = 0
    for _ in range(100):
        pool.keep(pool.take(HERE))
    assert Kept.looked == 100


async def test_a_connection_is_idle_until_its_server_says_something_or_ends():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    for last in (b"too late", b""):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        server = await listeners[0].accept()
        connection = Connection(HERE, stream, stream.socket)
        assert connection.is_idle
        if last:
            await server.send_all(last)
        await server.aclose()
        with trio.fail_after(10):
            while connection.is_idle:
                await trio.lowlevel.checkpoint()
        connection.close()
        assert not connection.is_idle
    await listeners[0].aclose()
