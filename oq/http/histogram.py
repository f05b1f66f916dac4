"""Seconds counted by bucket, and what Prometheus gets of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import HistogramMetricFamily, Metric

BUCKETS = (0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)

Labels = tuple[str, str]


class Histogram:
    """Seconds, counted by bucket."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, several: Iterable[float]) -> None:
        counts, total = self.counts, self.total
        for seconds in several:
            if seconds < 0.0:  # the wall clock may have been set back
                seconds = 0.0
            counts[bisect_left(BUCKETS, seconds)] += 1
            total += seconds
        self.total = total

    def cumulated(self) -> Iterator[tuple[str, float]]:
        so_far = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            so_far += count
            yield bound, so_far


def histogram_family(
    name: str, text: str, labels: Labels, values: Mapping[Labels, Histogram]
) -> Metric:
    """Histograms of one name, one for each pair of values of these two labels."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for pair, histogram in values.items():
        family.add_metric(pair, list(histogram.cumulated()), histogram.total)
    return family
