"""Tables on a terminal, all alike. Only imported when there is a terminal: rich takes a while."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from oq.cli.terminal import clean
from oq.words.durations import format_age
from oq.words.task import Status

COLOURS = {
    Status.PENDING: "yellow",
    Status.RUNNING: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "magenta",
}


def console(*, stderr: bool = False) -> Console:
    """The terminal. Markup and highlighting are off: most of what is shown came from elsewhere."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def table(*columns: str) -> Table:
    """An empty table with these columns."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        shown.add_column(column)
    return shown


def facts() -> Table:
    """An empty table of names and values."""
    shown = table("", "")
    shown.show_header = False
    shown.columns[0].style = "bold"
    return shown


def roomy(screen: Console) -> bool:
    """Whether a line has room for more than the most important columns."""
    return screen.width >= 110


def fits_rows(screen: Console) -> bool:
    """Whether a task has room in one line: its id alone takes 36 columns."""
    return screen.width >= 100


def status_text(status: Status) -> Text:
    """The state in its colour."""
    return Text(status.value, style=COLOURS[status])


def cell(value: object, *, cut: bool = True) -> Text:
    """What came from elsewhere, as it can be shown; on one line, cut off where it has no room."""
    text = "" if value is None else clean(value)
    return Text(text, no_wrap=cut, overflow="ellipsis" if cut else "fold")


def ago(then: datetime, now: datetime) -> str:
    """How long ago, or in how long."""
    seconds = (now - then).total_seconds()
    if abs(seconds) < 1:
        return "now"
    rough = format_age(seconds)
    return f"{rough} ago" if seconds > 0 else f"in {rough}"
