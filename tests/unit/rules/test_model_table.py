"""What is shown of each model: its tasks now, and what happened to them lately."""

from __future__ import annotations

from itertools import count

import pytest

from oq.rules.history import History
from oq.rules.model_counts import MOST_NAMES, ModelTasks, tasks_by_model
from oq.rules.model_table import MOST_ROWS, stats_by_model
from oq.rules.tallies import OTHERS
from oq.words.stats import ModelStats, StatsByModel
from tests.support.builders import NOW, at


def history() -> History:
    made = History()
    made.begin(at(-600))
    return made


def table(made: History, window: str = "15m", now: float = 0, **tasks: ModelTasks) -> StatsByModel:
    return stats_by_model(made, window, at(now), tasks, ())


def rows(found: StatsByModel) -> dict[str | None, ModelStats]:
    return {row.model: row for row in found.models}


# -- tasks now


def test_tasks_are_counted_by_the_one_name_of_their_model():
    waiting = [("a", 1), ("a:latest", 2), ("b:7b", 1), ("a", 3)]
    assert tasks_by_model(waiting, 7, ["b:7b", "d:latest"]) == {
        "a": ModelTasks(6, 0), "b:7b": ModelTasks(1, 1), "d": ModelTasks(0, 1)
    }  # fmt: skip


def test_a_million_made_up_names_are_not_looked_at():
    waiting = ((f"m{number}", 1) for number in count())
    found = tasks_by_model(waiting, MOST_NAMES + 7, [])
    assert len(found) == MOST_NAMES + 1
    assert found[OTHERS].waiting == 7


# -- rows


def test_a_model_has_its_tasks_and_its_figures():
    made = history()
    made.add(at(-300), "a", {"completed": 3, "failed": 1, "tokens": 50}, [2.0], [1.0])
    made.add(NOW, "a", {"retried": 1, "tokens": 660, "prompt_tokens": 60}, [2.0], [9.0])
    found = stats_by_model(made, "15m", at(6), {"a": ModelTasks(4, 2), "b": ModelTasks(1)}, ["c"])
    assert [row.model for row in found.models] == ["a", "b", "c"]
    a, b, c = found.models
    assert (a.waiting, a.running, a.paused) == (4, 2, False)
    assert (a.completed, a.failed, a.retried, a.cancelled) == (3, 1, 1, 0)
    assert (a.tokens_per_second, a.prompt_tokens_per_second) == (10.0, pytest.approx(0.909))
    assert (a.wait_p50, a.run_p50) == (pytest.approx(2, rel=0.05), pytest.approx(1, rel=0.05))
    assert a.run_p95 == pytest.approx(9, rel=0.05)
    assert (b.waiting, b.tokens_per_second, b.wait_p50) == (1, 0.0, None)
    assert (c.paused, c.waiting) == (True, 0)


def test_each_interval_has_its_tokens_and_none_where_oq_did_not_run():
    made = history()
    made.add(at(-100), "a", {"tokens": 50})
    made.add(NOW, "a", {"tokens": 7, "prompt_tokens": 3})
    found = table(made)
    assert (found.interval, found.start, len(found.models[0].tokens)) == (10, at(-890), 90)
    tokens = found.models[0].tokens
    assert (tokens[-1], tokens[-11], sum(each or 0 for each in tokens)) == (7, 50, 57)
    assert found.models[0].prompt_tokens[-1] == 3
    assert tokens[:29] == [None] * 29, "it began ten minutes ago"
    assert None not in tokens[29:]
    assert sum(each or 0 for each in table(made, "24h").models[0].tokens) == 57


def test_made_up_models_share_a_row_and_the_real_ones_have_theirs():
    made = history()
    made.add(NOW, "real", {"submitted": 1, "completed": 1, "tokens": 5})
    for number in range(200):
        made.add(at(number), f"made up {number}", {"submitted": 9, "failed": 9, "tokens": 1})
    tasks = {f"waits {number}": ModelTasks(waiting=number + 1) for number in range(200)}
    tasks["runs"] = ModelTasks(running=1)
    found = stats_by_model(made, "24h", at(200), tasks, ["paused"])
    shown = rows(found)
    assert len(shown) == MOST_ROWS + 1
    assert {"real", "runs", "paused", None} <= shown.keys()
    assert sum(row.failed for row in found.models) == 200 * 9
    assert sum(row.waiting for row in found.models) == 200 * 201 // 2
    assert sum(sum(each or 0 for each in row.tokens) for row in found.models) == 205
    assert found.models[-1].model is None, "the rest comes last"
    assert all(row.model is not None for row in found.models[:-1])


def test_all_that_are_paused_are_shown():
    paused = [f"m{number}" for number in range(2 * MOST_ROWS)]
    found = stats_by_model(history(), "15m", NOW, {"x": ModelTasks(1)}, paused)
    assert {row.model for row in found.models if row.paused} == set(paused)
    assert rows(found)[None].waiting == 1
