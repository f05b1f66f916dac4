"""`oq plan`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from oq.cli.options import Output, output_option
from oq.words.durations import parse_duration

if TYPE_CHECKING:
    from oq.plan.orders import Order
    from oq.plan.trace import Ran

_COUNT = click.IntRange(1, 100_000)
_RATE = click.FloatRange(min=0, min_open=True, max=1e9)
_DEFAULT = ("fifo", "affinity", "ollama")


def _orders(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> list[Order]:
    from oq.plan.orders import parse_order

    try:
        return [parse_order(text) for text in given or _DEFAULT]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _seconds(ctx: click.Context, param: click.Parameter, given: str | None) -> float | None:
    try:
        return None if given is None else float(parse_duration(given))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("plan")
@click.argument("files", metavar="TRACE...", type=click.File("rb"), nargs=-1, required=True)
@click.option(
    "--policy",
    "orders",
    multiple=True,
    callback=_orders,
    metavar="NAME[,SETTING=VALUE]...",
    help="What to try; may be repeated [fifo, affinity, ollama].",
)
@click.option("--backends", type=_COUNT, default=1, help="Servers that are alike [1].")
@click.option("--slots", type=_COUNT, default=1, help="Calls of a model that one runs at once [1].")
@click.option("--max-models", type=_COUNT, default=1, help="Models in its memory at once [1].")
@click.option(
    "--load", callback=_seconds, metavar="TIME", help="For loading a model [by the trace, else 5s]."
)
@click.option(
    "--prompt-rate", type=_RATE, help="Tokens of a prompt a second [by the trace, else 1000]."
)
@click.option(
    "--rate", type=_RATE, help="Generated tokens a second, of one call [by the trace, else 50]."
)
@output_option
def plan_(
    files: tuple[BinaryIO, ...],
    orders: list[Order],
    backends: int,
    slots: int,
    max_models: int,
    load: float | None,
    prompt_rate: float | None,
    rate: float | None,
    output: Output,
) -> None:
    """Run a trace again, in virtual time, under other policies and on other servers.

    TRACE is what `oq trace export` writes; - is the standard input, and several are merged by their
    times. No server is needed. Each task comes when it came, takes as long as its tokens take, and
    is started by the very code that decides in `oq serve`.

    --policy is fifo or affinity, with settings of the scheduler such as affinity,max_bypass=60s. To
    compare with: plain (first in, first out, whatever the priority) and ollama (no queue: a server
    gets all at once and has its own order).
    """
    from oq.cli.show_plan import print_plan
    from oq.plan.figures import figures
    from oq.plan.rates import asked, learn_rates
    from oq.plan.replay import Box, replay

    trace = _read(files)
    rates = learn_rates(trace, prompt_rate, rate, load)
    tasks = asked(trace, rates)
    box = Box(backends, slots, max_models)
    found = [figures(replay(tasks, order, box, rates)) for order in orders]
    print_plan(found, box, rates, output)


def _read(files: tuple[BinaryIO, ...]) -> list[Ran]:
    from oq.plan.trace import NoTrace, read_trace

    lines: Any = (read_trace(file, file.name) for file in files)
    try:
        trace = list(chain.from_iterable(lines))
    except NoTrace as error:
        raise click.UsageError(str(error)) from None
    if not trace:
        raise click.UsageError("the trace has no task: nothing can be planned")
    return trace
