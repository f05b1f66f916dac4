"""What `/metrics` shows of backends: how they are, what they serve at once, how they spend time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, Metric

from oq.http.histogram import Histogram, Labels, histogram_family
from oq.words.task import Attempt
from oq.words.views import BackendStatus

LOADED = 0.1
"""Seconds that a backend may take to find a model that it has in memory."""

_BY_MODEL: Labels = ("backend", "model")


class BackendTimes:
    """How long attempts waited inside their backends, and how long models took to load there.

    A load is counted once: an attempt that waited beside it says its time too.
    """

    def __init__(self) -> None:
        self.waited: dict[Labels, Histogram] = defaultdict(Histogram)
        self.loads: dict[Labels, Histogram] = defaultdict(Histogram)
        self._loaded_at: dict[Labels, datetime] = {}

    def add(self, attempt: Attempt, model: str) -> None:
        """An attempt has ended; `model` is the label of its model."""
        if attempt.waited_inside is None and attempt.load is None:
            return
        labels = (attempt.backend or "", model)
        if attempt.waited_inside is not None:
            self.waited[labels].add((attempt.waited_inside,))
        if attempt.load is not None and attempt.load > LOADED:
            self._add_load(labels, attempt.started_at, attempt.load)

    def _add_load(self, labels: Labels, began: datetime, seconds: float) -> None:
        """A load is waited for as soon as the backend has the task."""
        last = self._loaded_at.get(labels)
        if last is None or began >= last:
            self.loads[labels].add((seconds,))
            self._loaded_at[labels] = began + timedelta(seconds=seconds)

    def families(self) -> Iterator[Metric]:
        yield histogram_family(
            "oq_backend_waited_inside_seconds",
            "How long an attempt waited inside its backend, where that says it",
            _BY_MODEL,
            self.waited,
        )
        yield histogram_family(
            "oq_backend_load_seconds",
            "How long a model took to load, where the backend says it",
            _BY_MODEL,
            self.loads,
        )


def backend_gauges(
    backends: tuple[BackendStatus, ...], label: Callable[[str], str]
) -> Iterator[Metric]:
    """How each backend is. `label` gives the label of a model."""
    up = GaugeMetricFamily("oq_backend_up", "1 if it answers", labels=("backend",))
    running = GaugeMetricFamily("oq_backend_running", "Tasks running there", labels=("backend",))
    held = GaugeMetricFamily(
        "oq_backend_held", "1 while it gets nothing, for it is busy", labels=("backend",)
    )
    slots = GaugeMetricFamily(
        "oq_backend_slots",
        "Tasks that it serves at once, of a model that is in its memory or of all",
        labels=(*_BY_MODEL, "source"),
    )
    for backend in backends:
        up.add_metric((backend.name,), backend.up)
        running.add_metric((backend.name,), backend.running)
        held.add_metric((backend.name,), backend.held is not None)
        for labels, number in _slots(backend, label).items():
            slots.add_metric(labels, number)
    yield from (up, running, held, slots)


def _slots(backend: BackendStatus, label: Callable[[str], str]) -> dict[tuple[str, str, str], int]:
    """The slots by backend, model and source. Models without a label of their own share one."""
    found: dict[tuple[str, str, str], int] = defaultdict(int)
    for each in backend.slots:
        model = "" if each.model is None else label(each.model)
        found[backend.name, model, each.source] += each.slots
    return found
