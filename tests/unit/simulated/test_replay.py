"""Real traffic at the simulated machine, on the mock clock."""

from __future__ import annotations

import json

import pytest
import trio

from oq.backends.base import Request
from oq.backends.simulated import SimulatedBackend, Simulator
from oq.words.task import TaskType
from tests.support.replay import Arrival, find_trace, read_trace, replay, script_of

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def test_a_trace_is_read_in_seconds_since_its_first_request(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text(
        HEAD
        + "2023-11-16 18:15:46.6805900,374,44\n"
        + "2023-11-16 18:15:50.6805900,396,109\n"
        + "2023-11-16 18:16:46.6805900,879,55\n"
    )
    assert read_trace(trace, scale=2, limit=2) == [
        Arrival(0, 0, 374, 44), Arrival(1, 2, 396, 109)
    ]  # fmt: skip
    assert read_trace(trace)[-1] == Arrival(2, 60, 879, 55)
    trace.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="is no trace: 'TIMESTAMP'"):
        read_trace(trace)


def test_a_trace_that_is_not_there_is_said(monkeypatch):
    monkeypatch.delenv("OQ_TRACES", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no here\.csv: OQ_TRACES"):
        find_trace("here.csv")


async def run_all(arrivals, simulator, **pace):
    """The seconds that each took, and those that it waited inside."""
    backend = SimulatedBackend("s", simulator)
    took, waited = {}, {}

    async def run(arrival):
        script = json.dumps({"simulate": fields(script_of(arrival, **pace))}).encode()
        request = Request(TaskType.GENERATE, "m", b'{"prompt":"x"}', script)
        began = trio.current_time()
        completed = await backend.run(request, lambda _: None)
        took[arrival.number] = trio.current_time() - began
        assert completed.usage.completion_tokens == arrival.tokens
        waited[arrival.number] = completed.timings.waited

    await replay(arrivals, run)
    return took, waited


def fields(script):
    return {"prompt": script.prompt, "rate": script.rate, "tokens": script.tokens,
            "together": script.together}  # fmt: skip


async def test_each_request_comes_at_its_time_and_takes_as_long_as_its_tokens(autojump_clock):
    arrivals = [Arrival(0, 0, 100, 11), Arrival(1, 1, 50, 21), Arrival(2, 100, 10, 1)]
    simulator = Simulator(parallel=1)
    began = trio.current_time()
    took, waited = await run_all(arrivals, simulator, read=50, rate=10, together=7)
    assert [call.at - began for call in simulator.calls] == [0, 1, 100]
    assert took == pytest.approx({0: 3, 1: 2 + 3, 2: 0.2})
    assert waited == pytest.approx({0: 0, 1: 2, 2: 0}, abs=1e-6)


@pytest.mark.parametrize("name", ["azure-2023-code.csv", "azure-2023-conv.csv"])
async def test_a_thousand_requests_of_real_traffic(autojump_clock, name):
    arrivals = read_trace(find_trace(name), scale=0.5, limit=1000)
    took, waited = await run_all(
        arrivals, Simulator(parallel=4), read=20_000, rate=100, together=1000
    )
    assert len(took) == 1000
    for arrival in arrivals:
        alone = arrival.prompt_tokens / 20_000 + max(0, arrival.tokens - 1) / 100
        assert took[arrival.number] == pytest.approx(alone + waited[arrival.number], abs=0.001)
