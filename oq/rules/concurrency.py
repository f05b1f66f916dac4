"""How many tasks a backend serves at once, learnt from how it serves them.

What a backend has been sent is no longer in oq's order. So a task goes out when the backend can
start it, and how many that are at once is found out here, for one load group of one backend:

    served   so many at once are known to be served without waiting inside the backend
    refused  so many at once are known to be too many

While something waits, a few more than `served` are tried: twice as many at first, one more from the
first refusal on. Those *extra* ones are sent once, and no others until it is known how they fared.
Whether a task waited inside (`oq.rules.waited_inside`) is told by the first of these that is known:
what the backend's last line says; the first byte of its answer, if it came while all that ran
before still ran; that byte's lateness, if another had just ended; of an answer that comes whole,
its time beside that of one alone, and whether it began when another ended.

A higher number stays only if it gets more done (`oq.rules.comparison`). If it does not, one halfway
is tried, until one is found that is best; if that is one alone, some more are tried once. Of
answers that come whole it is known from the tasks before that these were slowed, and not only the
extra ones, which would have waited for them.

A backend may say itself how many it serves at once. Then none of so many waits inside, and more are
never sent; but fewer may get more done, and that is looked at.
"""

from __future__ import annotations

import math

from oq.rules.alone import own_time
from oq.rules.comparison import Comparison
from oq.rules.waited_inside import Run, WaitedInside
from oq.words.sample import Sample

TRY_AGAIN = 300.0
"""Seconds after a refusal until one more is tried. They double each time, until the backend is
restarted."""
TRY_AGAIN_MOST = 3600.0
APART = 0.1
"""Seconds between a task and an extra one: sent together, they might change places on the way. Of
tasks that are short it is a quarter of their time: else the first would have ended by then, and the
extra one would tell nothing."""
RECALLED = 5.0
"""Seconds until the next try, after one that was broken off for a more urgent task."""
OF_LATE = 0.15
"""The weight of the latest task in the share of those that seem to have waited."""
TOO_MANY_LATE = 0.4
"""The share from which the number is lowered. Some are late for another reason: a long prompt."""

NEAR = 2
"""If so many fewer than were tried get more done, or even closer, the numbers between are left for
later, where the backend says its number: each try costs some tasks."""


class Concurrency:
    """Of one load group of one backend. `most` is the bound, `served` and `refused` what is known
    at the start. One that does not learn allows `most`. Times are in seconds of a clock that never
    goes back.
    """

    __slots__ = (
        "_before", "_beyond", "_clean", "_cold", "_comparison", "_extras", "_inside", "_late",
        "_pause", "_provable", "_runs", "_sent_at", "_trying", "_waits_until", "_warm_at",
        "_went_beyond", "learns", "most", "reason", "refused", "served", "told",
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
        self.told: int | None = None
        """How many the backend says itself that it serves at once: that is `most` then."""
        # What was found before oq was started, when the backend had told this number.
        self._before: tuple[int, int, int | None] | None = None
        self._runs: dict[str, Run] = {}
        self._trying = 0  # how many extra ones may still be sent in this try
        self._extras = 0  # how many of them run
        self._cold = 0  # so many more tasks say nothing of how fast it is
        self._warm_at = -math.inf  # and those that were sent before
        self._clean = 0  # tasks that did not wait, as one of `served` at once, since the last news
        self._late = 0.0  # the share of tasks that seem to have waited, of the latest ones
        self._sent_at = -math.inf  # the last one
        self._pause = 0.0  # the one after the last refusal
        self._waits_until = -math.inf  # nothing is tried before
        self._inside = WaitedInside()
        self._comparison = Comparison(self.served)
        self._provable = self.served  # more than that need not be tried, however many answer
        self._beyond = 0  # is tried next, or just now, though fewer were not worth it
        self._went_beyond = False  # that has been done, since they were tried

    @property
    def running(self) -> int:
        """How many have been sent and have not ended."""
        return len(self._runs)

    @property
    def answering(self) -> bool:
        """Whether an answer is coming."""
        return any(run.answered for run in self._runs.values())

    @property
    def found(self) -> bool:
        """Whether it has been seen that no other number that was tried gets more done."""
        seen = self.told is not None or self.served > 1 or self.refused is not None
        return self.learns and seen and not self._comparison.open

    def allows(self, now: float) -> bool:
        """Whether one more may be sent now. It is asked if one waits for it."""
        return self.opens_at() <= now

    def opens_at(self) -> float:
        """When one more may be sent, if nothing happens until then; -inf for now."""
        return -math.inf if len(self._runs) < self.served else self.allowed_at()

    def allowed_at(self) -> float:
        """When an extra one may be sent, if nothing happens until then; inf if none may."""
        running = len(self._runs)
        if running < self.served or running >= self.most:
            return math.inf
        took = self._inside.alone.took
        apart = self._sent_at + (APART if took is None else min(APART, took / 4))
        if self._trying > 0:
            return apart
        if self._extras or not self._clean or self._comparison.open:
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
        before = self._comparison.throughput.task_seconds(running, now)
        self._runs[task_id] = Run(now, before, running + 1, running + 1, extra)

    def answered(self, task_id: str) -> None:
        """The first byte of its answer has come."""
        run = self._runs.get(task_id)
        if run is not None and not run.answered:
            run.answered = True
            run.proved = run.left_at is None
            self._prove(sum(each.answered for each in self._runs.values()))

    def end(self, task_id: str, now: float, sample: Sample | None, *, loaded: bool = False) -> bool:
        """It has ended, with a sample if it was served to its end. Whether there is news. `loaded`:
        its model had to be loaded first.
        """
        run = self._runs.pop(task_id, None)
        if run is None:  # it was sent before anybody kept account
            return False
        before = self.served, self.refused, self.found
        task_seconds = (
            self._comparison.throughput.task_seconds(len(self._runs) + 1, now) - run.before
        )
        self._extras -= run.extra
        for other in self._runs.values():
            if other.left_at is None:
                other.left_at = now
            if not other.answered:
                other.made_way_at = now
        self._inside.note_end(now)
        if not self.learns:
            return False
        if loaded and sample is not None and sample.load is None:
            return False  # how much of its time was the load is not known
        waited = None if sample is None else self._waited(run, sample, now)
        if waited:
            self._refuse(run, now, None if sample is None else sample.waited)
        elif waited is not None:
            self._late *= 1 - OF_LATE
            if sample is not None and self._inside.served_with_all(run, sample):
                self._prove(run.first_beside)
                self._clean += run.beside >= self.served
        elif run.extra and not run.proved:
            self._went_beyond = False
            self._end_try(now + RECALLED)
        if self._cold:
            self._cold -= 1
            self._warm_at = now
        elif sample is not None and now > run.at >= self._warm_at:
            mean = task_seconds / (now - run.at)
            # Where nobody waits inside, it has been worked on with those that came later, too.
            at_once = round(mean) if self.told else run.first_beside
            self._comparison.throughput.tells_waits = sample.waited is not None
            self._comparison.throughput.note(at_once, mean, sample.tokens, own_time(sample))
            self._compare(now)
        return before != (self.served, self.refused, self.found)

    def restarted(self, now: float) -> None:
        """The backend may have other settings now. The number is open if it was not found yet."""
        found = self.found
        if self.told and not found:
            self.served = self._provable = self.most
        self.refused = None
        self._pause, self._beyond, self._went_beyond = 0.0, 0, False
        self._comparison.begin_anew(self.served, found=found)
        self._cold = self.most if self.told else 0
        self._inside.forget()
        self._waits_until = now
        self._clean = max(self._clean, 1)

    def restore(
        self, served: int, refused: int | None, now: float, told: int | None = None
    ) -> None:
        """What was found before oq was started anew. If the backend had `told` its number, that is
        of use once it tells the same.
        """
        nothing = served == 1 and refused is None and told is None
        if nothing or not self.learns or (self.told is not None and self.told != told):
            return
        if self.told is None and told is not None:
            self._before = told, served, refused
        self._use(served, refused)
        if refused is not None or told not in (None, served):
            self._pause = TRY_AGAIN
            self._waits_until = now + TRY_AGAIN
        self._clean = 1

    def _use(self, served: int, refused: int | None) -> None:
        """It was found before."""
        self.served = self._provable = max(1, min(served, self.most))
        self.refused = refused
        self.reason = "it was so before oq was started"
        self._comparison.trust()
        self._beyond = self.told or 0

    def adopt(self, other: Concurrency, now: float) -> None:
        """It turns out that `other` is about the same group: what runs of that, and what was found
        of it, if nothing was found here.
        """
        self.take_over(other)
        if other.found and not self.found:
            self.restore(other.served, other.refused, now, other.told)
            self.reason = other.reason

    def take_over(self, other: Concurrency) -> None:
        """What runs of the other one is one's own from now on."""
        self._runs |= other._runs
        self._extras += other._extras

    def tell(self, most: int) -> None:
        """The backend says that it serves so many at once."""
        self.most = most
        self.told, self.learns = most, most > 1
        self._keep_told()
        self._cold = most  # memory that nobody has used yet: llama.cpp was half as fast
        self._comparison.begin(most)
        self._comparison.throughput.prefers_more = True
        self._trying = 0
        if self._before is not None and self._before[0] == most:
            self._use(*self._before[1:])
        else:
            self._pause, self._beyond, self._waits_until = 0.0, 0, -math.inf
        self._before = None

    def recallable(self) -> list[str]:
        """The extra ones that have not begun to answer: they may wait inside the backend."""
        return [key for key, run in self._runs.items() if run.extra and not run.answered]

    # -- trying

    def _begin_try(self) -> None:
        if self.refused is not None and self.refused <= self.served + 1:
            self.refused = None  # that was a while ago
        if self.told:
            self._comparison.try_again(self.served)
        self._went_beyond = self._beyond > self.served
        if self._went_beyond:
            more = self._beyond - self.served
        elif self._pause:
            more = 1
        elif self.refused is None:
            more = min(self.served, self.most - self.served)
        else:
            more = max(1, (self.refused - self.served) // 2)
        self._trying = more
        self._provable = self.served + more
        self._clean = 0

    def _end_try(self, until: float) -> None:
        self._trying = 0
        self._clean = max(self._clean, 1)
        self._waits_until = max(self._waits_until, until)

    def _prove(self, at_once: int) -> None:
        """So many were answered at once."""
        at_once = min(at_once, self.most, self._provable)
        if at_once > self.served:
            self._comparison.raised(self.served)
            self.served = at_once
            self.reason = f"{at_once} at once were served without waiting"
            if not self._trying:
                self._clean = max(self._clean, 1)

    def _refuse(self, run: Run, now: float, waited: float | None) -> None:
        """It has waited so many seconds, or, if that is not known, seems to have waited."""
        if waited is None and not run.extra:
            self._late += OF_LATE * (1 - self._late)
            if self._late < TOO_MANY_LATE:
                return
        self._late = 0.0
        turns = 0.0 if waited is None else self._inside.turns(waited)
        # As many turns as it waited for, all slots were taken before it by others.
        fewer = min(run.beside - 1, math.ceil(run.beside / turns) - 1 if turns > 1 else run.beside)
        self._lower(max(1, min(self.served, fewer)))
        self.reason = f"of {run.beside} at once, one waited inside the backend"
        if self.refused is None or run.beside < self.refused:
            self.refused = run.beside
            self._rest(now)

    def _rest(self, now: float) -> None:
        """Nothing is tried for a while."""
        self._comparison.settle(self.served)
        self._pause = min(max(TRY_AGAIN, 2 * self._pause), TRY_AGAIN_MOST)
        self._end_try(now + self._pause)

    def _lower(self, served: int) -> None:
        self.served = self._provable = served
        if not self.told:
            self._beyond = 0
        self._comparison.lowered(served)

    def _compare(self, now: float) -> None:
        """See whether as many at once as there are get more done than fewer."""
        if self._extras and self._beyond > self.served:
            return  # more of them may be served
        if self.told and not self._comparison.throughput.sized:
            self._keep_told()  # to see whether fewer do as well would take long
            return
        decision = self._comparison.decide(self.served, self.most if self.told else self.served)
        if decision is None:
            return
        number, given_up, beyond = decision
        if number < self.served:
            self._trying = 0
            self._lower(number)
        else:
            self.served = self._provable = number
        self._clean = max(self._clean, 1)
        if given_up is not None:
            if not self.told:
                self._beyond = 0 if self._went_beyond else min(beyond, self.most)
            self.refused = given_up
            self.reason = f"{given_up} at once do not get more done than {number}"
        if self.told:
            self._go_on_as_told(number, given_up, now)
        elif given_up is None:
            return
        elif given_up - number > 1 or self._beyond > given_up:
            self._end_try(now)
            self._waits_until = now  # one between them may be better, or one beyond
        else:
            self._rest(now)

    def _keep_told(self) -> None:
        """Use as many as the backend says."""
        self.served = self._provable = self.most
        self.refused = None
        self.reason = "the backend says so"
        self._comparison.trust()

    def _go_on_as_told(self, number: int, given_up: int | None, now: float) -> None:
        """What comes next, now that this number is chosen. If it is less than the backend says, all
        of them are tried again after a while, as the machine may have done something else when they
        were tried, and after another while one more than now, in turns.
        """
        if self._comparison.open:
            return
        if number == self.most:
            self._keep_told()
            return
        if given_up is None:
            self.reason = f"{number} at once get more done than the others that were tried"
        if self._comparison.looked_back and self._pause:  # the next try stays due
            self._comparison.settle(number)
        elif (self.refused or self.most) - number > NEAR:
            self._beyond = 0
            self._end_try(now)
            self._waits_until = now  # one between them may be better
        else:
            self._beyond = self.most if not self._pause or self.refused != self.most else 0
            self._rest(now)

    def _waited(self, run: Run, sample: Sample, now: float) -> bool | None:
        """Whether it waited inside; None if nothing says so."""
        slowed = self._comparison.throughput.slowed(run.beside)  # that is no wait
        waited = self._inside.judge(run, sample, now, self.served, slowed)
        return waited and not self.told
