"""The thread that waits for the disk: one call at a time, its errors raised where it was called."""

from __future__ import annotations

import threading

import pytest
import trio

from oq.store.sync_thread import SyncThread


async def test_the_work_is_done_elsewhere_and_waited_for_here():
    threads = []
    with SyncThread(lambda: threads.append(threading.current_thread())) as thread:
        await thread.do()
        await thread.do()
    assert len(threads) == 2
    assert threading.main_thread() not in threads
    assert not threads[0].is_alive()


async def test_others_go_on_meanwhile():
    begun, add_mark = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert add_mark.wait(10)

    with SyncThread(work) as thread:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread.do)
            with trio.fail_after(10):
                while not begun.is_set():
                    await trio.lowlevel.checkpoint()
            add_mark.set()


async def test_an_error_is_the_callers():
    def work() -> None:
        raise OSError("the disk is gone")

    with SyncThread(work) as thread:
        with pytest.raises(OSError, match="the disk is gone"):
            await thread.do()
        with pytest.raises(OSError, match="the disk is gone"):
            await thread.do()


async def test_what_has_begun_is_waited_for_though_its_caller_is_cancelled():
    begun, add_mark, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert add_mark.wait(10)
        done.set()

    with SyncThread(work) as thread:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread.do)
            with trio.fail_after(10):
                while not begun.is_set():
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
            add_mark.set()
        assert done.is_set()
