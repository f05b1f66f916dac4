"""What is shown while the tasks run: a table that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from oq.words.events import Event, EventType
from oq.words.task import Priority, Status


@dataclass(slots=True)
class Line:
    """One task as it is shown."""

    title: str
    priority: Priority
    status: Status = Status.PENDING
    tokens: int = 0

    def take(self, event: Event) -> bool:
        """Follow an event; whether it changed the state."""
        self.tokens = int((event.data or {}).get("tokens", self.tokens))
        changed = self.status is not event.status
        self.status = event.status
        return changed and event.type is not EventType.TASK_PROGRESS


class Show(Protocol):
    """Where the lines are shown."""

    def follow(self, line: Line, *, changed: bool) -> None:
        """A line has moved; `changed` if its state has."""


@contextmanager
def showing(lines: list[Line]) -> Iterator[Show]:
    """Show these lines for as long as the block lasts."""
    if sys.stdout.isatty():
        with _Moving(lines) as moving:
            yield moving
    else:
        yield _Plain()


class _Plain:
    """One printed line for each change of a state."""

    def follow(self, line: Line, *, changed: bool) -> None:
        if changed:
            said = f"  {line.priority.name.lower():<9}{line.title:<10}{line.status}"
            print(said, flush=True)


class _Moving(Live):
    """A table that is drawn again several times a second."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._spinners = [Spinner("dots", style="cyan") for _ in lines]
        super().__init__(console=Console(highlight=False), get_renderable=self._table)

    def follow(self, line: Line, *, changed: bool) -> None:
        self.refresh()

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=False)
        for line, spinner in zip(self._lines, self._spinners, strict=True):
            running = line.status is Status.RUNNING
            tokens = f"{line.tokens} tokens so far" if line.tokens and running else ""
            table.add_row(
                spinner if running else _MARKS[line.status],
                line.priority.name.lower(),
                line.title,
                line.status.value,
                Text(tokens, style="dim"),
            )
        return table


_MARKS = {
    Status.PENDING: Text("·", style="yellow"),
    Status.COMPLETED: Text("✓", style="green"),
    Status.FAILED: Text("✗", style="red"),
    Status.CANCELLED: Text("✗", style="magenta"),
}
