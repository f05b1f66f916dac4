"""How many tasks a backend serves at once, learnt from how it serves them.

What a backend has been sent is no longer in oq's order. So a task goes out when the backend can
start it, and how many that are at once is found out here, for one load group of one backend:

    served   so many at once are known to be served without waiting inside the backend
    refused  so many at once are known to be too many

While something waits, a few more than `served` are tried: twice as many at first, one more from the
first refusal on. Those *extra* ones are sent once, and no others until it is known how they fared.
Whether a task waited inside is told by the first of these that is known: what the backend's last
line says; the first byte of its answer, if it came while all that ran before still ran; that byte's
lateness, if another had just ended; the pace of a whole answer beside that of one alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from oq.words.sample import Sample

WAITED = 0.1
"""Seconds inside a backend from which a task has waited there. One alone waits for .01 s."""
LEAST = 0.03
"""The same for tasks that are so short that they wait for less, at a third of their own time."""
TRY_AGAIN = 300.0
"""Seconds after a refusal until one more is tried. They double at each refusal in a row."""
TRY_AGAIN_MOST = 3600.0
APART = 0.1
"""Seconds between a task and an extra one: sent together, they might change places on the way. Of
tasks that are short it is a quarter of their time: else the first would have ended by then, and the
extra one would tell nothing."""
RECALLED = 5.0
"""Seconds until the next try, after one that was broken off for a more urgent task."""
LATE = 2.0
"""A first byte that comes so many times as late as alone says that the task waited for its turn."""
NO_GAIN = 1.05
"""A total pace that is not so many times that of fewer tasks: they took turns."""
SMOOTH = 0.3
"""The weight of the latest figure among those of tasks that ran alone."""
OF_LATE = 0.15
"""The weight of the latest task in the share of those that seem to have waited."""
TOO_MANY_LATE = 0.4
"""The share from which the number is lowered. Some are late for another reason: a long prompt."""


@dataclass(slots=True)
class _Start:
    """A task that runs: when it was sent, how many ran with it then, itself included, and the most
    until its answer began (`beside`); and whether it is an extra one. `left_at` is when the first
    of those that ran with it ended, and `made_way_at` when the last one did before its answer
    began. `proved`: its answer began before any did.
    """

    at: float
    first_beside: int
    beside: int
    extra: bool
    left_at: float | None = None
    made_way_at: float | None = None
    answered: bool = False
    proved: bool = False

    def served_with_all(self, limit: float) -> bool:
        """Whether all that ran with it still did when it can have waited no more, if it has waited
        for less than `limit` seconds.
        """
        return self.left_at is None or self.left_at - self.at > 2 * limit


class Concurrency:
    """Of one load group of one backend. `most` is the bound, `served` and `refused` what is known
    at the start. One that does not learn allows `most`. Times are in seconds of a clock that never
    goes back.
    """

    __slots__ = (
        "_alone_first", "_alone_pace", "_alone_took", "_base", "_clean", "_extras", "_late",
        "_pause", "_runs", "_sent_at", "_trying", "_waits_until", "learns", "most", "reason",
        "refused", "served",
    )  # fmt: skip

    def __init__(
        self, most: int, served: int = 1, refused: int | None = None, *, learns: bool = True
    ) -> None:
        self.most = most
        self.learns = learns
        self.served = max(1, min(served, most)) if learns else most
        self.refused = refused
        self.reason = "nothing is known yet"
        """Why the number is what it is."""
        self._runs: dict[str, _Start] = {}
        self._trying = 0  # how many extra ones may still be sent in this try
        self._extras = 0  # how many of them run
        self._clean = 0  # tasks that did not wait, as one of `served` at once, since the last news
        self._late = 0.0  # the share of tasks that seem to have waited, of the latest ones
        self._sent_at = -math.inf  # the last one
        self._pause = 0.0  # the one after the last refusal
        self._waits_until = -math.inf  # nothing is tried before
        self._base = math.inf  # the least time inside that any task had
        self._alone_first: float | None = None
        self._alone_pace: float | None = None
        self._alone_took: float | None = None

    @property
    def running(self) -> int:
        """How many have been sent and have not ended."""
        return len(self._runs)

    @property
    def answering(self) -> bool:
        """Whether an answer is coming."""
        return any(run.answered for run in self._runs.values())

    def allows(self, now: float) -> bool:
        """Whether one more may be sent now. It is asked if one waits for it."""
        return len(self._runs) < self.served or self.allowed_at() <= now

    def allowed_at(self) -> float:
        """When an extra one may be sent, if nothing happens until then; inf if none may."""
        running = len(self._runs)
        if running < self.served or running >= self.most:
            return math.inf
        took = self._alone_took
        apart = self._sent_at + (APART if took is None else min(APART, took / 4))
        if self._trying > 0:
            return apart
        if self._extras or not self._clean:
            return math.inf
        return max(apart, self._waits_until)

    def start(self, task_id: str, now: float) -> None:
        """A task is sent."""
        running = len(self._runs)
        extra = running >= self.served
        if extra:
            if not self._trying:
                self._begin_try()
            self._trying -= 1
            self._extras += 1
        self._sent_at = now
        for other in self._runs.values():
            if not other.answered:  # it may be before them on the way
                other.beside = max(other.beside, running + 1)
        self._runs[task_id] = _Start(now, running + 1, running + 1, extra)

    def answered(self, task_id: str) -> None:
        """The first byte of its answer has come."""
        run = self._runs.get(task_id)
        if run is not None and not run.answered:
            run.answered = True
            run.proved = run.left_at is None
            self._prove(sum(each.answered for each in self._runs.values()))

    def end(self, task_id: str, now: float, sample: Sample | None) -> bool:
        """It has ended, with a sample if it was served to its end. Whether there is news."""
        run = self._runs.pop(task_id, None)
        if run is None:  # it was sent before anybody kept account
            return False
        before = self.served, self.refused
        self._extras -= run.extra
        for other in self._runs.values():
            if other.left_at is None:
                other.left_at = now
            if not other.answered:
                other.made_way_at = now
        if not self.learns:
            return False
        waited = None if sample is None else self._waited(run, sample, now)
        if waited:
            self._refuse(run, now, sure=sample is not None and sample.waited is not None)
        elif waited is not None:
            self._late *= 1 - OF_LATE
            if run.served_with_all(WAITED if sample is None else _limit(sample)):
                self._prove(run.first_beside)
                self._clean += run.beside >= self.served
        elif run.extra and not run.proved:
            self._end_try(now + RECALLED)
        return before != (self.served, self.refused)

    def restarted(self, now: float) -> None:
        """The backend may have other settings now: what was refused may be served."""
        self.refused = None
        self._pause = 0.0
        self._waits_until = now
        self._clean = max(self._clean, 1)

    def restore(self, served: int, refused: int | None, now: float) -> None:
        """What was known before oq was started anew."""
        if self.learns:
            self.served = max(1, min(served, self.most))
            self.refused = refused
            self.reason = "it was so before oq was started"
            self._pause = TRY_AGAIN
            self._waits_until = now + TRY_AGAIN
            self._clean = 1

    def adopt(self, other: Concurrency, now: float) -> None:
        """It turns out that `other` is about the same group: what runs of that, and what was learnt
        of it, if nothing was learnt here.
        """
        self._runs |= other._runs
        self._extras += other._extras
        if self.served == 1 and self.refused is None:
            self.restore(other.served, other.refused, now)

    def fix(self, most: int) -> None:
        """It is known from now on: so many."""
        self.most = self.served = most
        self.learns = False

    def recallable(self) -> list[str]:
        """The extra ones that have not begun to answer: they may wait inside the backend."""
        return [key for key, run in self._runs.items() if run.extra and not run.answered]

    # -- trying

    def _begin_try(self) -> None:
        if self.refused is not None and self.refused <= self.served + 1:
            self.refused = None  # that was a while ago
        doubled = 1 if self._pause else self.served
        bound = self.most if self.refused is None else self.refused - 1
        self._trying = max(1, min(doubled, bound - self.served))
        self._clean = 0

    def _end_try(self, until: float) -> None:
        self._trying = 0
        self._clean = max(self._clean, 1)
        self._waits_until = max(self._waits_until, until)

    def _prove(self, at_once: int) -> None:
        """So many were answered at once."""
        if at_once > self.served:
            self.served = min(at_once, self.most)
            self.reason = f"{at_once} at once were served without waiting"
            if not self._trying:
                self._clean = max(self._clean, 1)

    def _refuse(self, run: _Start, now: float, *, sure: bool) -> None:
        """It has waited, or, if that is not `sure`, seems to have."""
        if not (sure or run.extra):
            self._late += OF_LATE * (1 - self._late)
            if self._late < TOO_MANY_LATE:
                return
        self._late = 0.0
        self.served = max(1, min(self.served, run.beside - 1))
        self.reason = f"of {run.beside} at once, one waited inside the backend"
        if self.refused is None or run.beside < self.refused:
            self.refused = run.beside
            self._pause = min(max(TRY_AGAIN, 2 * self._pause), TRY_AGAIN_MOST)
            self._end_try(now + self._pause)

    # -- whether it waited

    def _waited(self, run: _Start, sample: Sample, now: float) -> bool | None:
        """Whether it waited inside; None if nothing says so."""
        alone = run.beside == 1
        if sample.waited is not None:
            self._base = min(self._base, sample.waited)
            if alone:
                self._note_alone(sample)
            return not alone and sample.waited > _limit(sample) + min(self._base, WAITED)
        if alone:
            self._note_alone(sample)
            return False
        if run.proved:
            return False
        if sample.first is not None and self._alone_first is not None:
            late = LATE * self._alone_first + WAITED
            began = now - sample.took + sample.first
            made_way = run.made_way_at is not None and began - run.made_way_at <= late
            return sample.first > late and made_way
        pace = _pace(sample)
        if pace is not None and self._alone_pace is not None:
            fewer = max(1, min(self.served, run.beside - 1))
            return run.beside * self._alone_pace < NO_GAIN * fewer * pace
        return None

    def _note_alone(self, sample: Sample) -> None:
        self._alone_took = _smoothed(self._alone_took, _own_time(sample))
        if sample.load is not None and sample.load > WAITED:
            return  # it says nothing of the next one
        if sample.first is not None:
            self._alone_first = _smoothed(self._alone_first, sample.first)
        if (pace := _pace(sample)) is not None:
            self._alone_pace = _smoothed(self._alone_pace, pace)


def _own_time(sample: Sample) -> float:
    """Seconds that something was done for the task."""
    return max(0.0, sample.took - (sample.waited or 0.0) - (sample.load or 0.0))


def _limit(sample: Sample) -> float:
    """Seconds inside from which this task has waited there, if its backend says how long it did."""
    return WAITED if sample.waited is None else min(WAITED, max(LEAST, _own_time(sample) / 3))


def _pace(sample: Sample) -> float | None:
    """Seconds a token."""
    return sample.took / sample.tokens if sample.tokens else None


def _smoothed(before: float | None, latest: float) -> float:
    return latest if before is None else before + SMOOTH * (latest - before)
