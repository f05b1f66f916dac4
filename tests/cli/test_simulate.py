"""The flags of `oq simulate`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from oq.backends.simulated.router import RouterModels
from oq.cli import simulate


@pytest.fixture
def made(monkeypatch):
    """Run it with flags; gives its simulator instead of serving."""

    def run(*flags):
        simulators = []

        async def keep(host, port, simulator):
            simulators.append(simulator)

        monkeypatch.setattr(simulate, "_serve", keep)
        result = CliRunner().invoke(simulate.simulate_, flags, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return simulators[0]

    return run


def test_it_loads_and_lines_up_as_ollama_does_by_default(made):
    loaded = made().loaded
    assert (loaded.parallel, loaded.limit, loaded.max_queue) == (1, 3, 512)
    assert (loaded.cost, loaded.keep_alive) == (0, 300)


def test_each_has_a_flag(made):
    loaded = made(
        "--parallel", "0", "--max-models", "2", "--max-queue", "0", "--load", "0.5",
        "--keep-alive", "9",
    ).loaded  # fmt: skip
    assert (loaded.parallel, loaded.limit, loaded.max_queue) == (None, 2, 0)
    assert (loaded.cost, loaded.keep_alive) == (0.5, 9)
    assert made("--max-loaded", "2").loaded.limit == 2, "its name before"


def test_the_router_has_one_model_in_memory_unless_told_otherwise(made):
    simulator = made("--router", "--model", "m")
    assert isinstance(simulator.loaded, RouterModels)
    assert simulator.loaded.limit == 1
    assert made("--router", "--max-models", "2").loaded.limit == 2
