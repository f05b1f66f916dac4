"""How `oq top` looks: a text of exactly as many lines as the terminal has. Pure."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from oq.cli.show_queue import condition_of, lines_of, name_of
from oq.cli.tables import COLOURS
from oq.cli.terminal import clean, local
from oq.cli.top.board import Board, Seen
from oq.words.durations import format_age, format_duration
from oq.words.task import Status
from oq.words.views import BackendStatus

_ID = 36
_ROOMY = 110
_MOST_LINES, _MOST_BACKENDS = 5, 3
_BAR = "█▏▎▍▌▋▊▉"  # the first is a whole cell, the others so many eighths of one


def view(board: Board, width: int, height: int, now: datetime, seconds: float) -> Text:
    """The picture at this time; `seconds` is the same by the monotonic clock."""
    rows = [*_head(board, width, now, seconds), Text(), *_waiting(board, width), Text()]
    rows += [*_backends(board), Text()]
    left = height - len(rows) - 4  # two titles, an empty line, and the last line
    running = list(board.running.values())
    ended = list(reversed(board.ended.values()))
    # What runs comes first, but a few of the ended are always to be seen.
    shown = min(len(running), max(left - min(len(ended), left // 2), 1))
    rows += [_title("running", len(running) - shown, width), *_tasks(running[:shown], width, now)]
    rows += [Text(), _title("ended", 0, width), *_tasks(ended[: max(0, left - shown)], width, now)]
    return _fit(rows, width, height)


def _fit(rows: list[Text], width: int, height: int) -> Text:
    """Exactly `height` rows, none longer than `width`; the last says how to leave."""
    rows = rows[: height - 1]
    rows += [Text()] * (height - 1 - len(rows))
    rows.append(Text(" q leaves", style="dim"))
    for row in rows:
        row.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(rows)


def _head(board: Board, width: int, now: datetime, seconds: float) -> list[Text]:
    status = board.status
    state, colour = _state(board)
    clock = local(now).strftime("%H:%M:%S")
    first = Text.assemble((" oq ", "bold"), f" {clean(board.server)}  ", (state, colour))
    first.truncate(width - len(clock) - 2, overflow="ellipsis", pad=True)
    first.append(f" {clock}", style="dim")
    counts = Text(" ")
    for each in Status:
        count = getattr(status, f"{each.value}_tasks")
        counts.append(f"{count:,} ", style="bold").append(f"{each.value}   ", COLOURS[each])
    busy = f"{status.workers_active} of {status.workers_active + status.workers_idle}"
    rates = Text(f" {board.tasks.per_second(seconds):.1f} tasks/s")
    rates.append(f"   {board.tokens.per_second(seconds):.0f} tokens/s   {busy} workers busy")
    if status.delayed_tasks:
        rates.append(f"   {status.delayed_tasks:,} delayed")
    return [first, Text(), counts, rates]


def _state(board: Board) -> tuple[str, str]:
    if board.problem:
        return clean(board.problem), "bold red"
    if board.status.problem:
        return clean(board.status.problem), "bold red"
    if board.status.draining:
        return "shutting down", "bold yellow"
    if board.status.paused:
        return "paused; `oq resume` goes on", "bold yellow"
    if board.status.paused_models:
        names = ", ".join(board.status.paused_models)
        return clean(f"paused: {names}; `oq resume --model NAME` goes on"), "bold yellow"
    return f"up for {format_age(board.status.uptime)}", "green"


def _waiting(board: Board, width: int) -> list[Text]:
    """A bar for each priority in use, the first to be served at the top."""
    lines = lines_of(board.status)
    if not lines:
        return [Text(" nothing waits", style="dim")]
    if len(lines) > _MOST_LINES:
        rest = lines[_MOST_LINES - 1 :]
        lines = lines[: _MOST_LINES - 1]
        others: list[tuple[str, int]] = [("lower", sum(count for _, count in rest))]
    else:
        others = []
    named = [(name_of(priority), count) for priority, count in lines] + others
    most = max(count for _, count in named)
    room = max(4, width - 32)
    return [
        Text.assemble(f" {name:>15.15} ", (_bar(count / most * room), "yellow"), f" {count:,}")
        for name, count in named
    ]


def _bar(cells: float) -> str:
    """So many cells of a bar, in eighths; something always has a part of one."""
    eighths = max(1, round(cells * 8))
    whole, part = divmod(eighths, 8)
    return _BAR[0] * whole + (_BAR[part] if part else "")


def _backends(board: Board) -> list[Text]:
    shown = board.status.backends[:_MOST_BACKENDS]
    rows = [_backend(backend) for backend in shown]
    more = len(board.status.backends) - len(shown)
    if more > 0:
        rows.append(Text(f" and {more} more backends", style="dim"))
    return rows


def _backend(backend: BackendStatus) -> Text:
    state = condition_of(backend).removeprefix("up, ")
    return Text.assemble(
        (" ● ", "green" if backend.up else "red"),
        (f"{clean(backend.name)}  ", "bold"),
        f"{clean(state)}  ",
        (clean(backend.url), "dim"),
    )


def _title(name: str, more: int, width: int) -> Text:
    columns = f" {name:<{_ID}}  {'model':<{_model(width)}}  {'tokens':>7}  {'time':>6}"
    title = Text(columns, style="bold")
    return title.append(f"  +{more}", style="dim") if more > 0 else title


def _tasks(tasks: list[Seen], width: int, now: datetime) -> list[Text]:
    return [_task(task, width, now) for task in tasks]


def _task(task: Seen, width: int, now: datetime) -> Text:
    tokens = "" if task.tokens is None else f"{task.tokens:,}"
    took = "" if task.started_at is None else _time(task, task.started_at, now)
    model = Text(clean(task.model))
    model.truncate(_model(width), overflow="ellipsis", pad=True)
    row = Text(f" {clean(task.id):<{_ID}.{_ID}}  ", style="none")
    row.append_text(model).append(f"  {tokens:>7}  {took:>6}")
    if task.ended_at is not None:
        row.append(f"  {_end(task, width)}", COLOURS[task.status])
    elif task.backend:
        row.append(f"  {clean(task.backend)}", style="dim")
    return row


def _end(task: Seen, width: int) -> str:
    """How it ended; why, where there is room for it."""
    return clean(task.error) if task.error and width >= _ROOMY else task.status


def _time(task: Seen, start: datetime, now: datetime) -> str:
    """How long it has run or ran, without what it waited inside its backend."""
    seconds = max(0.0, ((task.ended_at or now) - start).total_seconds() - task.inside)
    return format_duration(float(round(seconds)) if seconds >= 10 else seconds)


def _model(width: int) -> int:
    """The width of the model's column: what the others leave of 80, and a share of what is over."""
    return 13 + max(0, (width - 80) // 3)
