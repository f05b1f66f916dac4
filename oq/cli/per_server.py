"""Options of `oq plan` that say something of all servers, or of one of them: 4, or cloud=16."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import click

from oq.words.durations import parse_duration

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

Convert = Callable[[str], T]
"""Reads a text; ValueError says what is wrong with it."""

MOST_COUNT = 100_000
LEAST_RATE, MOST_RATE = 0.001, 1e9
"""Tokens a second."""
SHOWN = 5
"""Servers that an error names."""


def as_count(text: str) -> int:
    """A number of slots or models."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= number <= MOST_COUNT:
        raise ValueError(f"{text[:80]!r} is not a whole number from 1 to {MOST_COUNT:,}")
    return number


def as_rate(text: str) -> float:
    """A number of tokens a second."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not LEAST_RATE <= rate <= MOST_RATE:  # nan is neither
        raise ValueError(
            f"{text[:80]!r} is not a number of tokens a second, from {LEAST_RATE:g} to"
            f" {MOST_RATE:,.0f}"
        )
    return rate


def as_time(text: str) -> float:
    """A length of time, in seconds."""
    return float(parse_duration(text))


class PerServer(NamedTuple, Generic[T]):
    """What was said of all servers, and of some by their names."""

    all: T | None
    by_name: Mapping[str, T]

    def of(self, name: str) -> T | None:
        """What counts for this one: what is said of it, else what is said of all."""
        return self.by_name.get(name, self.all)


def per_server(flag: str, convert: Convert[Any], metavar: str, help: str) -> Callable[[F], F]:
    """An option that may be repeated: once for all servers, and once for each by its name."""

    def read(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> PerServer[Any]:
        said: dict[str | None, Any] = {}
        for text in given:
            name, equals, value = text.rpartition("=")
            server = name if equals else None
            if server in said:
                whose = "for all servers" if server is None else f"for {server[:80]!r}"
                raise click.BadParameter(f"{text[:80]!r}: it is given twice {whose}", ctx, param)
            try:
                said[server] = convert(value)
            except ValueError as error:
                raise click.BadParameter(str(error), ctx, param) from None
        by_name = {name: value for name, value in said.items() if name is not None}
        return PerServer(said.get(None), by_name)

    return click.option(flag, multiple=True, callback=read, metavar=f"[NAME=]{metavar}", help=help)


def check_names(said: Mapping[str, PerServer[Any]], names: Collection[str]) -> None:
    """UsageError if an option names a server that there is not. `said` is by flag."""
    for flag, one in said.items():
        for name in one.by_name:
            if name not in names:
                known = ", ".join(list(names)[:SHOWN])
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                raise click.UsageError(
                    f"{flag}: there is no backend {name[:80]!r}; there are {known}{more}"
                )
