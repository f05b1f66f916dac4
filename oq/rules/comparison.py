"""Which number of tasks at once gets the most done, of those between which it has to be decided.

That nobody waits does not say that more at once are of use: where a backend works on all that it is
sent, each task is slower then. So a higher number is compared with the one before it. If it does
not get more done, it is given up. How fast the lower number is may not be known; then that is used
for a while. When no higher number is tried any more, those are looked at that were passed over.

Two at once may get less done than one, and four more than both: the code that works on some tasks
together is not the one for a single task. So `BEYOND` is tried though two were not worth it, if
nobody waited, and if four that are each as fast as those two would be worth it. After `FEW` of them
it is known if they are of no use. Where a backend gets some at once from the start, one alone is
looked at too, unless the higher one of the first two numbers gets much more done.

The machine may have been slower, or faster, just when a number was tried. So a higher number that
seems to get nearly as much done as the one before is not given up after a few tasks, as long as
nobody waits for that inside the backend (`CLOSE` in `oq.rules.throughput`). And what was decided is
looked at again when the number in use gets less done than another one did (`AGAIN`).
"""

from __future__ import annotations

from typing import NamedTuple

from oq.rules.throughput import Throughput

BEYOND = 4
"""Tasks at once that are tried though fewer were not worth it. A backend of which nothing is known
gets as many at first, too."""
AGAIN = 24
"""When so many tasks have ended since the last decision, or since this was asked last: does another
number seem to have got more done? Then it is used again for some tasks, which is a look back."""


class Decision(NamedTuple):
    """The number to use from now on, and the one that is not worth it, if one is given up. Then
    `beyond` may be a higher one that is to be tried all the same.
    """

    number: int
    given_up: int | None = None
    beyond: int = 0


class Comparison:
    """Of one load group of one backend, of which it is known from the start that it serves `served`
    at once.
    """

    __slots__ = (
        "_calm", "_doubted", "_fewer", "_one_unknown", "_settled", "_slow", "_worse", "looked_back",
        "throughput",
    )  # fmt: skip

    def __init__(self, served: int) -> None:
        self.throughput = Throughput()
        self.begin(served)

    def begin(self, served: int) -> None:
        """It is said to serve so many at once."""
        # A number than which the one in use has not been shown to get more done.
        self._fewer = served // 2 or None
        self._one_unknown = served > 1  # whether one alone may do as well: it has to be looked at
        # A number to go back to if it gets more done than the one in use, which is less.
        self._doubted: int | None = None
        self._worse = 0  # a number that gets less done than the one in use
        self._slow: int | None = None  # the least number that was given up since it was settled
        self._settled = False  # no longer doubled: there is time to be sure
        self._calm = 0  # tasks since it was decided
        self.looked_back = False
        """Whether that has been done since more were tried."""

    @property
    def open(self) -> bool:
        """Whether it is not decided yet."""
        return self._fewer is not None or self._doubted is not None

    def raised(self, before: int) -> None:
        """A higher number is used than this one."""
        if self._fewer is None:
            self._fewer = before

    def lowered(self, number: int) -> None:
        """This number is used, which is lower than before, or the same."""
        if self._fewer is not None and self._fewer >= number:
            self._fewer = None
        self._worse = min(self._worse, number - 1)

    def settle(self, number: int) -> None:
        """No more than this number is tried for now. One between it and another that is known to be
        worse may do as well.
        """
        self._settled = True
        self._slow = None
        if not self.open and number - self._worse > 1:
            self._fewer = (number + self._worse) // 2

    def try_again(self, number: int) -> None:
        """More than this number are tried now. What was seen of them before was a while ago."""
        self.looked_back = False
        if self._settled and self._slow is None:
            self.throughput.forget(number)

    def trust(self) -> None:
        """The number in use is right."""
        self._fewer = self._doubted = None
        self._one_unknown = False

    def begin_anew(self, number: int, *, found: bool) -> None:
        """With more than this number it may be another backend now. Whether this one is right is
        open, unless that was found.
        """
        self.throughput.forget(number)
        self.throughput.sized = True
        self.begin(number)
        if found:
            self.trust()

    def decide(self, number: int, most: int) -> Decision | None:
        """What to do, now that something may be known of this number, which is in use; None for
        nothing. A look back is at `most` at once at most.
        """
        if self._doubted is not None:
            more, fewer = self._doubted, number
        elif self._fewer is not None:
            more, fewer = number, self._fewer
        else:
            return self._look_back(number, most)
        gains = self._gains(more, fewer)
        if gains is None:
            return self._look(more, fewer)
        if not gains and self._doubted is None and self.throughput.is_close(more, fewer):
            return self._look_closely(more, fewer)
        return self._choose(more, fewer, gains)

    def _gains(self, more: int, fewer: int) -> bool | None:
        """Whether `more` at once get more done than `fewer`; None if that is not known yet."""
        beyond = self._slow is not None and fewer < self._slow < more
        gains = self.throughput.gains(more, fewer, sure=self._settled, beyond=beyond)
        if gains is not None or self._doubted is None:
            return gains
        if not self.throughput.known(fewer):
            return None
        return False if self.throughput.seems_slow(more, fewer) else gains

    def _look(self, more: int, fewer: int) -> Decision | None:
        """Use the one of which too little is known."""
        known = self.throughput.known
        if self._doubted is not None:
            if not known(fewer):
                return None
            self._doubted, self._fewer = None, fewer  # it does not seem slow any more
            return Decision(more)
        enough = known(more, well=True) if self._settled else self.throughput.will_do(more)
        if not enough and not self.throughput.seems_slow(more, fewer):
            return None
        self._doubted, self._fewer = more, None
        return Decision(fewer)

    def _look_closely(self, more: int, fewer: int) -> Decision | None:
        """See more tasks of the higher number, and then of the other one anew: the machine may have
        been faster when fewer were used.
        """
        if not self.throughput.known(more, well=True):
            return None
        self.throughput.forget_one(fewer)
        self._doubted, self._fewer = more, None
        return Decision(fewer)

    def _look_back(self, number: int, most: int) -> Decision | None:
        """Use a number again that got more done than this one does, if there is one."""
        self._calm += 1
        if self._calm < AGAIN:
            return None
        self._calm = 0
        better = self.throughput.better(number, most)
        if better is None:
            return None
        self.looked_back = True
        self.throughput.forget_one(better)
        if better < number:
            self._doubted = number
        else:
            self._fewer = number
        return Decision(better)

    def _choose(self, more: int, fewer: int, gains: bool) -> Decision:
        self._doubted = self._fewer = None
        self._calm = 0
        look_at_one = (
            self._one_unknown and fewer > 1 and (not gains or self.throughput.alike(more, fewer))
        )
        self._one_unknown = False
        if not gains:
            self._fewer = 1 if look_at_one else None
            return self._give_up(more, fewer)
        beyond = self._slow is not None and self._slow < more
        self._worse = more - 1 if beyond else max(self._worse, fewer)
        self._slow = None
        if look_at_one:  # now, when fewer run anyway
            self._doubted = more
            return Decision(1)
        if self._settled:
            self.settle(more)
        return Decision(more)

    def _give_up(self, more: int, fewer: int) -> Decision:
        self._slow = more if self._slow is None else min(self._slow, more)
        may_gain = self.throughput.may_gain
        if fewer == 1 and more < BEYOND and may_gain(BEYOND, 1, more, again=self._settled):
            self.throughput.forget(BEYOND - 1)
            return Decision(fewer, self._slow, BEYOND)
        return Decision(fewer, self._slow)
