"""The gateway's scenarios at a tiny size: they measure all that their budgets are about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import __main__ as bench
from bench.figures import BUDGETS, RATIOS
from bench.runner import chosen, measure
from bench.scenario import Setting

TINY = Setting(rounds=1, scale=0.01)
FIGURES = {
    "gateway-calls": {"call_1", "call_16", "call_64", "call_wide", "call_cpu", "embed_16"},
    "gateway-token": {"first_direct", "first_added"},
    "gateway-streams": {
        f"{figure}_{streams}"
        for figure in ("chunk_cpu", "streams_kept", "streams_p99", "streams_rss")
        for streams in (64, 256)
    },
    "gateway-queue": {"served_4", "served_64", "served_wide"},
    "gateway-idle": {"idle_caller"},
}


def test_the_family_is_chosen_by_its_name():
    assert tuple(chosen(bench.SCENARIOS, ["gateway"])) == bench.SERVED == tuple(FIGURES)
    assert list(chosen(bench.SCENARIOS, ["gateway-idle"])) == ["gateway-idle"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_scenario_measures_what_its_budgets_are_about(name):
    found = measure({name: bench.SCENARIOS[name]}, TINY)
    assert found.missing == {}
    assert set(found.figures) == FIGURES[name] | {"reference"}
    assert all(value >= 0 for (value,) in found.figures.values())


def test_each_figure_that_is_shown_is_measured_by_some_scenario():
    measured = {figure for figures in FIGURES.values() for figure in figures}
    shown = {name for name, budget in BUDGETS.items() if "gateway" in budget.what}
    assert shown <= measured
    assert {"call_wide", "served_wide"} <= set(RATIOS)


def test_idle_callers_are_measured_once():
    found = measure({"gateway-idle": bench.SCENARIOS["gateway-idle"]}, replace(TINY, rounds=2))
    assert len(found.figures["idle_caller"]) == 1
    assert len(found.figures["reference"]) == 2
