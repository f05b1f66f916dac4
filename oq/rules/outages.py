"""A backend that fails one task after the other is out of order: its tasks are held, not failed.

When several tasks of a model have failed in a row they are *held*: no more of them are sent but one
at a time, a *canary*, until one of them is answered. A second model that has to be held, or many
failures of several models, hold all of the backend. So does a backend that is busy. A task that is
itself the cause opens no hold, as others are answered in between: it spends its retries and fails.

The first byte of an answer says that the backend is in order, unless those that failed had begun to
answer, too: then one has to be answered to its end.

A model is held, too, when no task of it produces anything any more (`oq.rules.wedges`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

MORE = 2
"""So many more failures in a row are enough if they are of two tasks: these may be all there is."""
SPAN = 0.1
"""Seconds since the first of these failures, at least: where many tasks run, and some of them are
bad, three bad ones may come together."""
FIRST = 0.25
"""Seconds until the first canary, at most: three bad tasks do not hold the others for long."""
LATER = (1 / 4, 11 / 8, 11 / 8)
"""Until the next ones, in parts of what it is from then on. So what was out of order for seconds is
tried soon, and yet no more than three are tried in three times as long, from the first one on.
"""
MOST_CANARIES = 3
"""So many, in so many times as long."""
PUT_OFF = 60.0
"""Seconds until a canary that failed may be tried again: so that the next one is another task, and
one that is itself the cause does not hold up all the others."""
PUT_OFF_MOST = 180.0
"""The same from the second time on. It is also what a task may be late when all is in order again.
"""
PUT_OFF_TIMES = 10
"""A canary that has failed more often spends its retries: it may be the cause after all. No more of
its attempts are kept than can be counted (`oq.rules.lifecycle`)."""
SUSPECT = 5
"""A task that found the backend busy more often than that, while others were answered in between,
may be the cause: what it asks for is too much."""
MODELS = 256
"""Models of which failures are remembered."""
TASKS = 1024
"""Tasks of which it is remembered that they found the backend busy."""

_ALL = ""
_FAIL = "its tasks fail"
_BUSY = "it is busy"
_WEDGED = "its tasks produce nothing"
_SILENT = "not a word from any of them for health.wedged_after, though the backend answers probes"


@dataclass(slots=True)
class _Hold:
    """`what` is the matter, `since` then; another canary may go at `until`. `tried` is how many
    have ended without an answer, and `canaries` are those that run, with their models. The last
    ones were sent at `sent`. `begun`: one that failed had begun to answer.
    """

    what: str
    reason: str
    since: float
    until: float
    tried: int = 0
    begun: bool = False
    canaries: dict[str, str] = field(default_factory=dict)
    sent: tuple[float, ...] = ()

    def allows(self, model: str, now: float) -> bool:
        return self.until <= now and model not in self.canaries.values()


@dataclass(slots=True)
class _Failures:
    """How often which tasks have failed since then, in seconds; whether one had begun to answer."""

    since: float
    tasks: Counter[str] = field(default_factory=Counter)
    begun: bool = False

    def enough(self, tasks: int) -> bool:
        """Whether these are as many as so many tasks."""
        return len(self.tasks) >= tasks or self.several(tasks + MORE)

    def several(self, times: int) -> bool:
        """Whether they are so many, and not all of one task. Where few run, the same tasks come
        again and again, and those behind them wait.
        """
        return len(self.tasks) > 1 and self.tasks.total() >= times

    def last(self, now: float) -> bool:
        """Whether they are not all of one moment."""
        return now - self.since >= SPAN

    def add(self, task_id: str, *, begun: bool) -> None:
        self.tasks[task_id] += 1
        self.begun |= begun


class Outages:
    """Of one backend. `tasks` of one model that fail in a row open a hold, or twice as many
    failures in a row, of several models, one of all. `again` is until the next canary after one
    that failed, when some have. Times are in seconds of a clock that never goes back.
    """

    __slots__ = ("_again", "_busy", "_failed", "_holds", "_in_a_row", "_tasks", "quiet", "suspects")

    def __init__(self, tasks: int = 3, again: float = 20.0) -> None:
        self._tasks = tasks
        self._again = again
        self._failed: dict[str, _Failures] = {}  # since a task of the model was answered
        self._in_a_row: _Failures | None = None  # since any was answered
        self.quiet = True
        """Whether nothing has failed since the last answer. It is asked for each task."""
        self._holds: dict[str, _Hold] = {}
        self._busy: dict[str, tuple[float, int]] = {}  # of a task since when, and how many times
        self.suspects: set[str] = set()
        """Tasks that may be the cause of what they found. It is asked for each task."""

    @property
    def parted(self) -> bool:
        """Whether some models are held, and not all."""
        return bool(self._holds) and _ALL not in self._holds

    @property
    def wedges(self) -> bool:
        """Whether all that is held is held because nothing of it is produced."""
        return all(hold.what == _WEDGED for hold in self._holds.values())

    @property
    def tried(self) -> int:
        """How many canaries of all models have failed."""
        hold = self._holds.get(_ALL)
        return 0 if hold is None else hold.tried

    def allows(self, model: str, now: float) -> bool:
        """Whether a task of this model may be sent now."""
        return all(hold.allows(model, now) for hold in self._of(model))

    def start(self, task_id: str, model: str, now: float) -> bool:
        """A task is sent; whether it is a canary. While it is silent, one of another model may be
        tried after a while.
        """
        holds = self._of(model)
        for hold in holds:
            hold.canaries[task_id] = model
            hold.sent = (*hold.sent, now)[-MOST_CANARIES:]
            whole = hold is self._holds.get(_ALL)
            hold.until = max(now + self._again, self._free_at(hold)) if whole else inf
        return bool(holds)

    def answered(self, model: str) -> None:
        """The backend begins to answer a task of this model."""
        self._clear(model, served=False)

    def served(self, model: str) -> None:
        """The backend has answered a task of this model to its end."""
        self._clear(model, served=True)

    def failed(
        self, task_id: str, model: str, reason: str, now: float, *, begun: bool = False
    ) -> None:
        """The backend has failed at a task; whether it had `begun` to answer."""
        self.quiet = False
        self._end(task_id, now)
        holds = self._of(model)
        for hold in holds:
            hold.reason = reason
            hold.begun |= begun and hold.what != _WEDGED
        if holds:
            return
        row = self._in_a_row = self._in_a_row or _Failures(now)
        failures = self._failed.setdefault(model, _Failures(now))
        for each in (row, failures):
            each.add(task_id, begun=begun)
        if len(self._failed) > MODELS:
            del self._failed[next(iter(self._failed))]
        enough = failures.enough(self._tasks) and failures.last(now)
        many = row.several(2 * self._tasks) and row.last(now)
        failing = any(one.what != _WEDGED for one in self._holds.values())
        alone = min(row.tasks.total(), failures.tasks.total()) >= self._tasks
        again = enough or (alone and row.last(now))  # beside models that fail already
        if (many and len(self._failed) > 1) or (again and failing):
            whole = self._hold_all(_FAIL, reason, now, begun=row.begun)
            kept = {model: one for model, one in self._holds.items() if one.what == _WEDGED}
            self._holds = kept | {_ALL: whole}
            self._failed.clear()
            self._in_a_row = None
        elif enough:
            del self._failed[model]
            self._holds[model] = _Hold(_FAIL, reason, now, now + self.pause(0), 0, failures.begun)

    def wedged(self, model: str, canary: str | None, now: float) -> None:
        """No task of this model produces anything any more, though the backend is not down. Nothing
        is tried before `canary`, which runs, has ended: it may have the only slot.
        """
        if model not in self._holds:
            self.quiet = False
            self._failed.pop(model, None)
            hold = self._holds[model] = _Hold(_WEDGED, _SILENT, now, now + self.pause(0))
            if canary is not None:
                hold.canaries[canary], hold.until = model, inf

    def busy(self, task_id: str, reason: str, now: float) -> None:
        """The backend could not take a task. When it gets one again (`BackendSlots.hold`), it is
        one.
        """
        self.quiet = False
        self._end(task_id, now)
        hold = self._holds.get(_ALL) or self._hold_all(_BUSY, reason, now)
        hold.reason, hold.until = reason, now
        since, times = self._busy.pop(task_id, (-inf, 0))
        times += since < hold.since
        self._busy[task_id] = hold.since, times
        if times > SUSPECT:
            self.suspects.add(task_id)
        if len(self._busy) > TASKS:
            oldest = next(iter(self._busy))
            del self._busy[oldest]
            self.suspects.discard(oldest)

    def left(self, task_id: str, now: float) -> None:
        """A task has stopped, and that says nothing of the backend."""
        self._end(task_id, now)

    def restarted(self, now: float) -> None:
        """The backend was away, and is back: it may be in order now, so that is tried at once."""
        self._holds = {model: hold for model, hold in self._holds.items() if hold.what == _FAIL}
        for hold in self._holds.values():
            hold.canaries.clear()
            hold.until = now
        self.quiet = not (self._failed or self._holds)

    def rename(self, name_of: Callable[[str], str]) -> None:
        """Models have other names from now on: what has failed, or is held, goes on under these."""
        self._failed = {name_of(model): failures for model, failures in self._failed.items()}
        self._holds = {
            model if model == _ALL else name_of(model): hold for model, hold in self._holds.items()
        }
        for hold in self._holds.values():
            hold.canaries = {task_id: name_of(model) for task_id, model in hold.canaries.items()}

    def pause(self, tried: int) -> float:
        """Seconds until the next canary, when so many have failed."""
        if tried == 0:
            return min(FIRST, self._again)
        return self._again * (LATER[tried - 1] if tried <= len(LATER) else 1)

    def due(self, now: float) -> float:
        """When another canary may be sent; inf if none may, or one may already."""
        times = (one.until for one in self._holds.values())
        return min((time for time in times if time > now), default=inf)

    def reason(self, model: str) -> str | None:
        """Why a task of this model is held; None if it is not."""
        return next((_said(hold) for hold in self._of(model)), None)

    def since(self, model: str) -> float | None:
        """Since when tasks of this model are held; None if they are not."""
        return min((hold.since for hold in self._of(model)), default=None)

    def since_when(self) -> list[float]:
        """Since when tasks are held, of whichever model."""
        return [hold.since for hold in self._holds.values()]

    def said(self, name_of: Callable[[str], str] = str) -> str | None:
        """What is held, and why, in words; None if nothing is. `name_of` names a model."""
        return "; ".join(_said(hold, name_of(key)) for key, hold in self._holds.items()) or None

    def _hold_all(self, what: str, reason: str, now: float, *, begun: bool = False) -> _Hold:
        tried = max((hold.tried for hold in self._holds.values()), default=0)
        until = now + self.pause(tried)
        hold = self._holds[_ALL] = _Hold(what, reason, now, until, tried, begun)
        return hold

    def _clear(self, model: str, *, served: bool) -> None:
        """A task of this model is answered, or `served` to its end."""
        if (failures := self._failed.get(model)) is not None and (served or not failures.begun):
            del self._failed[model]
        if self._in_a_row is not None and (served or not self._in_a_row.begun):
            self._in_a_row = None
        for key in (model, _ALL):
            hold = self._holds.get(key)
            if hold is not None and (served or not hold.begun):
                del self._holds[key]
        self.quiet = not (self._failed or self._holds)

    def _end(self, task_id: str, now: float) -> None:
        """It is no canary any more, if it was one: another may go after a while."""
        for hold in self._holds.values():
            if hold.canaries.pop(task_id, None) is not None:
                hold.tried += 1
                hold.until = max(now + self.pause(hold.tried), self._free_at(hold))

    def _free_at(self, hold: _Hold) -> float:
        """Before that no more canaries are sent: those of several models may run side by side."""
        full = len(hold.sent) == MOST_CANARIES
        return hold.sent[0] + MOST_CANARIES * self._again if full else -inf

    def _of(self, model: str) -> list[_Hold]:
        """Those that hold tasks of this model."""
        return [self._holds[key] for key in (_ALL, model) if key in self._holds]


def put_off(failures: int) -> float | None:
    """Seconds until a task that has failed so many times may be a canary again; None if it was one
    often enough.
    """
    if failures > PUT_OFF_TIMES:
        return None
    return PUT_OFF if failures == 1 else PUT_OFF_MOST


def _said(hold: _Hold, model: str = "") -> str:
    of = f" (of {model})" if model else ""
    return f"{hold.what}{of}, so one at a time is tried until one is answered: {hold.reason}"
