"""What `/metrics` shows.

Counting is a few additions to dicts, made after each commit; Prometheus' own objects are only
built when somebody scrapes. What the queue knows by itself is asked at that moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from importlib.metadata import version

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from oq.http.backend_metrics import BackendTimes, backend_gauges
from oq.http.histogram import Histogram, Labels, histogram_family
from oq.http.task_durations import TaskDurations
from oq.logs import lost_lines
from oq.rules.history import History
from oq.words.events import EventType
from oq.words.messages import Committed
from oq.words.steps import Change
from oq.words.views import QueueStatus

MAX_MODELS = 50
"""Models that get a label of their own; the others share `other`, so that a client that makes up
names cannot fill the server of whoever scrapes."""
OTHER = "other"

_COUNTED = {
    EventType.TASK_COMPLETED: ("completed", "Tasks that completed"),
    EventType.TASK_FAILED: ("failed", "Tasks that failed for good"),
    EventType.TASK_RETRYING: ("retried", "Attempts that failed and are tried again"),
    EventType.TASK_CANCELLED: ("cancelled", "Tasks that were cancelled"),
}
_HELP = {"submitted": "Tasks that were accepted", **dict(_COUNTED.values())}


class Tally:
    """What one commit adds; all of it was told at the same time."""

    __slots__ = ("at", "counts", "ran", "tokens", "waited")

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.counts: defaultdict[tuple[str, Labels], int] = defaultdict(int)
        self.tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.waited: list[float] = []
        self.ran: list[float] = []


class Metrics(Collector):
    """Counts what is committed; a collector of its own registry."""

    def __init__(self, status: Callable[[], QueueStatus]) -> None:
        self.history = History()
        """The same by time, for the dashboard's charts."""
        self._status = status
        self._models: set[str] = set()
        self._counts: dict[str, dict[Labels, int]] = {name: defaultdict(int) for name in _HELP}
        self._tokens: dict[tuple[str, str], int] = defaultdict(int)
        self._wait: dict[Labels, Histogram] = defaultdict(Histogram)
        self._run: dict[Labels, Histogram] = defaultdict(Histogram)
        self._spans = TaskDurations()
        self._backends = BackendTimes()
        self._answers: dict[Labels, int] = defaultdict(int)
        self._commits = 0
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def committed(self, commit: Committed) -> None:
        """Count a commit; to be called after each."""
        self._commits += 1
        if not commit.events:
            return
        tally = Tally(commit.events[0].timestamp)  # all of them are told at once
        for step in commit.steps:
            if isinstance(step, Change) and step.event is not None:
                self._count(step, step.event, tally)
        self._keep(tally)

    def answered(self, api: str, status: int) -> None:
        """Count an answer to a client of Ollama's or OpenAI's API."""
        self._answers[api, str(status)] += 1

    def _count(self, change: Change, event: EventType, tally: Tally) -> None:
        state = change.state
        labels = (state.type, self._label(state.terms.model))
        if change.before is None:
            tally.counts["submitted", labels] += 1
        if event is EventType.TASK_STARTED:
            waited = self._spans.waited(change)
            self._wait[labels].add(waited)
            tally.waited.append(waited)
            return
        if event in _COUNTED and not _is_put_back(change):
            tally.counts[_COUNTED[event][0], labels] += 1
        ran = self._spans.ran(change)
        if ran is not None and event is not EventType.TASK_CANCELLED:
            self._run[labels].add(ran)
            tally.ran.append(ran)
            last = state.attempts[-1]
            if last.waited_inside is not None or last.load is not None:
                self._backends.add(last, labels[1])
        self._spans.wait(change, tally.at)
        if event is EventType.TASK_COMPLETED and state.usage is not None:
            tally.tokens[labels[1], "prompt"] += state.usage.prompt_tokens
            tally.tokens[labels[1], "completion"] += state.usage.completion_tokens

    def _keep(self, tally: Tally) -> None:
        history, at = self.history, tally.at
        for (name, labels), number in tally.counts.items():
            self._counts[name][labels] += number
            history.count(at, name, number)
        for (model, kind), number in tally.tokens.items():
            self._tokens[model, kind] += number
            if kind == "completion":
                history.count(at, "tokens", number)
        history.waited(at, tally.waited)
        history.ran(at, tally.ran)

    def _label(self, model: str) -> str:
        if model in self._models:
            return model
        if len(self._models) >= MAX_MODELS:
            return OTHER
        self._models.add(model)
        return model

    def collect(self) -> Iterable[Metric]:
        """The metrics as Prometheus wants them."""
        yield InfoMetricFamily("oq_build", "What runs here", {"version": version("oq")})
        status = self._status()
        yield from _gauges(status)
        yield from backend_gauges(status.backends, self._label)
        for name, counts in self._counts.items():
            family = CounterMetricFamily(f"oq_tasks_{name}", _HELP[name], labels=("type", "model"))
            for labels, count in counts.items():
                family.add_metric(labels, count)
            yield family
        yield self._token_family()
        yield self._answer_family()
        yield CounterMetricFamily("oq_commits", "Commits that reached the disk", self._commits)
        yield CounterMetricFamily(
            "oq_log_lines_lost", "Log lines that could not be written", lost_lines()
        )
        yield from self._time_families()

    def _time_families(self) -> Iterator[Metric]:
        by = ("type", "model")
        yield histogram_family(
            "oq_task_wait_seconds",
            "From being due to being handed over to a backend",
            by,
            self._wait,
        )
        yield histogram_family(
            "oq_task_run_seconds",
            "How long an attempt ran, without what it waited inside its backend",
            by,
            self._run,
        )
        yield from self._backends.families()

    def _answer_family(self) -> Metric:
        family = CounterMetricFamily(
            "oq_gateway_answers",
            "Answers to clients of Ollama and OpenAI, by whose API it is",
            labels=("api", "status"),
        )
        for labels, count in self._answers.items():
            family.add_metric(labels, count)
        return family

    def _token_family(self) -> Metric:
        family = CounterMetricFamily(
            "oq_tokens", "Tokens, as the backends counted them", labels=("model", "kind")
        )
        for labels, count in self._tokens.items():
            family.add_metric(labels, count)
        return family


def _gauges(status: QueueStatus) -> Iterator[Metric]:
    tasks = GaugeMetricFamily("oq_tasks", "Tasks by status", labels=("status",))
    for name in ("pending", "running", "completed", "failed", "cancelled"):
        tasks.add_metric((name,), getattr(status, f"{name}_tasks"))
    yield tasks
    yield GaugeMetricFamily("oq_tasks_delayed", "Waiting for a time", status.delayed_tasks)
    yield GaugeMetricFamily("oq_tasks_retrying", "Waiting for a retry", status.retrying_tasks)
    depth = GaugeMetricFamily(
        "oq_queue_depth", "Tasks that wait, by priority", labels=("priority",)
    )
    for priority, count in status.queues_by_priority.items():
        depth.add_metric((priority,), count)
    yield depth
    workers = GaugeMetricFamily("oq_workers", "Slots by what they do", labels=("state",))
    workers.add_metric(("active",), status.workers_active)
    workers.add_metric(("idle",), status.workers_idle)
    yield workers
    yield GaugeMetricFamily("oq_paused", "1 while nothing is dispatched", status.paused)
    yield GaugeMetricFamily("oq_draining", "1 while shutting down", status.draining)
    yield GaugeMetricFamily("oq_uptime_seconds", "Since the queue was opened", status.uptime)


def _is_put_back(change: Change) -> bool:
    """Whether a task waits again though no attempt failed: its user wants it, or its backend is
    down.
    """
    return change.event is EventType.TASK_RETRYING and "retry_count" not in (change.data or {})
