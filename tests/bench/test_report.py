"""What a run of the benchmark leaves: tables, JSON and charts that say what was measured."""

import json
from xml.etree import ElementTree

import pytest

from bench import charts, report
from bench.charts import growth_charts, speed
from bench.figures import BUDGETS, Budget, curves
from bench.runner import Found
from bench.scenario import Setting

FIGURES = {
    "bulk": 10_000.0,
    "start_p50": 0.3,
    "version": 1.0,
    "submit_1m": 0.6,
    "submit_1k": 0.5,
    "rss_1k": 60.0,
}


@pytest.fixture
def found():
    made = Found()
    made.add(FIGURES)
    return made


def tree(svg):
    return ElementTree.fromstring(svg.encode())


def texts(svg):
    return {element.text for element in tree(svg).iter() if element.text}


def test_curves_go_from_the_least_size_to_the_largest(found):
    assert curves(found.summaries()) == {
        "submit": [(1_000, 0.5), (1_000_000, 0.6)],
        "rss": [(1_000, 60.0)],
    }


def test_a_curve_table_shows_what_was_not_measured_as_such(found):
    assert report.curve_table(curves(found.summaries())).splitlines() == [
        "| pending tasks | 1,000 | 1,000,000 |",
        "|-|-|-|",
        "| submit, durable, p50, ms | 0.500 | 0.600 |",
        "| resident memory, MB | 60.000 | – |",
    ]
    assert report.curve_table({}) == ""


@pytest.mark.parametrize(
    ("budget", "value", "times"),
    [
        (Budget("rate", "tasks/s", 20_000), 10_000, 0.5),
        (Budget("time", "ms", at_most=2), 0.5, 4),
        (Budget("free", "ms"), 1, None),
    ],
)
def test_twice_the_rate_and_half_the_time_are_twice_as_good(budget, value, times):
    assert speed(budget, value) == times


def test_the_chart_has_a_bar_and_its_number_for_each_budget(found):
    shown = texts(charts.budget_chart(found.summaries()))
    assert {BUDGETS["bulk"].what, BUDGETS["version"].what, "0.50", "2.00", "150"} <= shown


def test_the_growth_charts_have_the_sizes_on_their_axis(found):
    drawn = growth_charts(curves(found.summaries()))
    assert set(drawn) == {"growth-time", "growth-memory"}
    assert {"submit", "1,000", "1,000,000"} <= texts(drawn["growth-time"])


def test_a_chart_of_the_same_figures_is_the_same_file(found):
    assert charts.budget_chart(found.summaries()) == charts.budget_chart(found.summaries())


def test_a_chart_is_a_picture_and_no_program(found):
    for chart in growth_charts(curves(found.summaries())).values():
        tags = {element.tag.rpartition("}")[2] for element in tree(chart).iter()}
        assert tags.isdisjoint({"script", "image", "a"})


def test_a_run_is_written_down_whole(found, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    found.missing["token"] = "this oq has no POST /api/chat"
    report.save(found, Setting(rounds=1), {"load": 1.0, "fdatasync_ms": 0.1})
    document = json.loads((tmp_path / "results" / "latest.json").read_text())
    assert document["figures"]["bulk"] == {"median": 10_000, "rounds": [10_000]}
    assert {"date", "python", "cores", "cpu", "commit", "oq"} <= set(document["machine"])
    assert document["machine"]["load"].startswith("1.0 to ")
    assert document["machine"]["fdatasync_ms"].startswith("0.1 to ")
    written = (tmp_path / "results" / "latest.md").read_text()
    assert "| 10,000 |" in written
    assert "not measured: token: this oq has no POST /api/chat" in written
    pictures = {path.name for path in (tmp_path / "results").glob("*.svg")}
    assert pictures == {"budgets.svg", "growth-time.svg", "growth-memory.svg"}
    assert all(f"]({name})" in written for name in pictures)


def test_a_small_run_says_that_it_is_no_measure(found):
    small, whole = report.text(found, Setting(scale=0.1)), report.text(found, Setting())
    assert "no measure of the budgets" in small
    assert "no measure" not in whole
    assert "| yes |" in whole
    assert "| yes |" not in small


def test_another_server_is_not_judged_by_the_budgets_of_oq(found):
    shown = report.text(found, Setting(server="http://box:1"))
    assert "| yes |" not in shown
    assert "Measured was http://box:1" in shown
