"""One event in one line, for people."""

from __future__ import annotations

from functools import cache
from typing import Any

from rich.console import Console
from rich.text import Text

from oq.cli.tables import COLOURS, console, roomy
from oq.cli.terminal import clean, local
from oq.words.events import Event, EventType

_WHAT = {
    each: each.value.removeprefix("task_").removesuffix("_updated").replace("_", " ")
    for each in EventType
}
_WIDEST = max(map(len, _WHAT.values()))
_screen = cache(console)
_ONE_LINE = 80
"""Columns from which on an event is cut off at the end of its line."""


def print_event(event: Event) -> None:
    """The time of day, the task, what happened to it, and what there is to say about that."""
    screen: Console = _screen()
    shown = line(event)
    if roomy(screen):
        shown.append(f"  #{event.seq}", style="dim")
    if screen.width >= _ONE_LINE:
        screen.print(shown, no_wrap=True, overflow="ellipsis", crop=True)
    else:  # the id alone takes more than half of the line: what happened goes on in the next
        screen.print(shown, soft_wrap=True)


def line(event: Event) -> Text:
    """The line."""
    moment = local(event.timestamp).strftime("%H:%M:%S.%f")[:-3]
    colour = "yellow" if event.type is EventType.TASK_RETRYING else COLOURS[event.status]
    return Text.assemble(
        (f"{moment}  ", "dim"),
        f"{clean(event.task_id)}  ",
        (f"{_WHAT[event.type]:<{_WIDEST}}  ", colour),
        clean(_said(event.data or {})),
    )


def _said(data: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value}" for name, value in data.items())
