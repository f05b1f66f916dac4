"""The queue on a thread of its own: its verbs from any thread, and every way in which it ends."""

from __future__ import annotations

import queue as stdlib_queue
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import trio

import oq
from oq.backends.simulated import SimulatedBackend
from oq.blocking.loop import Loop
from oq.store.rocks import RocksEngine

SIMULATED: Any = {
    "backends": [{"name": "simulated", "kind": "simulated"}],
    "simulated_delay": 0,
    "simulated_tokens_per_second": 0,
}
LIMIT = 20
"""Seconds after which a test has failed that waits for another thread."""


@contextmanager
def opened(directory: Path, **options):
    with oq.BlockingQueue(storage_path=directory, **SIMULATED, **options) as queue:
        yield queue


@pytest.fixture
def queue(tmp_path):
    with opened(tmp_path / "data") as queue:
        yield queue


def prompt(said: str = "hello", /, **simulate) -> oq.NewTask:
    return oq.generate("m", said, options={"simulate": simulate} if simulate else None)


def hang() -> oq.NewTask:
    return prompt(fault="hang")


def submit_running(queue: oq.BlockingQueue, task: oq.NewTask) -> str:
    """Submit a task and return once it runs."""
    with queue.subscribe("task_started") as events:
        task_id = queue.submit(task)
        while next(events).task_id != task_id:
            pass
    return task_id


# -- the verbs


def test_many_threads_may_use_it_at_once(queue):
    def ask(number: int) -> str:
        return queue.result(queue.submit(prompt(text=f"answer {number}")), timeout=LIMIT)[
            "response"
        ]

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(ask, range(100))) == [f"answer {n}" for n in range(100)]
    assert queue.status().completed_tasks == 100


def test_a_stream_is_a_plain_iterator(queue):
    task_id = queue.submit(prompt(text="one two three", rate=100))
    with queue.stream(task_id) as chunks:
        seen = list(chunks)
    assert "".join(chunk.data for chunk in seen) == "one two three"
    assert [chunk.done for chunk in seen].count(True) == 1
    assert seen[-1].status == oq.Status.COMPLETED
    with queue.stream(task_id, offset=seen[0].offset, attempt=seen[0].attempt) as chunks:
        assert "".join(chunk.data for chunk in chunks) == "one two three"[len(seen[0].data) :]


def test_a_stream_of_nothing_is_refused(queue):
    with queue.stream("01900000-0000-7000-8000-000000000000") as chunks, pytest.raises(oq.NotFound):
        next(chunks)


def test_events_come_one_by_one_and_of_the_types_that_were_asked_for(queue):
    with queue.subscribe({"task_submitted", "task_completed"}) as events:
        task_id = queue.submit(prompt())
        assert [(next(events).type, next(events).type)] == [("task_submitted", "task_completed")]
    with queue.subscribe(task_id=task_id, after=0) as events:
        assert [next(events).seq for _ in range(3)] == [1, 2, 3]
    with pytest.raises(oq.InvalidTask, match="task_finished"), queue.subscribe({"task_finished"}):
        pass


def test_a_wait_that_is_too_long_leaves_the_task_alone(queue):
    task_id = submit_running(queue, hang())
    with pytest.raises(TimeoutError):
        queue.result(task_id, timeout=0.01)
    assert queue.get(task_id).status is oq.Status.RUNNING
    queue.cancel(task_id)
    with pytest.raises(oq.TaskCancelled):
        queue.result(task_id)


# -- callbacks


def test_who_asked_for_it_is_told_when_a_task_ends(queue):
    called, put = stdlib_queue.SimpleQueue(), stdlib_queue.Queue()
    task_id = queue.submit(prompt(text="hi"), on_done=called.put, results_to=put)
    for told in (called, put):
        task = told.get(timeout=LIMIT)
        assert (task.id, task.result["response"]) == (task_id, "hi")
    failed = queue.submit(prompt(status=400), on_done=called.put)
    task = called.get(timeout=LIMIT)
    assert (task.id, task.status) == (failed, oq.Status.FAILED)


def test_callbacks_may_block_and_use_the_queue(queue):
    """More of them than threads for them, and the queue goes on; each submits another task."""
    add_mark, answers = threading.Event(), stdlib_queue.SimpleQueue()

    def callback(task: oq.Task) -> None:
        assert add_mark.wait(LIMIT)
        answers.put(queue.result(queue.submit(prompt(text="more"))))

    for _ in range(50):
        queue.submit(prompt(), on_done=callback)
    assert queue.run_batch([prompt(text="meanwhile")])[0].result["response"] == "meanwhile"
    add_mark.set()
    assert {answers.get(timeout=LIMIT)["response"] for _ in range(50)} == {"more"}


def test_what_a_callback_raises_goes_where_threads_errors_go(queue, monkeypatch):
    raised = stdlib_queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", raised.put)

    def callback(task: oq.Task) -> None:
        raise ZeroDivisionError(task.id)

    task_id = queue.submit(prompt(), on_done=callback)
    args = raised.get(timeout=LIMIT)
    assert (args.exc_type, str(args.exc_value)) == (ZeroDivisionError, task_id)
    assert queue.result(queue.submit(prompt()))


# -- the end


def test_closing_lets_running_tasks_end(tmp_path):
    with opened(tmp_path) as queue:
        task_id = submit_running(queue, prompt(text="a b", rate=20))
    with opened(tmp_path) as queue:
        assert queue.result(task_id)["response"] == "a b"


def test_a_callback_of_a_task_that_ends_during_the_drain_is_called(tmp_path):
    told: list[oq.Task] = []
    with opened(tmp_path) as queue, queue.subscribe("task_started") as events:
        queue.submit(prompt(text="a b c", rate=30), on_done=told.append)
        next(events)
    assert [task.result["response"] for task in told] == ["a b c"]


def test_what_does_not_end_in_time_is_put_back_in_line(tmp_path):
    with opened(tmp_path, drain_timeout=0.01) as queue:
        task_id = submit_running(queue, hang())
    with opened(tmp_path, drain_timeout=0) as queue:
        task = queue.get(task_id)
        assert task.retry_count == 0
        assert "shut down" in task.attempts[0].error


def test_what_was_submitted_a_moment_ago_does_not_hold_up_the_end(tmp_path):
    """Dispatched, but not yet begun."""
    for number in range(5):
        queue = oq.BlockingQueue(storage_path=tmp_path / str(number), **SIMULATED)
        queue.submit(hang())
        closing = threading.Thread(target=queue.close, kwargs={"timeout": 0})
        closing.start()
        closing.join(LIMIT)
        assert not closing.is_alive()


def test_a_subscriber_gets_everything_to_the_end_which_is_that_of_the_queue(tmp_path):
    seen: list[oq.Event] = []
    with opened(tmp_path) as queue:
        entered = threading.Event()

        def follow() -> None:
            with queue.subscribe({"task_completed"}) as events:
                entered.set()
                seen.extend(events)

        follower = threading.Thread(target=follow)
        follower.start()
        assert entered.wait(LIMIT)
        with queue.subscribe({"task_completed"}) as unread:
            ids = queue.submit_many([prompt() for _ in range(50)])
            queue.result(ids[-1])
            queue.close()
            assert {event.task_id for event in unread} == set(ids)
    follower.join(LIMIT)
    assert {event.task_id for event in seen} == set(ids)


def test_a_subscriber_gets_everything_also_while_the_queue_closes(tmp_path):
    closing, add_mark = threading.Event(), threading.Event()

    class SlowToClose(SimulatedBackend):
        async def aclose(self) -> None:
            closing.set()
            await trio.to_thread.run_sync(add_mark.wait, LIMIT)

    queue = oq.BlockingQueue(storage_path=tmp_path, backends=[SlowToClose()])
    with queue.subscribe("task_completed") as events:
        task_id = queue.submit(prompt())
        queue.result(task_id)
        with ThreadPoolExecutor(2) as threads:
            closed = threads.submit(queue.close)
            assert closing.wait(LIMIT)
            seen = threads.submit(list, events)
            add_mark.set()
            assert [event.task_id for event in seen.result(LIMIT)] == [task_id]
            closed.result(LIMIT)


def test_who_waits_is_told_that_the_queue_closes(tmp_path):
    errors = stdlib_queue.SimpleQueue()
    with opened(tmp_path, drain_timeout=0.01) as queue:
        task_id = submit_running(queue, hang())

        def wait() -> None:
            try:
                queue.result(task_id)
            except oq.Unavailable as error:
                errors.put(error)

        def read() -> None:
            with queue.stream(task_id) as chunks:
                errors.put([chunk.done for chunk in chunks])

        waiting = [threading.Thread(target=wait), threading.Thread(target=read)]
        for thread in waiting:
            thread.start()
    for thread in waiting:
        thread.join(LIMIT)
    told = [errors.get(timeout=LIMIT) for _ in waiting]
    assert [str(error)[:9] for error in told if isinstance(error, oq.Unavailable)]
    assert [done for done in told if isinstance(done, list) and not any(done)]


def test_after_the_end_every_verb_says_so(tmp_path):
    queue = oq.BlockingQueue(storage_path=tmp_path, **SIMULATED)
    task_id = queue.submit(prompt())
    queue.close()
    queue.close()
    for verb in (
        queue.status,
        queue.pause,
        lambda: queue.submit(prompt()),
        lambda: queue.get(task_id),
        lambda: queue.stream(task_id).__enter__(),
        lambda: queue.subscribe().__enter__(),
    ):
        with pytest.raises(oq.Unavailable, match="closed"):
            verb()


def test_errors_of_opening_come_out_as_themselves(tmp_path):
    with opened(tmp_path), pytest.raises(oq.StoreLocked):
        oq.BlockingQueue(storage_path=tmp_path)
    with pytest.raises(oq.InvalidConfig, match="did you mean max_workers"):
        oq.BlockingQueue(max_worker=3)
    with opened(tmp_path) as queue:  # and nothing was left behind
        assert queue.status().total_tasks == 0


def test_what_stops_the_queue_is_told_to_those_who_wait_and_raised_at_the_end(
    tmp_path, monkeypatch
):
    def broken(engine: RocksEngine, commit: int) -> None:
        raise oq.StoreError("the disk is on fire")

    queue = oq.BlockingQueue(storage_path=tmp_path, **SIMULATED)
    monkeypatch.setattr(RocksEngine, "sync", broken)
    with pytest.raises(oq.Unavailable, match="the disk is on fire"):
        queue.submit(prompt())
    with pytest.raises(oq.StoreError, match="the disk is on fire"):
        queue.close()
    monkeypatch.undo()
    queue.close()


def test_ctrl_c_leaves_a_wait_at_once_and_closes_properly(tmp_path):
    started, main = threading.Event(), threading.main_thread().ident

    def interrupt() -> None:
        assert started.wait(LIMIT)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with opened(tmp_path, drain_timeout=100) as queue:
        task_id = submit_running(queue, hang())
        started.set()
        with pytest.raises(KeyboardInterrupt) as pressed:
            queue.result(task_id)  # for ever
        queue.__exit__(KeyboardInterrupt, pressed.value, None)  # as if it had left the block
    thread.join()
    with opened(tmp_path, drain_timeout=0) as queue:
        task = queue.get(task_id)
        assert (task.retry_count, len(task.attempts) >= 1) == (0, True)


def test_ctrl_c_cuts_a_drain_short(tmp_path):
    main = threading.main_thread().ident
    queue = oq.BlockingQueue(storage_path=tmp_path, **SIMULATED, drain_timeout=LIMIT + 10)
    task_id = submit_running(queue, hang())
    draining = threading.Event()

    class Drains:
        """Notices that the drain has begun."""

        def __init__(self, drain) -> None:
            self.drain = drain

        async def __call__(self, timeout: float | None = None) -> None:
            draining.set()
            await self.drain(timeout)

    queue._queue.drain = Drains(queue._queue.drain)

    def interrupt() -> None:
        assert draining.wait(LIMIT)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        queue.close()
    assert time.monotonic() - began < LIMIT
    thread.join()
    with opened(tmp_path, drain_timeout=0) as queue:
        assert queue.get(task_id).attempts


def test_a_call_that_is_left_early_is_taken_back():
    started, cancelled = threading.Event(), threading.Event()
    main = threading.main_thread().ident

    async def wait() -> None:
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    def interrupt() -> None:
        assert started.wait(LIMIT)
        signal.pthread_kill(main, signal.SIGINT)

    loop = Loop(nullcontext)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        loop.call(wait)
    assert cancelled.wait(LIMIT)
    thread.join()
    loop.stop()


def test_ctrl_c_is_heard_also_when_another_thread_gets_the_signal():
    """Then nothing wakes the one that waits."""
    started = threading.Event()

    async def wait() -> None:
        started.set()
        await trio.sleep_forever()

    def interrupt() -> None:
        assert started.wait(LIMIT)
        signal.raise_signal(signal.SIGINT)

    loop = Loop(nullcontext)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        loop.call(wait)
    thread.join()
    loop.stop()


def test_a_call_that_raises_a_timeout_of_its_own_ends_with_it():
    async def late() -> None:
        raise TimeoutError("its own")

    loop = Loop(nullcontext)
    with pytest.raises(TimeoutError, match="its own"):
        loop.call(late)
    loop.stop()


def run(script: str, cwd: Path) -> str:
    """What a program prints; it fails if the program does, or does not end."""
    head = "import oq\nqueue = oq.BlockingQueue(backends=[{'name': 's', 'kind': 'simulated'}])\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + script],
        cwd=cwd, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_one_that_is_forgotten_holds_up_nothing_and_loses_nothing(tmp_path):
    script = """
hang = oq.generate("m", "x", options={"simulate": {"fault": "hang"}})
with queue.subscribe("task_started") as events:
    print(*queue.submit_many([hang] * 10))
    next(events)
"""
    ids = run(script, tmp_path).split()
    assert len(ids) == 10
    with opened(tmp_path / "data", drain_timeout=0) as queue:
        tasks = [queue.get(task_id) for task_id in ids]
        assert all(task.status in ("pending", "running") for task in tasks)
        assert all(task.retry_count == 0 for task in tasks)
        first = [task.attempts[0].error for task in tasks if task.attempts]
        assert set(first) - {None} == {"oq was shut down while this attempt ran"}
        assert queue.status().total_tasks == 10


def test_a_forked_process_is_told_to_open_its_own(tmp_path):
    script = """
import os
child = os.fork()
if child:
    os.waitpid(child, 0)
    queue.close()
else:
    try:
        queue.status()
    except oq.Unavailable as error:
        print(error)
"""
    assert "fork" in run(script, tmp_path)


def test_a_backend_of_ones_own_can_be_given(tmp_path):
    backend = SimulatedBackend("mine")
    with oq.BlockingQueue(storage_path=tmp_path, backends=[backend]) as queue:
        queue.result(queue.submit(prompt("who are you?")))
    assert [call.path for call in backend.simulator.calls] == ["/api/generate"]
