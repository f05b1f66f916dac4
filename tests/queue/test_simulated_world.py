"""A simulation never answers real tasks: it has a directory of its own, and a store knows which of
the two it belongs to.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from click.testing import CliRunner

from oq.backends import make_backend, open_backends
from oq.backends.base import Request
from oq.backends.simulated import SimulatedBackend
from oq.cli.serve import serve_
from oq.queue import open_queue
from oq.store import MemoryEngine, Store, keys
from oq.words.config import BackendConfig, Config, to_config
from oq.words.errors import StoreError
from oq.words.task import Status, TaskType
from tests.support.builders import new
from tests.support.queues import generate

SIMULATED = {"name": "s", "kind": "simulated"}
REAL = {"name": "r", "kind": "ollama", "url": "http://127.0.0.1:9"}


async def keep_one_task(backends: list[dict[str, str]], path: Path) -> str:
    """Submit a task that waits, in the directory at `path`."""
    async with open_queue(backends=backends, storage_path=path) as queue:
        await queue.pause()
        return (await queue.raw.submit(generate())).task_id


async def test_a_simulation_does_not_open_real_tasks(tmp_path):
    task_id = await keep_one_task([REAL], tmp_path)
    with pytest.raises(StoreError, match=r"tasks for real models.*made up.*--data-dir"):
        await keep_one_task([SIMULATED], tmp_path)
    async with open_queue(backends=[REAL], storage_path=tmp_path) as queue:
        assert (await queue.raw.get(task_id)).status is Status.PENDING


async def test_one_simulated_backend_among_real_ones_is_a_simulation(tmp_path):
    await keep_one_task([REAL], tmp_path)
    with pytest.raises(StoreError, match="real models"):
        await keep_one_task([REAL, SIMULATED], tmp_path)


async def test_real_backends_do_not_open_the_tasks_of_a_simulation(tmp_path):
    await keep_one_task([SIMULATED], tmp_path)
    with pytest.raises(StoreError, match=r"tasks of a simulation.*queue.storage_path"):
        await keep_one_task([REAL], tmp_path)
    await keep_one_task([SIMULATED], tmp_path)


async def test_a_backend_that_is_made_already_counts_too(tmp_path):
    await keep_one_task([REAL], tmp_path)
    with pytest.raises(StoreError, match="real models"):
        async with open_queue(backends=[SimulatedBackend()], storage_path=tmp_path):
            pytest.fail("it opened")


async def test_the_directory_of_a_queue_that_never_had_a_task_is_anybodys(tmp_path):
    for backends in ([SIMULATED], [REAL], [SIMULATED]):
        async with open_queue(backends=backends, storage_path=tmp_path):
            pass


async def test_a_store_whose_tasks_are_all_gone_is_still_of_its_world(tmp_path):
    async with open_queue(backends=[REAL], storage_path=tmp_path) as queue:
        await queue.pause()
        task_id = (await queue.raw.submit(generate())).task_id
        await queue.cancel(task_id)
        await queue.delete(task_id)
    with pytest.raises(StoreError, match="real models"):
        await keep_one_task([SIMULATED], tmp_path)


def test_a_store_from_before_the_mark_holds_real_tasks():
    engine = MemoryEngine()
    Store(engine).write([new()], event_seq=1)
    meta = msgspec.msgpack.decode(engine.get("meta", keys.META_KEY))
    del meta["simulated"]
    engine.write([("meta", keys.META_KEY, msgspec.msgpack.encode(meta))])
    Store(engine).enter(simulated=False)
    with pytest.raises(StoreError, match="real models"):
        Store(engine).enter(simulated=True)


@pytest.mark.parametrize(
    ("arguments", "directory"),
    [
        (["--simulate"], "./data-simulated"),
        (["--simulate", "--data-dir", "here"], "here"),
        ([], "./data"),
    ],
)
def test_the_directory_of_oq_serve(arguments, directory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("QUEUE_STORAGE_PATH", raising=False)
    served = []
    monkeypatch.setattr("oq.http.serve.run", lambda config, **_: served.append(config))
    CliRunner().invoke(serve_, arguments, catch_exceptions=False)
    assert [config.queue.storage_path for config in served] == [directory]


def test_a_directory_of_the_settings_gets_a_neighbour_for_the_simulation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("QUEUE_STORAGE_PATH", "/srv/oq/")
    served = []
    monkeypatch.setattr("oq.http.serve.run", lambda config, **_: served.append(config))
    CliRunner().invoke(serve_, ["--simulate"], catch_exceptions=False)
    assert [config.queue.storage_path for config in served] == ["/srv/oq-simulated"]


async def test_a_simulation_takes_the_time_of_a_small_model(autojump_clock):
    backend = make_backend(BackendConfig(**SIMULATED), Config())
    times: list[float] = []
    began = trio.current_time()
    request = Request(TaskType.GENERATE, "m", b'{"prompt":"hello"}', b"{}")
    await backend.run(request, lambda _: times.append(trio.current_time() - began))
    assert 0.1 <= times[0] <= 1
    assert 0.5 <= times[-1] <= 5
    assert all(gap > 0 for gap in map(float.__sub__, times[1:-1], times[:-2]))


async def test_its_pace_is_a_setting(autojump_clock):
    pace = {"delay": "10s", "tokens_per_second": 2, "load": "30s"}
    [backend] = open_backends(to_config({"backends": [SIMULATED], "simulated": pace}))
    began = trio.current_time()
    request = Request(TaskType.GENERATE, "m", b'{"prompt":"hello"}', b"{}")
    await backend.run(request, lambda _: None)
    assert trio.current_time() - began == pytest.approx(30 + 10 + 15 / 2)


async def test_how_it_loads_and_lines_up_are_settings():
    section = {"load": "2s", "parallel": 2, "max_models": 1, "max_queue": 7, "keep_alive": "1m"}
    [backend] = open_backends(to_config({"backends": [SIMULATED], "simulated": section}))
    loaded = backend.simulator.loaded
    assert (loaded.cost, loaded.parallel, loaded.limit) == (2, 2, 1)
    assert (loaded.max_queue, loaded.keep_alive) == (7, 60)
    assert backend.measures
    assert (await backend.facts()).slots is None
    [backend] = open_backends(to_config({"backends": [SIMULATED], "simulated": {"parallel": 0}}))
    assert backend.simulator.loaded.parallel is None
    assert not backend.measures
    assert (await backend.facts()).slots > 1000
    [backend] = open_backends(to_config({"backends": [SIMULATED]}))
    assert backend.simulator.loaded.parallel == 1, "as Ollama's"
