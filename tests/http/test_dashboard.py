"""What the dashboard asks beyond the tasks: what happened lately, and which models there are."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import pytest
import trio
import trio.testing

from oq.backends.ollama import OllamaBackend
from oq.backends.openai import OpenAIBackend
from oq.backends.simulated import SimulatedBackend, Simulator
from oq.backends.simulated.server import serve_simulator
from oq.http.app import create_app
from oq.queue import catalogue, open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.errors import BackendDown, BackendFailure
from tests.support.http import GENERATE, HANG, Api, api, settings


async def counted(oq: Api, window: str = "15m") -> dict[str, float]:
    """What happened within the window, in all."""
    points = (await oq.get(f"/api/stats?window={window}")).json["points"]
    names = ("submitted", "completed", "failed", "cancelled", "retried", "tokens")
    return {name: sum(point[name] for point in points) for name in names}


@pytest.mark.parametrize(("window", "interval", "points"), [("15m", 10, 90), ("24h", 300, 288)])
async def test_stats(window: str, interval: int, points: int):
    async with api() as oq:
        await oq.ended(await oq.submit())
        refused = {**GENERATE, "options": {"simulate": {"status": 400, "error": "no"}}}
        await oq.ended(await oq.submit(refused))
        cancelled = await oq.running(HANG)
        await oq.post(f"/api/tasks/{cancelled}/cancel")
        found = await counted(oq, window)
        assert found.pop("tokens") > 0
        assert found == {
            "submitted": 3, "completed": 1, "failed": 1, "cancelled": 1, "retried": 0
        }  # fmt: skip
        stats = (await oq.get(f"/api/stats?window={window}")).json
        assert stats["interval"] == interval
        assert len(stats["points"]) == points
        waited = [point for point in stats["points"] if point["wait_p50"] is not None]
        assert waited
        assert all(0 < point["wait_p50"] <= point["wait_p95"] for point in waited)
        assert stats["oldest_waiting"] is None


async def test_a_failed_attempt_counts_as_retried():
    async with api(retry_config={"initial_delay": "1h", "max_delay": "1h"}) as oq:
        with oq.queue.subscribe(types={"task_retrying"}) as events:
            await oq.submit({**GENERATE, "options": {"simulate": {"fault": "cut"}}})
            await anext(events)
        assert (await counted(oq))["retried"] == 1


async def test_the_oldest_that_waits():
    async with api(paused=True) as oq:
        first = await oq.submit({**GENERATE, "priority": "low"})
        await oq.submit({**GENERATE, "priority": "critical"})
        await oq.submit({**GENERATE, "run_at": "2099-01-01T00:00:00Z"})
        oldest = (await oq.get("/api/stats")).json["oldest_waiting"]
        assert oldest == (await oq.get(f"/api/tasks/{first}")).json["created_at"]
        assert datetime.fromisoformat(oldest).tzinfo is not None
        await oq.post("/api/tasks/bulk", {"action": "cancel", "filter": {"priority": [1, 15]}})
        assert (await oq.get("/api/stats")).json["oldest_waiting"] is None


async def test_a_window_that_there_is_not():
    async with api() as oq:
        reply = await oq.get("/api/stats?window=1y")
        assert reply.status == 400
        assert "window: '1y' is none of 15m, 24h" in reply.error


# -- backends


async def test_backends():
    async with api() as oq:
        await oq.ended(await oq.submit())
        assert (await oq.get("/api/backends")).json == [
            {
                "name": "sim", "kind": "simulated", "url": "simulated://sim", "up": True,
                "running": 0, "max_concurrency": 4,
                "models": [{"name": "m"}, {"name": "simulated:latest"}],
                "loaded": [{"name": "m"}],
            }
        ]  # fmt: skip


async def test_a_backend_that_is_down_says_why():
    backend = SimulatedBackend("sim")
    backend.down = "refused"
    async with open_queue(
        settings(), backends=[backend], ledger=KeyValueLedger(MemoryEngine())
    ) as queue:
        await trio.testing.wait_all_tasks_blocked()
        oq = Api(create_app(queue), queue)
        (shown,) = (await oq.get("/api/backends")).json
        assert shown["up"] is False
        assert "refused" in shown["error"]
        assert shown["models"] == shown["loaded"] == []


class Slow(SimulatedBackend):
    """It never lists its models."""

    asked = 0

    async def models(self):
        self.asked += 1
        await trio.sleep_forever()


async def test_a_backend_that_does_not_list_its_models_delays_nobody_for_long(autojump_clock):
    backend = Slow("sim")
    async with open_queue(
        settings(), backends=[backend], ledger=KeyValueLedger(MemoryEngine())
    ) as queue:
        began = trio.current_time()
        (shown,) = await queue.raw.backends()
        assert trio.current_time() - began == catalogue.TIMEOUT
        assert shown.up
        assert "did not list its models" in str(shown.error)
        await queue.raw.backends()
        assert backend.asked == 1, "an answer is kept for a while, also when it is none"
        await trio.sleep(catalogue.KEPT)
        await queue.raw.backends()
        assert backend.asked == 2


class Dying(SimulatedBackend):
    """It does not answer while it is `dead`."""

    dead = False

    async def models(self):
        if self.dead:
            raise BackendDown("cannot reach sim: connection refused")
        return await super().models()

    async def probe(self):
        if self.dead:
            raise BackendDown("cannot reach sim: connection refused")


async def test_a_backend_that_cannot_be_reached_is_down_wherever_it_is_shown(autojump_clock):
    """Whoever finds out first: here somebody who looks, while no task runs."""
    backend = Dying("sim")
    async with open_queue(
        settings(), backends=[backend], ledger=KeyValueLedger(MemoryEngine())
    ) as queue:
        oq = Api(create_app(queue), queue)
        await trio.testing.wait_all_tasks_blocked()
        backend.dead = True
        (shown,) = (await oq.get("/api/backends")).json
        assert (shown["up"], "cannot reach" in shown["error"]) == (False, True)
        await trio.testing.wait_all_tasks_blocked()
        (status,) = (await oq.get("/api/status")).json["backends"]
        assert (status["up"], "cannot reach" in status["error"]) == (False, True)
        assert b'oq_backend_up{backend="sim"} 0.0' in (await oq.get("/metrics")).body
        backend.dead = False
        await trio.sleep(2 * queue.config.queue.probe_interval)
        (shown,) = (await oq.get("/api/backends")).json
        assert (shown["up"], shown.get("error")) == (True, None)


async def test_many_who_ask_at_once_are_one_question(autojump_clock):
    backend = Slow("sim")
    async with open_queue(
        settings(), backends=[backend], ledger=KeyValueLedger(MemoryEngine())
    ) as queue:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(queue.raw.backends)
        assert backend.asked == 1


@pytest.mark.parametrize("kind", [OllamaBackend, OpenAIBackend])
async def test_models_over_http(kind: type[OllamaBackend] | type[OpenAIBackend]):
    simulator = Simulator(models={"a:latest", "b:7b"})
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)
        backend = kind("one", url)
        async with simulator.loaded.use("b:7b", {}):
            found = await backend.models()
        assert [model.name for model in found.models] == ["a:latest", "b:7b"]
        loaded = ["b:7b"] if kind is OllamaBackend else []
        assert [model.name for model in found.loaded] == loaded
        if kind is OllamaBackend:
            assert found.models[0].quantization == "none"
            assert found.loaded[0].expires_at is not None
        await backend.aclose()
        nursery.cancel_scope.cancel()


async def test_what_is_no_list_of_models_is_said():
    async def nonsense(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    async with trio.open_nursery() as nursery:
        listener, *_ = await nursery.start(partial(trio.serve_tcp, nonsense, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        backend = OllamaBackend("one", f"127.0.0.1:{port}")
        with pytest.raises(BackendFailure, match="its list of models cannot be read"):
            await backend.models()
        await backend.aclose()
        nursery.cancel_scope.cancel()
    with pytest.raises(BackendDown):
        await backend.models()
    await backend.aclose()
