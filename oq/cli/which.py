"""Which tasks a command is about: the filters, as options."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from oq.cli.terms import priority_value
from oq.words.durations import parse_duration
from oq.words.task import Status, TaskType
from oq.words.which import Which

F = TypeVar("F", bound=Callable[..., Any])


def several(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """An option that may be repeated, and list several after commas."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def _one_of(known: Collection[str]) -> Callable[..., tuple[str, ...]]:
    def check(
        ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
    ) -> tuple[str, ...]:
        chosen = several(ctx, param, values)
        for one in chosen:
            if one not in known:
                raise click.BadParameter(f"{one[:80]!r} is not one of {', '.join(known)}")
        return chosen

    return check


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A time, in the local zone unless it names one, or a duration: so long ago."""
    if value is None:
        return None
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_duration(value))
    except (ValueError, OverflowError):
        pass  # then it is a time
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value[:80]!r} is no time; write 2026-01-31T12:00, 2026-01-31 or 90m (so long ago)"
        ) from None


def which_options(command: F) -> F:
    """--status, --type, --priority, --model, --text, --since and --until; see `which`."""
    statuses, types = [one.value for one in Status], [one.value for one in TaskType]
    options = [
        click.option(
            "--status",
            multiple=True,
            callback=_one_of(statuses),
            metavar="STATUS,...",
            help=f"{', '.join(statuses)}.",
        ),
        click.option(
            "--type",
            "kind",
            multiple=True,
            callback=_one_of(types),
            metavar="TYPE,...",
            help=f"{', '.join(types)}.",
        ),
        click.option(
            "--priority",
            multiple=True,
            callback=several,
            metavar="PRIORITY,...",
            help="low, normal, high, critical, or a number.",
        ),
        click.option("--model", multiple=True, callback=several, metavar="MODEL,..."),
        click.option("--text", default="", help="Found in id, model, metadata or the prompt."),
        click.option("--since", callback=_moment, metavar="TIME", help="Submitted from then on."),
        click.option("--until", callback=_moment, metavar="TIME", help="Submitted before then."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def which(given: dict[str, Any]) -> Which:
    """The filter in a command's options, which are taken out of `given`."""
    found = Which(
        status=given.pop("status"),
        type=given.pop("kind"),
        priority=[priority_value(text) for text in given.pop("priority")],
        model=given.pop("model"),
        text=given.pop("text"),
        since=given.pop("since"),
        until=given.pop("until"),
    )
    kept: Which = {name: value for name, value in found.items() if value}  # type: ignore[assignment]
    return kept
