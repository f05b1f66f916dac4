"""Options of `oq plan` that say something of all servers, or of one of them: 4, or cloud=16."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import click

from oq.words.durations import parse_duration

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

Convert = Callable[[Any, click.Parameter, click.Context], T]
"""Reads a text; BadParameter if it is wrong."""

COUNT = click.IntRange(1, 100_000)
RATE = click.FloatRange(min=0, min_open=True, max=1e9)
SHOWN = 5
"""Servers that an error names."""


def as_time(text: str, param: click.Parameter, ctx: click.Context) -> float:
    """A length of time, in seconds."""
    try:
        return float(parse_duration(text))
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


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
            said[server] = convert(value, param, ctx)
        by_name = {name: value for name, value in said.items() if name is not None}
        return PerServer(said.get(None), by_name)

    return click.option(flag, multiple=True, callback=read, metavar=f"[NAME=]{metavar}", help=help)


def check_names(said: Mapping[str, PerServer[Any]], names: Collection[str]) -> None:
    """UsageError if an option names a server that there is not. `said` is by flag."""
    for flag, one in said.items():
        for name in one.by_name:
            if name not in names:
                known = ", ".join(list(names)[:SHOWN])
                more = ", ..." if len(names) > SHOWN else ""
                raise click.UsageError(
                    f"{flag}: there is no backend {name[:80]!r}; there are {known}{more}"
                )
