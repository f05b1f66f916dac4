"""Compressed bodies that say much are read in a thread, one at a time, and counted."""

from __future__ import annotations

import gzip
import threading

import pytest
import trio

from oq.backends.reading_thread import use_bounded, use_document
from oq.dialects.documents import MAX_DOCUMENT, MAX_GLANCE
from oq.words.errors import PayloadTooLarge, Unavailable

GZIP = ((b"content-encoding", b"gzip"),)
SMALL = b"\0" * MAX_GLANCE
LARGE = SMALL + b"\0"


def thread(document: bytes) -> tuple[int, int]:
    return len(document), threading.get_ident()


async def test_only_what_says_much_is_read_in_a_thread():
    here = threading.get_ident()
    for body, headers in [(gzip.compress(SMALL), GZIP), (LARGE * 9, ())]:
        _, where = await use_document(body, headers, thread)
        assert where == here
    size, where = await use_document(gzip.compress(LARGE), GZIP, thread)
    assert size == len(LARGE)
    assert where != here


async def test_what_is_inflated_counts_in_the_thread_of_the_event_loop():
    counted: list[tuple[int, int]] = []

    def held(size: int) -> None:
        counted.append((size, threading.get_ident()))

    text = b"\0" * 3_000_000
    assert await use_bounded(gzip.compress(text), GZIP, len(text), len, held) == len(text)
    assert sum(size for size, _ in counted) == len(text)
    assert {where for _, where in counted} == {threading.get_ident()}


async def test_what_the_count_says_against_it_is_raised():
    def held(_size: int) -> None:
        raise Unavailable("full")

    with pytest.raises(Unavailable, match="full"):
        await use_bounded(gzip.compress(LARGE), GZIP, MAX_DOCUMENT, len, held)


@pytest.mark.parametrize("limit", [MAX_GLANCE - 1, MAX_GLANCE, 1_000_000])
async def test_too_large_is_too_large_on_either_way(limit):
    counted: list[int] = []
    body = gzip.compress(b"\0" * (limit + 1))
    with pytest.raises(PayloadTooLarge):
        await use_bounded(body, GZIP, limit, len, counted.append)


async def test_one_is_read_at_a_time():
    now, most, lock = 0, 0, threading.Lock()
    begun, go_on = threading.Event(), threading.Event()

    def use(document: bytes) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        begun.set()
        assert go_on.wait(10)
        with lock:
            now -= 1
        return len(document)

    body = gzip.compress(LARGE)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(use_document, body, GZIP, use)
        await trio.to_thread.run_sync(begun.wait, 10)
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
    assert most == 1
