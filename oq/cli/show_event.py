"""One event in one line, for people."""

from __future__ import annotations

from functools import cache
from typing import Any

from rich.console import Console
from rich.text import Text

from oq.cli.tables import COLOURS, console
from oq.cli.terminal import clean
from oq.words.events import Event, EventType

_WIDEST = max(len(each.value) for each in EventType) - len("task_")
_screen = cache(console)


def print_event(event: Event) -> None:
    """The time of day, the task, what happened to it, and what there is to say about that."""
    screen: Console = _screen()
    screen.print(line(event), no_wrap=True, overflow="ellipsis", crop=True)


def line(event: Event) -> Text:
    """The line."""
    moment = event.timestamp.astimezone().strftime("%H:%M:%S.%f")[:-3]
    what = event.type.value.removeprefix("task_").replace("_", " ")
    colour = "yellow" if event.type is EventType.TASK_RETRYING else COLOURS[event.status]
    return Text.assemble(
        (f"{moment}  ", "dim"),
        f"{clean(event.task_id)}  ",
        (f"{what:<{_WIDEST}}  ", colour),
        clean(_said(event.data or {})),
        (f"  #{event.seq}", "dim"),
    )


def _said(data: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value}" for name, value in data.items())
