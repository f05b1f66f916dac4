"""Tasks in words: a table of many, all about one, and what its model answered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from oq.cli.exits import Exit
from oq.cli.expected import expected
from oq.cli.options import Output
from oq.cli.terminal import clean, clean_text, complain, is_terminal, local, print_json, print_rows
from oq.words.answer import is_lost
from oq.words.durations import format_duration
from oq.words.task import Attempt, Priority, Status, Summary, Task, time_inside

NOTICEABLE = 0.05
"""Seconds. Less than that is not said of an attempt."""

_NAMES = {int(priority): priority.name.lower() for priority in Priority}


def print_tasks(tasks: list[Summary], output: Output, *, verbose: bool = False) -> None:
    """Many tasks, one a line in a pipe; on a terminal two lines, where it is narrow."""
    if output is Output.PLAIN:
        rows = [_row(task) for task in tasks]
        extra = [(task.excerpt,) if verbose else () for task in tasks]
        print_rows([row + more for row, more in zip(rows, extra, strict=True)])
        return
    from oq.cli.tables import console, fits_rows

    if not tasks:
        console().print("no tasks")
    elif fits_rows(console()) and not verbose:
        _table(tasks)
    else:
        _stack(tasks, verbose=verbose)


def print_task(task: Task, output: Output) -> None:
    """All about one task but its documents; those are in the JSON."""
    match output:
        case Output.JSON:
            print_json(task)
        case Output.PLAIN:
            print_rows(list(_facts(task)))
        case Output.TABLE:
            from oq.cli.tables import cell, console, facts

            shown = facts()
            for name, value in _facts(task):
                shown.add_row(name, cell(value, cut=False))
            console().print(shown)


def print_outcome(task: Task, output: Output) -> None:
    """What the model answered, or why it did not, with the exit code that goes with it."""
    code = Exit.DONE if task.status is Status.COMPLETED and not is_lost(task) else Exit.FAILED
    if output is Output.JSON:
        print_json(task)
    elif code is Exit.DONE:
        answer = answer_text(task, vectors=output is Output.PLAIN)
        print(clean_text(answer) if is_terminal() else answer)
    elif task.status is Status.COMPLETED:
        complain(f"task {task.id} has completed, but its result is lost: {task.error}")
    elif task.status is Status.FAILED:
        complain(f"task {task.id} failed: {task.error}")
    elif task.status is Status.CANCELLED:
        complain(f"task {task.id} was cancelled")
    else:
        complain(f"task {task.id} is {task.status}; --wait waits until it has ended")
    if code:
        click.get_current_context().exit(code)


def answer_text(task: Task, *, vectors: bool) -> str:
    """The text of a result; of an embedding the numbers, or a summary of them."""
    from oq.dialects import text_in

    text = text_in(task.result)
    if text is not None:
        return text
    match task.result:
        case {"embeddings": [[*_], *_] as rows}:
            return "\n".join(_numbers(row) if vectors else _vector(row) for row in rows)
        case {"embedding": [*row]}:
            return _numbers(row) if vectors else _vector(row)
        case {"data": [{"embedding": [*_]}, *_] as items}:
            rows = [item["embedding"] for item in items]
            return "\n".join(_numbers(row) if vectors else _vector(row) for row in rows)
        case {"document": [{"embedding": [[*_], *_]}, *_] as items}:
            rows = [item["embedding"][0] for item in items]
            return "\n".join(_numbers(row) if vectors else _vector(row) for row in rows)
        case {"results": [{"index": int()}, *_] as rows}:
            return "\n".join(_ranked(row, task.payload) for row in rows)
        case {"document": [{"index": int(), "score": _}, *_] as rows}:
            return "\n".join(_ranked(row, task.payload) for row in rows)
        case {"content_type": str(kind), "bytes": int(size), **rest} if not rest:
            return f"{size} bytes of {kind}: GET /api/tasks/{task.id}/content"
        case result:
            import msgspec

            return msgspec.json.encode(result).decode()


def _ranked(row: dict[str, Any], payload: dict[str, Any]) -> str:
    """A document with its score. Servers leave out the documents: the task has them."""
    score, index = row.get("relevance_score", row.get("score")), row.get("index")
    documents = payload.get("documents") or payload.get("texts")
    said = None
    if isinstance(documents, list) and isinstance(index, int) and 0 <= index < len(documents):
        said = documents[index]
    if isinstance(said, dict):
        said = said.get("text")
    return f"{score}\t[{index}] {said if isinstance(said, str) else ''}".rstrip()


def _numbers(row: list[Any]) -> str:
    return " ".join(map(str, row))


def _vector(row: list[Any]) -> str:
    start = ", ".join(f"{number:.4f}" for number in row[:4] if isinstance(number, (int, float)))
    return f"a vector of {len(row)} numbers: [{start}, ...]"


def _row(task: Summary) -> tuple[object, ...]:
    created, due = _time(task.created_at), _time(task.run_at)
    note = _note(task, f"not before {due}")
    return (task.id, task.status, task.type, task.priority, task.model, created, note)


def _table(tasks: list[Summary]) -> None:
    from oq.cli.tables import ago, cell, console, roomy, status_text, table

    screen, now = console(), datetime.now(UTC)
    wide = roomy(screen)
    shown = table("id", "status", *(["type"] if wide else []), "priority", "model", "")
    # An id that is cut off is of no use; what the terminal lacks comes off the other two.
    for column in shown.columns[:-2]:
        column.no_wrap = True
    for task in tasks:
        when = ago(task.created_at, now) if wide else ""
        due = "" if task.run_at is None else ago(task.run_at, now)
        shown.add_row(
            cell(task.id),
            status_text(task.status),
            *([task.type] if wide else []),
            _NAMES.get(task.priority, str(task.priority)),
            cell(task.model),
            cell(": ".join(part for part in (when, _note(task, due)) if part)),
        )
    screen.print(shown)


def _stack(tasks: list[Summary], *, verbose: bool) -> None:
    """Two lines a task: its id, which is of no use when it is cut off, has the first."""
    from rich.text import Text

    from oq.cli.tables import ago, cell, console, status_text

    screen, now = console(), datetime.now(UTC)
    screen.print(Text(f"{'id':<36}  {'status':<9}  priority", style="bold"), soft_wrap=True)
    for task in tasks:
        due = "" if task.run_at is None else ago(task.run_at, now)
        priority = _NAMES.get(task.priority, str(task.priority))
        screen.print(
            Text.assemble(
                cell(task.id),
                "  ",
                status_text(task.status),
                " " * (11 - len(task.status)),
                priority,
            ),
            soft_wrap=True,
        )
        said = [task.model, _note(task, due)]
        if verbose:
            said = [task.type, task.model, ago(task.created_at, now), _note(task, due)]
        about = cell("  " + "  ".join(part for part in said if part), cut=not verbose)
        screen.print(about, overflow="ellipsis", no_wrap=not verbose, crop=not verbose)
        if verbose and task.excerpt:
            screen.print(Text(f"  {clean(task.excerpt)}", style="dim"))


def _note(task: Summary, due: str) -> str:
    """What there is to say about where the task stands; `due` says when it may run."""
    match task.status:
        case Status.PENDING if task.queue_position is not None:  # its time has come, if it had one
            soon = f", starts {expected(task.eta.starts)}" if task.eta else ""
            return f"#{task.queue_position} in line{soon}"
        case Status.PENDING if task.run_at is not None:
            retry = f"retry {task.retry_count} of {task.max_retries}"
            return f"{retry if task.retry_count else 'waits'}, {due}"
        case Status.COMPLETED:
            return f"took {_took(task)}" if _took(task) else ""
        case _:
            return task.error or ""


def _facts(task: Task) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("id", task.id),
        ("response", _response(task)),
        ("status", task.status),
        ("type", task.type),
        ("model", task.model),
        ("priority", task.priority),
        ("queue position", task.queue_position),
        ("why it waits", task.waits_for),
        ("starts", task.eta and expected(task.eta.starts)),
        ("ends", task.eta and expected(task.eta.ends)),
        ("created", _time(task.created_at)),
        ("not before", _time(task.run_at)),
        ("started", _time(task.started_at)),
        ("ended", _time(task.completed_at)),
        ("took", _took(task)),
        ("waited inside", _waited_inside(task)),
        ("timeout", task.timeout and format_duration(task.timeout)),
        ("retries", f"{task.retry_count} of {task.max_retries}"),
        ("tokens", task.usage and f"{task.usage.prompt_tokens} in, {_made(task)} out"),
        ("error", task.error),
    ]
    for number, attempt in enumerate(task.attempts, 1):
        facts.append((f"attempt {number}", f"{_time(attempt.started_at)}{said_of(attempt)}"))
    return [(name, value) for name, value in facts if value is not None]


def said_of(attempt: Attempt) -> str:
    """Where an attempt was made, how it ended, and where its time went if that was noticeable."""
    where = f" on {attempt.backend}" if attempt.backend else ""
    ended = attempt.error or ("ok" if attempt.ended_at else "running")
    first = attempt.first_token_at
    times = {
        "waited {} inside": attempt.waited_inside,
        "load {}": attempt.load,
        "first token after {}": (first - attempt.started_at).total_seconds() if first else None,
    }
    told = [
        words.format(format_duration(seconds))
        for words, seconds in times.items()
        if seconds is not None and seconds >= NOTICEABLE
    ]
    return f"{where}: {ended}" + (f" ({', '.join(told)})" if told else "")


def _response(task: Task) -> str | None:
    """The id of its response, if that is made in the background and read by an id of its own."""
    from oq.dialects.kept_response import RANDOM, response_id

    match task.metadata:
        case {"path": str(), "response": str(secret)} if len(secret) == 2 * RANDOM:
            return response_id(task.id, secret)
        case _:
            return None


def _made(task: Task) -> int:
    return task.usage.completion_tokens if task.usage else 0


def _took(task: Task | Summary) -> str | None:
    """How long its last attempt ran, without what it waited inside its backend."""
    if task.started_at is None or task.completed_at is None:
        return None
    took = (task.completed_at - task.started_at).total_seconds() - time_inside(task.attempts)
    return format_duration(max(0.0, took))


def _waited_inside(task: Task) -> str | None:
    """What of the time on its backend is not in `_took`."""
    seconds = time_inside(task.attempts)
    if seconds < NOTICEABLE:
        return None
    return f"{format_duration(seconds)} in {task.attempts[-1].backend}"


def _time(moment: datetime | None) -> str | None:
    """Local time, to the second, with its zone."""
    return local(moment).isoformat(" ", "seconds") if moment else None
