"""What is shown of each model: its tasks now, and what happened to them lately."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from oq.rules.history import WINDOWS, History, Interval
from oq.rules.model_counts import ModelTasks
from oq.rules.tallies import OTHERS, Tally
from oq.words.stats import ModelStats, StatsByModel

MOST_ROWS = 50
"""Models that are shown by name, if not more of them are paused."""
LAST = 6
"""Short intervals before the present one over which tokens per second are counted."""


def stats_by_model(
    history: History,
    window: str,
    now: datetime,
    tasks: Mapping[str, ModelTasks],
    paused: Collection[str],
) -> StatsByModel:
    """See `StatsByModel`. `tasks` are those of now, `paused` the models whose tasks do not start;
    both by the one name of each model.
    """
    intervals = history.intervals(window, now)
    tallies = _by_model(intervals)
    named = _named(tallies, tasks, paused)

    def row_of(model: str) -> str:
        return model if model in named else OTHERS

    waiting: dict[str, ModelTasks] = {}
    for model, each in tasks.items():
        row = waiting.setdefault(row_of(model), ModelTasks())
        row.waiting += each.waiting
        row.running += each.running
    lately = history.intervals("15m", now)[-1 - LAST :]
    took = now.timestamp() - lately[0].start
    whole, latest = _by_row(tallies, row_of), _by_row(_by_model(lately), row_of)
    others = [OTHERS] if OTHERS in whole or OTHERS in waiting else []
    return StatsByModel(
        interval=WINDOWS[window].interval,
        start=datetime.fromtimestamp(intervals[0].start, UTC),
        models=[
            _row(
                model, waiting.get(model) or ModelTasks(), model in paused,
                whole.get(model) or Tally(), (latest.get(model) or Tally(), took),
                [_counted(each, model, row_of) for each in intervals],
            )
            for model in [*sorted(named), *others]
        ],
    )  # fmt: skip


def _by_model(intervals: list[Interval]) -> dict[str, list[Tally]]:
    """The tallies of each model. There may be many models of one tally each."""
    found: dict[str, list[Tally]] = {}
    for interval in intervals:
        for model, tally in interval.models.items():
            found.setdefault(model, []).append(tally)
    return found


def _by_row(tallies: Mapping[str, list[Tally]], row_of: Callable[[str], str]) -> dict[str, Tally]:
    """All of them together, for each row."""
    found: dict[str, Tally] = {}
    for model, some in tallies.items():
        row = found.setdefault(row_of(model), Tally())
        for tally in some:
            row.merge(tally)
    return found


def _named(
    tallies: Mapping[str, list[Tally]], tasks: Mapping[str, ModelTasks], paused: Collection[str]
) -> set[str]:
    """The models that have a row of their own."""

    def weight(model: str) -> tuple[bool, int, int, int, str]:
        now, lately = tasks.get(model) or ModelTasks(), tallies.get(model) or ()
        done = sum(tally.counts.get("completed", 0) for tally in lately)
        came = sum(tally.counts.get("submitted", 0) for tally in lately)
        return model in paused, now.running, done, now.waiting + came, model

    names = {*tallies, *tasks, *paused} - {OTHERS}
    if len(names) <= MOST_ROWS:
        return names
    return set(sorted(names, key=weight, reverse=True)[: max(MOST_ROWS, len(paused))])


def _counted(interval: Interval, row: str, row_of: Callable[[str], str]) -> tuple[int, int] | None:
    """The tokens that were generated and read in one interval; None if oq did not run."""
    if not interval.ran:
        return None
    if row != OTHERS:
        tally = interval.models.get(row)
        return (0, 0) if tally is None else _tokens(tally)
    some = [_tokens(tally) for name, tally in interval.models.items() if row_of(name) == OTHERS]
    return sum(each for each, _ in some), sum(each for _, each in some)


def _tokens(tally: Tally) -> tuple[int, int]:
    return tally.counts.get("tokens", 0), tally.counts.get("prompt_tokens", 0)


def _row(
    model: str,
    tasks: ModelTasks,
    paused: bool,
    tally: Tally,
    lately: tuple[Tally, float],
    intervals: list[tuple[int, int] | None],
) -> ModelStats:
    latest, took = lately
    generated, read = _tokens(latest)
    return ModelStats(
        model=model or None,
        waiting=tasks.waiting,
        running=tasks.running,
        paused=paused,
        completed=tally.counts["completed"],
        failed=tally.counts["failed"],
        cancelled=tally.counts["cancelled"],
        retried=tally.counts["retried"],
        tokens_per_second=round(generated / took, 3),
        prompt_tokens_per_second=round(read / took, 3),
        wait_p50=tally.waits.quantile(0.5),
        wait_p95=tally.waits.quantile(0.95),
        run_p50=tally.runs.quantile(0.5),
        run_p95=tally.runs.quantile(0.95),
        tokens=[None if each is None else each[0] for each in intervals],
        prompt_tokens=[None if each is None else each[1] for each in intervals],
    )
