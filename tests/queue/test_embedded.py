"""What only those need who open a queue in a program of their own: options, callbacks, logs."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import get_type_hints

import pytest
import trio

import oq
from oq.queue.options import Options, option_names, to_config_with
from oq.words.config import BackendConfig, Config, to_config
from tests.support.queues import generate, memory_queue, until

# -- options


def test_every_setting_of_the_seed_is_an_option():
    config = to_config_with(
        Config(),
        {
            "ollama_host": "http://box:11434",
            "ollama_timeout": "5m",
            "max_workers": 8,
            "storage_path": Path("my_app_queue"),
            "cleanup_interval": timedelta(hours=1),
            "max_completed_tasks": 500,
            "scheduling_interval": "1s",
            "max_retries": 4,
            "initial_delay": 2,
            "max_delay": "40s",
            "backoff_factor": 3.0,
            "log_level": "debug",
            "log_file": Path("queue.log"),
        },
    )
    assert (config.ollama.host, config.ollama.timeout) == ("http://box:11434", 300)
    queue = config.queue
    assert (queue.max_workers, queue.storage_path) == (8, "my_app_queue")
    assert (queue.cleanup_interval, queue.max_completed_tasks) == (3600, 500)
    assert config.scheduler.scheduling_interval == 1
    retry = config.retry_config
    assert (retry.max_retries, retry.initial_delay, retry.max_delay) == (4, 2, 40)
    assert retry.backoff_factor == 3
    assert (config.logging.level, config.logging.file) == ("debug", "queue.log")


def test_every_setting_of_the_sections_has_its_option_and_every_option_a_setting():
    assert set(get_type_hints(Options)) == set(option_names())


def test_options_go_over_a_config_and_leave_the_rest_of_it():
    config = to_config({"queue": {"max_workers": 2, "max_pending": 7}})
    merged = to_config_with(config, {"max_workers": 3}).queue
    assert (merged.max_workers, merged.max_pending) == (3, 7)


def test_a_host_stands_instead_of_the_backends_of_the_config():
    config = to_config({"backends": [{"name": "a", "kind": "simulated"}]})
    (backend,) = to_config_with(config, {"ollama_host": "http://box"}).backend_list()
    assert (backend.kind, backend.url) == ("ollama", "http://box")


@pytest.mark.parametrize("backend", [BackendConfig(name="b", kind="simulated"),
                                     {"name": "b", "kind": "simulated"}])  # fmt: skip
def test_backends_are_given_as_in_a_file(backend):
    config = to_config_with(Config(), {}, [backend])
    assert config.backend_list() == (BackendConfig(name="b", kind="simulated"),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_worker": 1}, "max_worker: there is no such option; did you mean max_workers"),
        ({"zzz": 1}, "zzz: there is no such option$"),
        ({"max_workers": 0}, r"queue\.max_workers"),
        ({"ollama_timeout": "soon"}, r"ollama\.timeout"),
        ({"log_level": "loud"}, r"logging\.level"),
        ({"backends": [{"name": "b", "kind": "magic"}]}, r"backends\[0\]\.kind"),
    ],
)
async def test_an_option_that_is_wrong_is_named(options, message):
    with pytest.raises(oq.InvalidConfig, match=message):
        async with oq.open_queue(**options):
            pass


# -- who asked to be told


async def test_a_callback_gets_the_task_that_has_ended(autojump_clock):
    told = []

    async def later(task: oq.Task) -> None:
        await trio.sleep(1)
        told.append(task.error)

    async with memory_queue() as queue:
        await queue.submit(generate(simulate={"text": "hi"}), on_done=told.append)
        failing = generate(simulate={"status": 400, "error": "no"})
        task_id = await queue.submit(failing, on_done=later)
        await queue.get(task_id, wait=10)
        await trio.sleep(2)
        assert told[0].result["response"] == "hi"
        assert "no" in told[1]


async def test_a_task_that_somebody_has_deleted_is_not_handed_over_and_ends_nothing(autojump_clock):
    told = []
    async with memory_queue() as queue:
        deleted = await queue.submit(generate())
        await queue.get(deleted, wait=10)
        await queue.delete(deleted)
        # As `submit` does with a key whose task is deleted in that moment.
        await queue._hand_over(deleted, told.append, None)
        await queue.submit(generate(), on_done=told.append)
        await trio.sleep(10)
    assert [task.status for task in told] == [oq.Status.COMPLETED]


async def test_a_channel_gets_the_tasks_that_have_ended(autojump_clock):
    send, receive = trio.open_memory_channel[oq.Task](0)
    async with memory_queue() as queue:
        ids = {
            await queue.submit(generate(simulate={"delay": n}), results_to=send) for n in range(5)
        }
        with trio.fail_after(100):
            assert {(await receive.receive()).id for _ in ids} == ids
        await queue.submit(generate(), results_to=send)
        receive.close()  # nobody listens any more, which is no error


async def test_a_queue_that_closes_tells_of_what_ended_in_its_drain_and_of_nothing_else(
    autojump_clock,
):
    told, began = [], trio.current_time()
    async with memory_queue(queue={"drain_timeout": "10s"}) as queue:
        ended = await queue.submit(generate(simulate={"delay": 5}), on_done=told.append)
        put_back = await queue.submit(generate(simulate={"delay": 50}), on_done=told.append)
        await until(queue, put_back, oq.Status.RUNNING)
    assert [(task.id, task.status) for task in told] == [(ended, oq.Status.COMPLETED)]
    assert trio.current_time() - began == pytest.approx(10, abs=1)


async def test_a_drain_without_patience_interrupts_also_what_is_just_starting(autojump_clock):
    async with memory_queue(queue={"max_workers": 3000}) as queue:
        ids = await queue.submit_many([generate(simulate={"fault": "hang"})] * 3000)
        began = trio.current_time()
        await queue.drain(0)
        assert trio.current_time() - began < 1
        assert {(await queue.get(task_id)).status for task_id in ids} == {oq.Status.PENDING}


async def test_nobody_who_is_told_can_keep_the_queue_open(autojump_clock):
    send, _receive = trio.open_memory_channel[oq.Task](0)
    async with memory_queue() as queue:
        task_id = await queue.submit(generate(), results_to=send)
        await queue.get(task_id, wait=1)
        began = trio.current_time()
    assert trio.current_time() - began <= 10


async def test_what_a_callback_raises_ends_the_queue_and_comes_out_as_itself(autojump_clock):
    def callback(task: oq.Task) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with memory_queue() as queue:
            await queue.submit(generate(), on_done=callback)
            await trio.sleep(10)

    with pytest.raises(ZeroDivisionError):
        await run()


async def test_who_waits_gets_what_ended_in_the_drain(autojump_clock):
    answers = []
    async with trio.open_nursery() as nursery:

        async def wait(task_id: str) -> None:
            answers.append((await queue.result(task_id))["response"])

        async with memory_queue() as queue:
            task_id = await queue.submit(generate(simulate={"text": "late", "delay": 5}))
            await until(queue, task_id, oq.Status.RUNNING)
            nursery.start_soon(wait, task_id)
            await trio.testing.wait_all_tasks_blocked()
    assert answers == ["late"]


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_a_number_that_json_does_not_have_is_refused_where_the_task_is_made(number):
    with pytest.raises(oq.InvalidTask, match="options"):
        oq.generate("m", "p", options={"a": [{"b": number}]})
    with pytest.raises(oq.InvalidTask, match="metadata"):
        oq.chat("m", "p", metadata={"a": number})


async def test_events_of_a_kind_that_there_is_not_are_refused(autojump_clock):
    async with memory_queue() as queue:
        with pytest.raises(oq.InvalidTask, match="task_done"), queue.subscribe({"task_done"}):
            pass
        with queue.subscribe("task_completed") as events:
            await queue.submit(generate())
            (event,) = await anext(events)
            assert event.type is oq.EventType.TASK_COMPLETED


# -- logs


def logged(tmp_path: Path, options: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    """What a program says whose only backend is down, and whose queue notices and goes on."""
    script = f"""
import structlog, trio, oq
{before}
async def main():
    down = {{"name": "down", "kind": "ollama", "url": "http://127.0.0.1:9"}}
    async with oq.open_queue(backends=[down], {options}) as queue:
        await queue.submit(oq.generate("m", "secret"))
        while queue.status().backends[0].up:
            await trio.sleep(0.01)
        structlog.get_logger("oq").info("a detail")
trio.run(main)
"""
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip


def test_an_embedded_queue_says_what_is_wrong_and_nothing_else(tmp_path):
    said = logged(tmp_path, "")
    assert said.stdout == ""
    assert "backend is down" in said.stderr
    assert "a detail" not in said.stderr
    assert "secret" not in said.stderr


def test_it_logs_as_it_is_told_to(tmp_path):
    said = logged(tmp_path, "log_level='info', log_file='queue.log', log_format='json'")
    assert (said.stdout, said.stderr) == ("", "")
    lines = [json.loads(line) for line in (tmp_path / "queue.log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["backend is down; its tasks wait", "a detail"]


def test_a_program_that_has_configured_structlog_keeps_its_settings(tmp_path):
    before = "structlog.configure(processors=[lambda l, n, e: print('mine', e['event']) or '-'])"
    said = logged(tmp_path, "log_level='error', log_file='queue.log'", before)
    assert "mine backend is down" in said.stdout
    assert "mine a detail" in said.stdout
    assert not (tmp_path / "queue.log").exists()


def test_two_queues_in_one_program_log_as_the_first_until_both_are_closed(tmp_path):
    import structlog

    def options(name: str) -> dict:
        backends = [{"name": "s", "kind": "simulated"}]
        return {"storage_path": tmp_path / name, "log_level": "info", "backends": backends}

    first = oq.BlockingQueue(**options("a"), log_file=tmp_path / "first.log")
    second = oq.BlockingQueue(**options("b"), log_file=tmp_path / "second.log")
    first.close()
    structlog.get_logger().info("still open")
    second.close()
    assert not structlog.is_configured()
    assert "still open" in (tmp_path / "first.log").read_text()
    assert not (tmp_path / "second.log").exists()
