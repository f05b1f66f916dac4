"""Which tasks a command is about: the filters, as options."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import click

from oq.cli.terms import priority_value
from oq.words.durations import parse_duration
from oq.words.which import CONDITIONS, Condition, Which

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
            f"{value[:80]!r} is not a time; write 2026-01-31T12:00, 2026-01-31, or 90m for 90"
            " minutes ago"
        ) from None


def _option(name: str, condition: Condition) -> Callable[[F], F]:
    """The option of this field of the filter."""
    help = condition.text[0].upper() + condition.text[1:]
    rest: dict[str, Any] = {}
    if condition.kind is datetime:
        rest = {"callback": _moment, "metavar": "TIME"}
    elif condition.many:
        known = [one.value for one in condition.kind] if issubclass(condition.kind, StrEnum) else []
        help += f": {', '.join(known)}" if known else ""
        check = _one_of(known) if known else several
        rest = {"multiple": True, "callback": check, "metavar": f"{name.upper()},..."}
    return click.option(f"--{name}", help=f"{help}.", default=None, **rest)


def which_options(command: F) -> F:
    """An option for each field of the filter; see `which`."""
    for name, condition in reversed(CONDITIONS.items()):
        command = _option(name, condition)(command)
    return command


def which(given: dict[str, Any]) -> Which:
    """The filter in a command's options, which are taken out of `given`."""
    found = {name: given.pop(name) for name in CONDITIONS}
    found["priority"] = [priority_value(text) for text in found["priority"]]
    kept: Which = {name: value for name, value in found.items() if value}  # type: ignore[assignment]
    return kept
