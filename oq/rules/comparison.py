"""Which number of tasks at once gets the most done, of those between which it has to be decided.

That nobody waits does not say that more at once are of use: where a backend works on all that it is
sent, each task is slower then. So a higher number is compared with the one before it. If it does
not get more done, it is given up. How fast the lower number is may not be known; then that is used
for a while. When no higher number is tried any more, those are looked at that were passed over.
"""

from __future__ import annotations

from typing import NamedTuple

from oq.rules.throughput import Throughput


class Decision(NamedTuple):
    """The number to use from now on, and the one that is not worth it, if one is given up."""

    number: int
    given_up: int | None = None


class Comparison:
    """Of one load group of one backend, of which it is known from the start that it serves `served`
    at once.
    """

    __slots__ = ("_doubted", "_fewer", "_settled", "_worse", "throughput")

    def __init__(self, served: int) -> None:
        self.throughput = Throughput()
        # A number than which the one in use has not been shown to get more done.
        self._fewer = served // 2 or None
        # A number that is to be used again if it gets more done than the one in use, which is less.
        self._doubted: int | None = None
        self._worse = 0  # a number that gets less done than the one in use
        self._settled = False  # no longer doubled: there is time to be sure

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
        if not self.open and number - self._worse > 1:
            self._fewer = (number + self._worse) // 2

    def trust(self) -> None:
        """The number in use was found before."""
        self._fewer = None

    def begin_anew(self, number: int) -> None:
        """With more than this number it may be another backend now."""
        self.throughput.forget(number)
        self._fewer = self._doubted = None
        self._worse = 0
        self._settled = False

    def decide(self, number: int) -> Decision | None:
        """What to do, now that something may be known of this number, which is in use; None for
        nothing.
        """
        if self._doubted is not None:
            more, fewer = self._doubted, number
        elif self._fewer is not None:
            more, fewer = number, self._fewer
        else:
            return None
        known = self.throughput.known
        gains = self.throughput.gains(more, fewer, sure=self._settled)
        if self._doubted is not None and not known(fewer):
            return None
        if gains is None:
            if self._doubted is not None or not known(more):
                return None
            self._doubted, self._fewer = more, None
            return Decision(fewer)
        self._doubted = self._fewer = None
        if not gains:
            return Decision(fewer, given_up=more)
        self._worse = fewer
        if self._settled:
            self.settle(more)
        return Decision(more)
