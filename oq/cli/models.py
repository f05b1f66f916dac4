"""The command that shows each model: its tasks now, and how it went lately."""

from __future__ import annotations

import click

from oq.cli.options import Output, connect, output_option, server_options, window_option
from oq.cli.terminal import clean, print_json, print_rows
from oq.words.durations import format_age, format_duration
from oq.words.stats import ModelStats

_COLUMNS = (
    "waiting", "running", "paused", "completed", "failed", "prompt_tokens_per_second",
    "tokens_per_second", "wait_p50", "wait_p95", "run_p50", "run_p95",
)  # fmt: skip
_RATES = ("read", "made")
_OTHERS = "(others)"


@click.command("models")
@window_option
@output_option
@server_options
def models_(window: str, output: Output, server: str | None, config_path: str | None) -> None:
    """Show the tasks of each model that wait and run, and how it went in the last 15 minutes or 24
    hours.

    Tokens per second (read, made) are those of the last minute, of all tasks of the model together.
    Of the two times half of the tasks took no longer than the first, and 95 % no longer than the
    second.
    """
    with connect(server, config_path) as client:
        found = client.models(window)
    match output:
        case Output.JSON:
            print_json(found)
        case Output.PLAIN:
            print_rows([_row(one) for one in found.models])
        case Output.TABLE:
            show_models(found.models)


def _row(one: ModelStats) -> tuple[object, ...]:
    values = {name: getattr(one, name) for name in _COLUMNS}
    values["paused"] = str(one.paused).lower()
    return one.model or _OTHERS, *values.values()


def show_models(found: list[ModelStats]) -> None:
    """A table, where a line has room for it."""
    from oq.cli.tables import console, fits_rows

    screen = console()
    if not found:
        screen.print("no models")
    elif fits_rows(screen):
        _table(found)
    else:
        _stack(found)


def _stack(found: list[ModelStats]) -> None:
    """Two lines a model, where a line has no room for its name beside its figures."""
    from rich.text import Text

    from oq.cli.tables import cell, console

    screen = console()
    for one in found:
        screen.print(Text.assemble((_name(one), "bold")), soft_wrap=True)
        rates = one.prompt_tokens_per_second, one.tokens_per_second
        said = [
            f"{one.waiting} waiting, {one.running} running, {one.completed} done,"
            f" {one.failed} failed",
            *(f"{rate:.1f} {what}/s" for rate, what in zip(rates, _RATES, strict=True) if rate),
            *(f"waited {time}" for time in [_times(one.wait_p50, one.wait_p95)] if time),
            *(f"ran {time}" for time in [_times(one.run_p50, one.run_p95)] if time),
        ]
        screen.print(cell(f"  {', '.join(said)}", cut=False))


def _name(one: ModelStats) -> str:
    return clean(f"{one.model or _OTHERS}{' (paused)' if one.paused else ''}")


def _table(found: list[ModelStats]) -> None:
    from oq.cli.tables import cell, console, table

    shown = table(
        "model", "waiting", "running", "done", "failed", "read/s", "made/s", "waited", "ran"
    )  # fmt: skip
    for column in shown.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
    for one in found:
        counts = (one.waiting, one.running, one.completed, one.failed)
        rates = (one.prompt_tokens_per_second, one.tokens_per_second)
        shown.add_row(
            cell(_name(one), cut=False),
            *map(str, counts),
            *(f"{rate:.1f}" if rate else "" for rate in rates),
            _times(one.wait_p50, one.wait_p95),
            _times(one.run_p50, one.run_p95),
        )
    console().print(shown)


def _times(half: float | None, most: float | None) -> str:
    """Half of them took no longer than the one time, and 95 % no longer than the other."""
    if half is None or most is None:
        return ""
    return f"{_short(half)}–{_short(most)}"


def _short(seconds: float) -> str:
    return format_duration(round(seconds, 2)) if seconds < 10 else format_age(seconds)
