"""Whether a series goes up: slopes that a few wild values cannot turn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations
from math import sqrt

Points = Sequence[tuple[float, float]]
"""(time, value), in the order of time."""

SURE = 1.96
"""Standard deviations to either side of 95 % of the normal distribution."""


def slope(points: Points) -> float:
    """The median of the slopes of all pairs (Theil and Sen), in values per unit of time."""
    return statistics.median(_slopes(points))


def sure_slope(points: Points) -> float:
    """The least slope that agrees with the points: the lower end of Sen's interval of 95 %.

    It is above 0 only if the values go up more often than chance explains. The interval comes from
    the variance of Kendall's rank test: P. K. Sen, J. Am. Stat. Assoc. 63 (1968), 1379.
    """
    ranked = _slopes(points)
    count = len(points)
    doubt = SURE * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return ranked[max(0, int((len(ranked) - doubt) / 2))]


def _slopes(points: Points) -> list[float]:
    """In ascending order. ValueError if there are fewer than two times."""
    slopes = sorted(
        (later - earlier) / (end - begin)
        for (begin, earlier), (end, later) in combinations(points, 2)
        if end != begin
    )
    if not slopes:
        raise ValueError("a slope needs values of two times")
    return slopes
