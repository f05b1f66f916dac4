"""How a batch goes, on the standard error: a bar for a person, a line now and then for a file."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from oq.cli.tables import console
from oq.cli.terminal import clean, complain
from oq.words.durations import format_age

_EVERY = 10.0
"""Seconds between two plain lines."""


class Bar:
    """The bar. What it is told to say stands above it."""

    def __init__(self, total: int, done: int) -> None:
        self._failed = 0
        self._waiting = False
        self._progress = Progress(
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", style="yellow", markup=False),
            console=console(stderr=True),
            expand=True,
            speed_estimate_period=60,
        )
        self._bar = self._progress.add_task("", total=total, completed=done, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def ended(self, completed: bool) -> None:
        """One more."""
        self._failed += not completed
        self._waiting = False
        note = f"{self._failed} failed" if self._failed else ""
        self._progress.update(self._bar, advance=1, note=note)

    def waiting(self, why: str) -> None:
        """Say so once, until something ends again."""
        if not self._waiting:
            self._waiting = True
            self._progress.console.print(Text(f"waiting: {clean(why)}", style="yellow"))


class Lines:
    """The same without a terminal: one line in ten seconds at most."""

    def __init__(self, total: int, done: int) -> None:
        self._total = total
        self._before = self._done = done
        self._failed = 0
        self._began = self._said = time.monotonic()
        self._waiting = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def ended(self, completed: bool) -> None:
        """One more."""
        self._done += 1
        self._failed += not completed
        self._waiting = False
        now = time.monotonic()
        if now - self._said >= _EVERY:
            self._said = now
            complain(self._line(now - self._began))

    def waiting(self, why: str) -> None:
        """Say so once, until something ends again."""
        if not self._waiting:
            self._waiting = True
            complain(f"waiting: {why}")

    def _line(self, seconds: float) -> str:
        rate = (self._done - self._before) / seconds
        left = format_age((self._total - self._done) / rate)
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done} of {self._total}{failed}, {rate:.1f}/s, {left} left"


class _Rate(ProgressColumn):
    """Lines a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="cyan")
