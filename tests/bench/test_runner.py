"""The benchmark's own logic: turns, ratios, medians, and what is said of a budget."""

from contextlib import asynccontextmanager

import msgspec
import pytest

from bench import embedded, figures, growth, report
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


def test_of_a_scenario_that_fails_no_round_counts():
    rounds = iter([1.0, 2.0])

    async def fails_later():
        for figure in rounds:
            return {"x": figure}
        raise NotMeasured("it broke off")

    found = measure({"no": scenario_of(fails_later)}, Setting(rounds=5))
    assert found.missing == {"no": "it broke off"}
    assert found.figures == {}


@pytest.mark.parametrize("error", [ConnectionError("gone"), msgspec.DecodeError("no JSON")])
def test_another_server_that_does_not_speak_the_api_is_said_to_be_so(error):
    async def fails():
        raise error

    found = measure({"no": scenario_of(fails)}, Setting(rounds=1, server="http://box"))
    assert found.missing == {"no": f"http://box does not speak oq's API: {error}"}
    with pytest.raises(type(error)):
        measure({"no": scenario_of(fails)}, Setting(rounds=1))


async def test_how_fast_the_queue_is_filled_is_measured_once(monkeypatch):
    monkeypatch.setattr(growth, "_fill", lambda places: {"fill": 7.0})
    monkeypatch.setattr(growth, "_compare", lambda places: {"submit_1k": 1.0})
    async with growth.growth(Setting()) as (compare, _):
        rounds = [await compare() for _ in range(3)]
    assert rounds == [{"submit_1k": 1.0, "fill": 7.0}, {"submit_1k": 1.0}, {"submit_1k": 1.0}]


async def test_an_idle_queue_is_measured_beside_the_disk_and_one_that_is_not_idle():
    async with embedded.idle(Setting(scale=0.01)) as sides:
        found = {name for side in sides for name in await side()}
    assert found == {f"{what}_{p}" for what in ("soon", "start", "disk") for p in ("p50", "p99")}
    assert all(figures.BUDGETS[f"{what}_p50"].at_most == 0.6 for what in ("soon", "start"))


def test_what_is_a_fault_of_the_benchmark_is_not_hidden():
    async def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure({"no": scenario_of(fails)}, Setting(rounds=1))


def test_only_some_scenarios_may_be_chosen():
    both = {"a": scenario_of(), "b": scenario_of()}
    assert list(chosen(both, [" b", ""])) == ["b"]
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
    summaries = {name: Summary(name, (value,) * 2) for name, value in values.items()}
    rows = report.table(summaries)
    assert rows.splitlines()[2:] == [
        "| a rate | tasks/s | 25,000 | 0% | >= 20,000 | yes | 30,000 |",
        "| a time | ms | 2.500 | 0% | <= 2 | **no** | – |",
        "| no budget | tasks/s | 7.000 | 0% | – | – | – |",
    ]


def test_where_nothing_is_judged_no_row_says_whether_a_budget_is_met():
    (row,) = report.table({"bulk": Summary("bulk", (1.0,))}, judged=False).splitlines()[2:]
    assert row == (
        "| embedded: submit to completed, bulk | tasks/s | 1.000 | once | >= 20,000 |  | 30,000 |"
    )
