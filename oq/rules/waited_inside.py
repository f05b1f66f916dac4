"""Whether a task waited inside its backend before it was worked on."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from oq.rules.alone import LEAST, WAITED, WHOLE_LATE, Alone, is_whole, limit_of, own_time
from oq.words.sample import Sample

NO_GAIN = 1.05
"""A total pace that is not so many times that of fewer tasks: they took turns."""
LEFT = 64
"""Tasks of which it is remembered when they ended."""


@dataclass(slots=True)
class Run:
    """A task that runs: when it was sent, how many ran with it then, itself included, and the most
    until its answer began (`beside`); and whether it is an extra one. `left_at` is when the first
    of those that ran with it ended, and `made_way_at` when the last one did before its answer
    began. `proved`: its answer began before any did. `before`: the seconds of all tasks until then.
    """

    at: float
    before: float
    first_beside: int
    beside: int
    extra: bool
    left_at: float | None = None
    made_way_at: float | None = None
    answered: bool = False
    proved: bool = False

    def served_with_all(self, waited: float) -> bool:
        """Whether all that ran with it still did after so many seconds, when it was served."""
        return self.left_at is None or self.left_at - self.at > waited


class WaitedInside:
    """Of one load group of one backend: what is known of tasks that ran, by which it is judged of
    others whether they waited. All in seconds.
    """

    __slots__ = ("_base", "_left", "_shares", "_took", "alone")

    def __init__(self) -> None:
        self.alone = Alone()
        self._left: deque[float] = deque(maxlen=LEFT)  # when the latest ones ended
        self._took: deque[float] = deque(maxlen=LEFT)  # what they took, without their waits
        self._base = math.inf  # the least time inside that any task had
        self._shares = False  # tasks are slowed by one another: late is not waiting

    def note_end(self, now: float) -> None:
        """A task has ended, however that was."""
        self._left.append(now)

    def forget(self) -> None:
        """It may be another backend now, in which nobody slows another."""
        self._shares = False

    def turns(self, waited: float) -> float:
        """For how many others a task waited for so long."""
        return waited / max(LEAST, *self._took)

    def judge(
        self, run: Run, sample: Sample, now: float, served: int, slowed: float
    ) -> bool | None:
        """Whether it waited; None if nothing says so. `served` at once are known not to wait, and
        each of as many as ran takes `slowed` times as long as one alone.
        """
        runs_alone = run.beside == 1
        if runs_alone:
            self.alone.note(sample)
        if sample.waited is not None:
            self._base = min(self._base, sample.waited)
            self._took.append(own_time(sample))
            return not runs_alone and sample.waited > limit_of(sample) + min(self._base, WAITED)
        if run.proved and not runs_alone:
            self.alone.note_beside(sample)
        if runs_alone or run.proved:
            return False
        if is_whole(sample):
            return self._judge_whole(run, sample, now, served)
        late = self.alone.late
        if sample.first is None or late is None:
            return None
        began = now - sample.took + sample.first
        made_way = run.made_way_at is not None and began - run.made_way_at <= late
        return sample.first > late * slowed and made_way

    def _judge_whole(self, run: Run, sample: Sample, now: float, served: int) -> bool | None:
        """The same of one whose answer came whole, at its end. If it waited, then it began when
        another ended, and took no longer from there than alone.
        """
        alone = self.alone.time_of(sample)
        if alone is None:
            return False if sample.tokens else None  # it shows in the throughput
        late = WHOLE_LATE * alone
        if self._shares or sample.took - alone <= late:
            return False
        if sample.tokens and run.beside > served and not run.extra:
            self._shares = True  # it was there before those that are tried
            return False
        if any(abs(now - alone - left) <= late for left in self._left):
            return True
        fewer = max(1, min(served, run.beside - 1))
        return run.beside * alone < NO_GAIN * fewer * sample.took

    def served_with_all(self, run: Run, sample: Sample) -> bool:
        """Whether one that did not wait shows that so many are served at once as ran with it."""
        if sample.waited is not None:
            return run.served_with_all(2 * limit_of(sample))
        if not is_whole(sample):
            return run.proved
        alone = self.alone.time_of(sample)
        if self._shares or alone is None:
            return bool(sample.tokens)
        return run.served_with_all(2 * WHOLE_LATE * alone)
