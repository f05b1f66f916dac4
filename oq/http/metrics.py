"""What `/metrics` shows.

Counting is a few additions to dicts, made after each commit; Prometheus' own objects are only
built when somebody scrapes. What the queue knows by itself is asked at that moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
from oq.http.task_durations import TaskDurations, time_ran
from oq.logs import lost_lines
from oq.rules.attempts_past import AttemptsPast
from oq.rules.history import History
from oq.rules.model_counts import ModelTasks
from oq.rules.model_names import one_name
from oq.rules.token_flow import TokenFlow
from oq.words.events import EventType
from oq.words.messages import Committed
from oq.words.steps import Change
from oq.words.task import Status, TaskType, Usage
from oq.words.views import QueueStatus

MAX_MODELS = 50
"""Models that get a label of their own; the others share `other`, so that a client that makes up
names cannot fill the server of whoever scrapes."""
OTHER = "other"

_COUNTED = {
    EventType.TASK_COMPLETED: "completed",
    EventType.TASK_FAILED: "failed",
    EventType.TASK_RETRYING: "retried",
    EventType.TASK_CANCELLED: "cancelled",
}
_GENERATES = frozenset({TaskType.CHAT, TaskType.GENERATE})
"""The types of tasks whose answers come token by token."""
_HELP = {
    "submitted": "Tasks that were accepted",
    "completed": "Tasks that completed",
    "failed": "Tasks that failed for good",
    "retried": "Attempts that failed and are tried again",
    "cancelled": "Tasks that were cancelled",
}


class News:
    """What one commit says of the tasks of one type and model, all of it told at the same time.
    `counts` are by the names of _HELP, `usage` is that of the tasks that have completed; `tokens`
    is the part of it that counts for the history now.
    """

    __slots__ = ("counts", "label", "model", "ran", "tokens", "usage", "waited")

    def __init__(self, model: str, label: str) -> None:
        self.model = model
        self.label = label
        self.counts: dict[str, int] = {}
        self.usage: list[Usage] = []
        self.tokens: list[Usage] = []
        self.waited: list[float] = []
        self.ran: list[float] = []


class Metrics(Collector):
    """Counts what is committed; a collector of its own registry."""

    def __init__(
        self,
        status: Callable[[], QueueStatus],
        history: History | None = None,
        tasks: Callable[[], dict[str, ModelTasks]] = dict,
    ) -> None:
        self.history = history or History()
        """The same by time and model, for the dashboard's charts."""
        self._flow = TokenFlow(self.history)
        self._status = status
        self._tasks = tasks
        self._models: set[str] = set()
        self._counts: dict[str, dict[Labels, int]] = {name: defaultdict(int) for name in _HELP}
        self._tokens: dict[tuple[str, str], int] = defaultdict(int)
        self._wait: dict[Labels, Histogram] = defaultdict(Histogram)
        self._run: dict[Labels, Histogram] = defaultdict(Histogram)
        self._spans = TaskDurations()
        self.attempts = AttemptsPast(self._spans.all_running)
        """What ran lately, for the dashboard."""
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
        at = commit.events[0].timestamp  # all of them are told at once
        news: dict[tuple[TaskType, str], News] = {}
        for step in commit.steps:
            if not isinstance(step, Change) or step.event is None:
                continue
            kind = step.state.type, step.state.terms.model
            if (each := news.get(kind)) is None:
                each = news[kind] = self._none(kind[1])
            if step.before is None:
                each.counts["submitted"] = each.counts.get("submitted", 0) + 1
            elif step.event is EventType.TASK_STARTED:
                each.waited.append(self._spans.waited(step))
            else:
                self._note(step, step.event, at, each)
        for (type_, _), each in news.items():
            self._count(type_, each, at)

    def progress(self, task_id: str, chunks: int, at: datetime) -> None:
        """A running task has generated so many chunks; to be called now and then."""
        state = self._spans.running(task_id)
        if state is not None and state.type in _GENERATES:
            self._flow.came(task_id, one_name(state.terms.model), chunks, at)

    def answered(self, api: str, status: int) -> None:
        """Count an answer to a client of Ollama's or OpenAI's API."""
        self._answers[api, str(status)] += 1

    def _none(self, name: str) -> News:
        """No news yet of the model with this name."""
        model = one_name(name)
        return News(model, self._label(model))

    def _note(self, change: Change, event: EventType, at: datetime, news: News) -> None:
        """A task that was there has taken another step than its start."""
        state, ran = change.state, None
        name = _COUNTED.get(event)
        if name is not None and not (name == "retried" and _is_put_back(change)):
            news.counts[name] = news.counts.get(name, 0) + 1
        begun = self._spans.stopped(state.id)
        if begun is not None:
            self.attempts.note(begun, change, at)
            ran = time_ran(begun, state)
        if ran is not None and event is not EventType.TASK_CANCELLED:
            news.ran.append(ran)
            self._backends.add(state.attempts[-1], news.label)
        if event is not EventType.TASK_COMPLETED:  # that has not waited since its start
            self._spans.wait(change, at)
        if change.before is Status.RUNNING:
            if state.usage is not None and state.status is Status.COMPLETED:
                news.usage.append(state.usage)
            now = self._flow.ended(state, news.model, ran, at)
            if now is not None:
                news.tokens.append(now)

    def _count(self, type_: TaskType, news: News, at: datetime) -> None:
        """Add what a commit says to what was counted before it."""
        labels = type_, news.label
        for name, number in news.counts.items():
            self._counts[name][labels] += number
        if news.waited:
            self._wait[labels].add(news.waited)
        if news.ran:
            self._run[labels].add(news.ran)
        if news.usage:
            prompt, completion = _tokens(news.usage)
            self._tokens[news.label, "prompt"] += prompt
            self._tokens[news.label, "completion"] += completion
        counts = news.counts
        if news.tokens:
            counts["prompt_tokens"], counts["tokens"] = _tokens(news.tokens)
        self.history.add(at, news.model, counts, news.waited, news.ran)

    def _label(self, model: str) -> str:
        """The label of a model, for its one name."""
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
        yield from backend_gauges(status.backends, lambda name: self._label(one_name(name)))
        yield from self._model_gauges(status.paused_models)
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

    def _model_gauges(self, paused: Collection[str]) -> Iterator[Metric]:
        """The tasks of each model now. Models without a label of their own share one."""
        counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        for model, tasks in self._tasks().items():
            label = self._label(model) if model else OTHER
            counts[label, "pending"] += tasks.waiting
            counts[label, "running"] += tasks.running
        tasks_now = GaugeMetricFamily(
            "oq_model_tasks", "Tasks of a model by status", labels=("model", "status")
        )
        for labels, count in counts.items():
            tasks_now.add_metric(labels, count)
        is_paused = GaugeMetricFamily(
            "oq_model_paused", "1 while no task of the model is dispatched", labels=("model",)
        )
        for label in {self._label(model) for model in paused}:
            is_paused.add_metric((label,), 1)
        yield from (tasks_now, is_paused)

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


def _tokens(usage: Sequence[Usage]) -> tuple[int, int]:
    """Those of the prompts, and those that were generated."""
    prompt = sum(each.prompt_tokens for each in usage)
    return prompt, sum(each.completion_tokens for each in usage)


def _is_put_back(change: Change) -> bool:
    """Whether a task waits again though no attempt failed: its user wants it, or its backend is
    down.
    """
    return "retry_count" not in (change.data or {})
