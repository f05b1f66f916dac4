"""The queue at a glance, in words."""

from __future__ import annotations

from datetime import datetime

from oq.cli.expected import expected_at
from oq.cli.options import Output
from oq.cli.terminal import clean, print_json, print_rows
from oq.words.durations import format_age
from oq.words.task import Priority, Status
from oq.words.views import BackendStatus, QueueStatus


def print_queue(status: QueueStatus, output: Output) -> None:
    """Counts, waiting lines, workers, backends, and whatever is wrong."""
    match output:
        case Output.JSON:
            print_json(status)
        case Output.PLAIN:
            print_rows(_rows(status))
        case Output.TABLE:
            _tables(status)


def _rows(status: QueueStatus) -> list[tuple[object, ...]]:
    """Field by field, as the server names them; the priorities and the backends after that."""
    plain = ("queues_by_priority", "backends")
    fields = [name for name in status.__struct_fields__ if name not in plain]
    rows: list[tuple[object, ...]] = [(name, _plain(getattr(status, name))) for name in fields]
    rows += [(f"priority {number}", count) for number, count in lines_of(status)]
    rows += [(f"backend {backend.name}", _health(backend)) for backend in status.backends]
    return rows


def _tables(status: QueueStatus) -> None:
    from rich.text import Text

    from oq.cli.tables import cell, console, facts, status_text, table

    counts = table(*(state.value for state in Status), "total")
    cells = [str(getattr(status, f"{state.value}_tasks")) for state in Status]
    for column, state in zip(counts.columns, Status, strict=False):
        column.header = status_text(state)
    counts.add_row(*cells, str(status.total_tasks))
    about = facts()
    for name, value in _facts(status):
        about.add_row(name, cell(value, cut=False))
    for backend in status.backends:
        colour = "green" if backend.up else "red"
        about.add_row(
            "backend", Text.assemble(clean(backend.name), " ", (_health(backend), colour))
        )
    screen = console()
    screen.print(counts)
    screen.print()
    screen.print(about)


def _facts(status: QueueStatus) -> list[tuple[str, str]]:
    workers = f"{status.workers_active} busy, {status.workers_idle} idle"
    told = [("workers", workers), ("up for", format_age(status.uptime))]
    if status.queues_by_priority:
        waiting = ", ".join(f"{count} {name_of(number)}" for number, count in lines_of(status))
        told.insert(0, ("waiting", waiting))
    if status.empty_at is not None:
        told.append(("empty", expected_at(status.empty_at)))
    if status.delayed_tasks:
        retries = f", {status.retrying_tasks} of them retries" if status.retrying_tasks else ""
        later = f"{status.delayed_tasks}{retries}"
        told.append(("delayed", later))
    if status.paused:
        told.append(("paused", "no task is started; `oq resume` starts them again"))
    if status.paused_models:
        names = ", ".join(status.paused_models)
        told.append(
            ("paused models", f"{names}; `oq resume --model NAME` starts their tasks again")
        )
    if status.draining:
        told.append(("draining", "the server is shutting down"))
    if status.problem:
        told.append(("problem", status.problem))
    return told


def lines_of(status: QueueStatus) -> list[tuple[int, int]]:
    """The waiting line of each priority, the first to be served at the top."""
    lines = status.queues_by_priority.items()
    return sorted(((int(priority), count) for priority, count in lines), reverse=True)


def name_of(priority: int) -> str:
    names = {int(each): each.name.lower() for each in Priority}
    return names.get(priority, f"of priority {priority}")


def _health(backend: BackendStatus) -> str:
    return clean(f"({backend.kind} at {backend.url}) {condition_of(backend)}")


def condition_of(backend: BackendStatus) -> str:
    """Whether it is up, what runs on it, and what it is busy with."""
    if not backend.up:
        return f"down{since_of(backend)}: {backend.error}"
    of = f" of {backend.max_concurrency}" if backend.max_concurrency else ""
    doing = [each for each in (backend.swap, backend.held and f"held: {backend.held}") if each]
    return "; ".join((f"up, {backend.running}{of} running", *doing))


def since_of(backend: BackendStatus) -> str:
    """Since when it is down; empty if that is not known."""
    return f" since {backend.down_since:%H:%M} UTC" if backend.down_since else ""


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else value
