"""The benchmark's own logic: turns, ratios, medians, and what is said of a budget."""

from contextlib import asynccontextmanager

import pytest

from bench import figures, report
from bench.figures import Budget, Summary, percentile, ratios
from bench.runner import chosen, measure
from bench.scenario import NotMeasured, Setting


def scenario_of(*sides):
    @asynccontextmanager
    async def scenario(setting):
        yield list(sides)

    return scenario


def test_sides_are_measured_in_turns():
    turns = []

    def side(name):
        async def one():
            turns.append(name)
            return {name: float(len(turns))}

        return one

    found = measure({"both": scenario_of(side("a"), side("b"))}, Setting(rounds=3))
    assert turns == ["a", "b"] * 3
    assert found.figures["a"] == [1, 3, 5]
    assert found.figures["b"] == [2, 4, 6]
    assert len(found.figures["reference"]) == 3


def test_a_ratio_is_that_of_each_round_and_not_of_the_medians(monkeypatch):
    monkeypatch.setitem(figures.RATIOS, "share", ("a", "b"))
    rounds = iter([{"a": 1.0, "b": 2.0}, {"a": 8.0, "b": 2.0}, {"a": 6.0, "b": 1.0}])

    async def both():
        return next(rounds)

    found = measure({"both": scenario_of(both)}, Setting(rounds=3))
    assert found.figures["share"] == [0.5, 4, 6]


def test_a_ratio_needs_both_of_its_figures():
    assert ratios({"post": 3.0}) == {}
    assert ratios({"post": 3.0, "post_bare": 4.0}) == {"post_ratio": 0.75}


def test_what_cannot_be_measured_is_said_and_the_others_go_on():
    async def fails():
        raise NotMeasured("there is no such call")

    async def works():
        return {"x": 1.0}

    found = measure({"no": scenario_of(fails), "yes": scenario_of(works)}, Setting(rounds=1))
    assert found.missing == {"no": "there is no such call"}
    assert found.figures["x"] == [1.0]
    assert report.missing(found) == "not measured: no: there is no such call\n"


def test_what_is_a_fault_of_the_benchmark_is_not_hidden():
    async def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure({"no": scenario_of(fails)}, Setting(rounds=1))


def test_only_some_scenarios_may_be_chosen():
    both = {"a": scenario_of(), "b": scenario_of()}
    assert list(chosen(both, [])) == ["a", "b"]
    assert list(chosen(both, ["b"])) == ["b"]
    with pytest.raises(ValueError, match="no scenario c; there are a, b"):
        chosen(both, ["b", "c"])


@pytest.mark.parametrize(
    ("scale", "size"), [(1, 19_968), (0.5, 9_984), (0.0001, 64)], ids=["whole", "half", "least"]
)
def test_sizes_follow_the_scale_in_whole_steps(scale, size):
    assert Setting(scale=scale).sized(20_000, least=64) == size


def test_median_and_spread():
    summary = Summary("x", (1.0, 2.0, 6.0))
    assert summary.median == 2
    assert summary.spread == 1.25
    assert Summary("zero", (0.0,)).spread == 0


def test_percentiles_are_values_that_occurred():
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([3.0], 0.99) == 3


def test_a_row_says_whether_the_budget_is_met(monkeypatch):
    budgets = {
        "rate": Budget("a rate", "tasks/s", 20_000, goal=30_000),
        "time": Budget("a time", "ms", at_most=2),
        "free": Budget("no budget", "tasks/s"),
        "absent": Budget("not measured", "ms", at_most=1),
    }
    monkeypatch.setattr(report, "BUDGETS", budgets)
    values = {"rate": 25_000.0, "time": 2.5, "free": 7.0}
    rows = report.table({name: Summary(name, (value,)) for name, value in values.items()})
    assert rows.splitlines()[2:] == [
        "| a rate | tasks/s | 25,000 | 0% | >= 20,000 | yes | 30,000 |",
        "| a time | ms | 2.500 | 0% | <= 2 | **no** | – |",
        "| no budget | tasks/s | 7.000 | 0% | – | – | – |",
    ]
