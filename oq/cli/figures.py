"""The commands that show figures: backends, stats."""

from __future__ import annotations

import click

from oq.cli.options import Output, connect, output_option, server_options, window_option
from oq.cli.show_queue import condition_of, since_of
from oq.cli.terminal import clean, local, print_json, print_rows
from oq.words.durations import format_duration
from oq.words.stats import Point, Stats
from oq.words.views import BackendView, Slots

_COUNTS = ("submitted", "completed", "failed", "cancelled", "retried", "tokens")
_TIMES = ("wait_p50", "wait_p95", "run_p50", "run_p95")


@click.command("backends")
@output_option
@server_options
def backends_(output: Output, server: str | None, config_path: str | None) -> None:
    """List the backends and their models. Models with a * are in memory."""
    with connect(server, config_path) as client:
        found = client.backends()
    match output:
        case Output.JSON:
            print_json(found)
        case Output.PLAIN:
            print_rows([_backend_row(one) for one in found])
        case Output.TABLE:
            _show_backends(found)


@click.command("stats")
@window_option
@click.option("--model", metavar="NAME", help="Only what happened to this model.")
@output_option
@server_options
def stats_(
    window: str, model: str | None, output: Output, server: str | None, config_path: str | None
) -> None:
    """Show what happened in the last 15 minutes or 24 hours, interval by interval.

    Intervals in which nothing happened are left out.
    """
    with connect(server, config_path) as client:
        found = client.stats(window, model)
    match output:
        case Output.JSON:
            print_json(found)
        case Output.PLAIN:
            print_rows([_point_row(point) for point in _busy(found)])
        case Output.TABLE:
            _show_stats(found, window)


def _backend_row(one: BackendView) -> tuple[object, ...]:
    models = ",".join(_models(one))
    return one.name, one.kind, one.url, _state(one), one.running, models, one.error


def _state(one: BackendView) -> str:
    return "up" if one.up else "down"


def _models(one: BackendView) -> list[str]:
    """Their names, with a * behind those that are in memory."""
    loaded = {model.name for model in one.loaded}
    return [f"{m.name}*" if m.name in loaded else m.name for m in one.models]


def _show_backends(found: list[BackendView]) -> None:
    from rich.text import Text

    from oq.cli.tables import cell, console, facts

    shown = facts()
    for one in found:
        colour = "green" if one.up else "red"
        doing = f"  {condition_of(one).removeprefix('up, ')}" if one.up else since_of(one)
        where = clean(f"{doing}  {one.kind} at {one.url}")
        shown.add_row(cell(one.name), Text.assemble((_state(one), colour), where))
        for text in (one.error, *map(slots_said, one.slots), "  ".join(_models(one))):
            if text:
                shown.add_row("", cell(text, cut=False))
    console().print(shown)


def slots_said(one: Slots) -> str:
    """How many tasks it serves at once, and how that is known."""
    model = f"{one.model} ({one.load})" if one.load else one.model
    of = f" of {model}" if model else ""
    slots = "1 slot" if one.slots == 1 else f"{one.slots} slots"
    why = f": {one.reason}" if one.source in ("measured", "guessed") else ""
    return f"{slots}{of}, {one.source}{why}"


def _busy(found: Stats) -> list[Point]:
    return [point for point in found.points if any(getattr(point, name) for name in _COUNTS)]


def _point_row(point: Point) -> tuple[object, ...]:
    counts = [getattr(point, name) for name in _COUNTS]
    times = [getattr(point, name) for name in _TIMES]
    return (local(point.t).isoformat(" ", "seconds"), *counts, *times)


def _show_stats(found: Stats, window: str) -> None:
    from oq.cli.tables import console, table

    shown = table("from", *_COUNTS, "waited", "ran")
    for column in shown.columns[1:]:
        column.justify = "right"
    for point in _busy(found):
        counts = [str(getattr(point, name)) for name in _COUNTS]
        times = ["" if t is None else format_duration(t) for t in (point.wait_p50, point.run_p50)]
        shown.add_row(local(point.t).strftime("%H:%M:%S"), *counts, *times)
    totals = [str(sum(getattr(point, name) for point in found.points)) for name in _COUNTS]
    shown.add_row(f"last {window}", *totals, "", "", style="bold")
    console().print(shown)
