"""Counts tokens in the interval in which they came, and not all of them when their task ends.

While an answer comes, each of its pieces counts as a token. At its end the backend says how many
tokens there were, and what was counted is set right: in the intervals in which they came. What came
in one piece, and the prompt, counts as spread over the time in which it was worked on.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

from oq.rules.history import FINE, WINDOWS, History
from oq.words.task import Attempt, TaskState, Usage

SHORT = 1.0
"""Seconds: all tokens of an attempt that was not longer count at its end."""
WHOLE = 0.9
"""The share of its time after which the first piece of an answer comes that is sent whole."""


class _Run(Struct):
    """An attempt that generates: the pieces so far, and how many came in which interval."""

    pieces: int = 0
    parts: dict[int, int] = field(default_factory=dict)


class TokenFlow:
    """Of all tasks that run. It is told of each end of an attempt that had pieces."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._runs: dict[str, _Run] = {}

    def came(self, task_id: str, model: str, pieces: int, at: datetime) -> None:
        """The answer has so many pieces by now."""
        run = self._runs.get(task_id)
        if run is None:
            run = self._runs[task_id] = _Run()
        number = int(at.timestamp() // FINE)
        if number not in run.parts and len(run.parts) >= WINDOWS["15m"].buckets:
            del run.parts[next(iter(run.parts))]
        run.parts[number] = run.parts.get(number, 0) + pieces - run.pieces
        self._history.count(at, model, "tokens", pieces - run.pieces)
        run.pieces = pieces

    def ended(self, state: TaskState, model: str, ran: float | None, at: datetime) -> Usage | None:
        """The attempt has ended. What it used, if that is to be counted now; else it is counted."""
        run, usage = self._runs.pop(state.id, None), state.usage
        if usage is None or not state.status.ended or not state.attempts:
            return None
        if run is None and ran is not None and ran < SHORT:
            return usage
        work, first, end = _times(state.attempts[-1])
        whole = run is None or first - work > WHOLE * (end - work)
        read = end if whole else first
        self._history.spread(at, model, "prompt_tokens", usage.prompt_tokens, work, read)
        if whole:
            self._set_right(at, model, run, 0)
            self._history.spread(at, model, "tokens", usage.completion_tokens, work, end)
        else:
            self._set_right(at, model, run, usage.completion_tokens)
        return None

    def _set_right(self, at: datetime, model: str, run: _Run | None, tokens: int) -> None:
        """There were so many tokens: each interval gets its share of them."""
        if run is None:
            return
        counted = told = 0
        for number, pieces in run.parts.items():
            counted += pieces
            so_far = round(tokens * counted / max(1, run.pieces))
            self._history.correct(at, model, "tokens", number, so_far - told - pieces)
            told = so_far


def _times(attempt: Attempt) -> tuple[float, float, float]:
    """In seconds: when the backend began to work on it, the first piece of its answer, its end."""
    ended = attempt.ended_at or attempt.started_at
    first = (attempt.first_token_at or ended).timestamp()
    end = max(first, ended.timestamp())
    inside = (attempt.waited_inside or 0.0) + (attempt.load or 0.0)
    work = min(attempt.started_at.timestamp() + inside, first, end)
    return work, first, max(end, work)
