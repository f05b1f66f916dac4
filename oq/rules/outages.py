"""A backend that fails one task after the other is out of order: its tasks are held, not failed.

When several tasks of a model have failed in a row they are *held*: no more of them are sent but one
at a time, a *canary*, until one of them is answered. A second model that has to be held, or many
tasks of several models, hold all of the backend. A task that is itself the cause opens no hold, as
others are answered in between: it spends its retries and fails.

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
PUT_OFF = 60.0
"""Seconds until a canary that failed may be tried again, and twice as many each time: so that the
next one is another task, and one that is itself the cause does not hold up all the others."""
PUT_OFF_MOST = 900.0
PUT_OFF_TIMES = 5
"""A canary that has failed more often spends its retries: it may be the cause after all."""
MODELS = 256
"""Models of which failures are remembered."""

_ALL = ""
_FAIL = "its tasks fail"
_WEDGED = "its tasks produce nothing"
_SILENT = "not a word from any of them for health.wedged_after, though the backend answers probes"


@dataclass(slots=True)
class _Hold:
    """`what` is the matter, `since` then. `canary` is the task that is tried now; `until` is when
    another may be. `tried` is how many have failed.
    """

    what: str
    reason: str
    until: float
    since: float
    canary: str | None = None
    tried: int = 0


@dataclass(slots=True)
class _Failures:
    """How often which tasks have failed since then, in seconds."""

    since: float
    tasks: Counter[str] = field(default_factory=Counter)

    def enough(self, tasks: int) -> bool:
        """Whether these are as many as so many tasks."""
        several = len(self.tasks) > 1 and self.tasks.total() >= tasks + MORE
        return len(self.tasks) >= tasks or several


class Outages:
    """Of one backend. `tasks` of one model that fail in a row open a hold, or twice as many of all
    models one of all. `again` is until the next canary after one that failed, when some have. Times
    are in seconds of a clock that never goes back.
    """

    __slots__ = ("_again", "_failed", "_holds", "_in_a_row", "_since", "_tasks", "quiet")

    def __init__(self, tasks: int = 3, again: float = 20.0) -> None:
        self._tasks = tasks
        self._again = again
        self._failed: dict[str, _Failures] = {}  # since a task of the model was answered
        self._in_a_row: set[str] = set()  # tasks, since any was answered
        self._since = 0.0  # when the first of these failed
        self.quiet = True
        """Whether nothing has failed since the last answer. It is asked for each task."""
        self._holds: dict[str, _Hold] = {}

    @property
    def parted(self) -> bool:
        """Whether some models are held, and not all."""
        return bool(self._holds) and _ALL not in self._holds

    @property
    def wedges(self) -> bool:
        """Whether all that is held is held because nothing of it is produced."""
        return all(hold.what == _WEDGED for hold in self._holds.values())

    def allows(self, model: str, now: float) -> bool:
        """Whether a task of this model may be sent now."""
        hold = self._hold(model)
        return hold is None or (hold.canary is None and hold.until <= now)

    def start(self, task_id: str, model: str) -> bool:
        """A task is sent; whether it is a canary."""
        hold = self._hold(model)
        if hold is None:
            return False
        hold.canary = task_id
        return True

    def answered(self, model: str) -> None:
        """The backend has answered a task of this model, or begins to."""
        self._failed.pop(model, None)
        self._in_a_row.clear()
        self._holds.pop(model, None)
        self._holds.pop(_ALL, None)
        self.quiet = not (self._failed or self._holds)

    def failed(self, task_id: str, model: str, reason: str, now: float) -> None:
        """The backend has failed at a task."""
        self.quiet = False
        hold = self._hold(model)
        if hold is not None:
            hold.reason = reason
            if hold.canary == task_id:
                hold.tried += 1
                hold.canary, hold.until = None, now + self.pause(hold.tried)
            return
        if not self._in_a_row:
            self._since = now
        failures = self._failed.setdefault(model, _Failures(now))
        failures.tasks[task_id] += 1
        self._in_a_row.add(task_id)
        if len(self._failed) > MODELS:
            del self._failed[next(iter(self._failed))]
        enough = failures.enough(self._tasks) and now - failures.since >= SPAN
        many = len(self._in_a_row) >= 2 * self._tasks and now - self._since >= SPAN
        failing = any(one.what != _WEDGED for one in self._holds.values())
        if (many and len(self._failed) > 1) or (enough and failing):
            self._holds = {_ALL: _Hold(_FAIL, reason, now + self.pause(0), now)}
            self._failed.clear()
            self._in_a_row.clear()
        elif enough:
            del self._failed[model]
            self._holds[model] = _Hold(_FAIL, reason, now + self.pause(0), now)

    def wedged(self, model: str, canary: str | None, now: float) -> None:
        """No task of this model produces anything any more, though the backend is not down. Nothing
        is tried before `canary`, which runs, has ended: it may have the only slot.
        """
        if self._hold(model) is None:
            self.quiet = False
            self._failed.pop(model, None)
            self._holds[model] = _Hold(_WEDGED, _SILENT, now + self.pause(0), now, canary)

    def busy(self, task_id: str, reason: str, now: float) -> None:
        """The backend could not take a task. When it gets one again, it is one."""
        self.quiet = False
        hold = self._holds.setdefault(_ALL, _Hold("it is busy", reason, now, now))
        if hold.canary == task_id:
            hold.canary = None
        hold.reason, hold.until = reason, now

    def left(self, task_id: str, now: float) -> None:
        """A task has stopped, and that says nothing of the backend."""
        for hold in self._holds.values():
            if hold.canary == task_id:
                hold.canary, hold.until = None, now + self.pause(hold.tried)

    def rename(self, name_of: Callable[[str], str]) -> None:
        """Models have other names from now on: what has failed, or is held, goes on under these."""
        self._failed = {name_of(model): failures for model, failures in self._failed.items()}
        self._holds = {
            model if model == _ALL else name_of(model): hold for model, hold in self._holds.items()
        }

    def pause(self, tried: int) -> float:
        """Seconds until the next canary, when so many have failed."""
        if tried == 0:
            return min(FIRST, self._again)
        return self._again * (LATER[tried - 1] if tried <= len(LATER) else 1)

    def forget(self) -> None:
        """The backend was away, and is back: it may be in order now."""
        self._failed.clear()
        self._in_a_row.clear()
        self._holds.clear()
        self.quiet = True

    def due(self, now: float) -> float:
        """When another canary may be sent; inf if none may, or one may already."""
        times = (one.until for one in self._holds.values() if one.canary is None)
        return min((time for time in times if time > now), default=inf)

    def reason(self, model: str) -> str | None:
        """Why a task of this model is held; None if it is not."""
        hold = self._hold(model)
        return None if hold is None else _said(hold)

    def since(self, model: str) -> float | None:
        """Since when tasks of this model are held; None if they are not."""
        hold = self._hold(model)
        return None if hold is None else hold.since

    def since_when(self) -> list[float]:
        """Since when tasks are held, of whichever model."""
        return [hold.since for hold in self._holds.values()]

    def said(self, name_of: Callable[[str], str] = str) -> str | None:
        """What is held, and why, in words; None if nothing is. `name_of` names a model."""
        return "; ".join(_said(hold, name_of(key)) for key, hold in self._holds.items()) or None

    def _hold(self, model: str) -> _Hold | None:
        if not self._holds:
            return None
        return self._holds.get(_ALL) or self._holds.get(model)


def put_off(failures: int) -> float | None:
    """Seconds until a task that has failed so many times may be a canary again; None if it was one
    often enough.
    """
    if failures > PUT_OFF_TIMES:
        return None
    return min(PUT_OFF * float(2 ** (failures - 1)), PUT_OFF_MOST)


def _said(hold: _Hold, model: str = "") -> str:
    of = f" (of {model})" if model else ""
    return f"{hold.what}{of}, so one at a time is tried until one is answered: {hold.reason}"
