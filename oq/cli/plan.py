"""`oq plan`."""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

import click
from msgspec.structs import replace

from oq.cli.options import Output, output_option
from oq.cli.per_server import (
    MOST_COUNT,
    PerServer,
    as_count,
    as_rate,
    as_time,
    check_names,
    per_server,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oq.plan.orders import Order
    from oq.plan.rates import Rates
    from oq.plan.servers import Setup
    from oq.plan.trace import Ran
    from oq.words.config import Config

_DEFAULT = ("fifo", "affinity", "ollama")
_CONFIG = "config"
"""The policy that stands for what the settings file says."""


def _orders(
    ctx: click.Context, param: click.Parameter, given: tuple[str, ...]
) -> list[Order | None]:
    """None stands for the settings file."""
    from oq.plan.orders import parse_order

    orders: list[Order | None] = []
    for text in given:
        name, comma, _ = text.partition(",")
        if name == _CONFIG and comma:
            raise click.BadParameter(
                f"{text[:80]!r}: config is what the settings file says, and takes no settings here"
            )
        try:
            orders.append(None if name == _CONFIG else parse_order(text))
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return orders


@click.command("plan")
@click.argument("files", metavar="TRACE...", type=click.File("rb"), nargs=-1, required=True)
@click.option(
    "--policy",
    "orders",
    multiple=True,
    callback=_orders,
    metavar="NAME[,SETTING=VALUE]...",
    help="What to try; may be repeated [fifo, affinity, ollama; with --config: config].",
)
@click.option(
    "--config", "config_path", metavar="FILE", help="A settings file: its backends are the servers."
)
@click.option(
    "--backends",
    type=click.IntRange(1, MOST_COUNT),
    help="Servers that are alike: box1, box2, ... [1].",
)
@per_server("--slots", as_count, "NUMBER", "Calls of a model that a server runs at once [1].")
@per_server("--max-models", as_count, "NUMBER", "Models in its memory at once [1].")
@per_server("--load", as_time, "TIME", "For loading a model [by the trace, else 5s].")
@per_server(
    "--prompt-rate", as_rate, "RATE", "Tokens of a prompt a second [by the trace, else 1000]."
)
@per_server(
    "--rate",
    as_rate,
    "RATE",
    "Generated tokens a second, of one call [by the trace, else 50].",
)
@output_option
def plan_(
    files: tuple[BinaryIO, ...],
    orders: list[Order | None],
    config_path: str | None,
    backends: int | None,
    output: Output,
    **said: PerServer[Any],
) -> None:
    """Run a trace again, in virtual time, under other policies and on other servers.

    TRACE is what `oq trace export` writes; - is the standard input, and several are merged by their
    times. No server is needed. Each task comes when it came, takes as long as its tokens take, and
    is started by the very code that decides in `oq serve`.

    --policy is fifo or affinity, with settings of the scheduler such as affinity,max_bypass=60s. To
    compare with: plain (first in, first out, whatever the priority) and ollama (no queue: a server
    gets all at once and has its own order).

    With --config the servers are the backends of a settings file, each with its models, tier,
    overflow_after, max_concurrency, model_limits and max_models. The policy config is the scheduler
    and the fairness of that file. How fast a backend is the trace says, if it has tasks that ran
    there.

    --slots, --max-models, --load, --prompt-rate and --rate can be said of one server by its name,
    as in --rate cloud=90. What the file says of a backend counts before what is said of all.
    """
    from oq.cli.show_plan import print_plan
    from oq.plan.figures import figures
    from oq.plan.rates import asked, learn_rates
    from oq.plan.replay import replay
    from oq.plan.servers import NotServed

    config = _settings(config_path, backends)
    setup = _setup(config, backends or 1, said)
    tried = _chosen(orders, config)
    trace = _read(files)
    rates = learn_rates(trace, said["prompt_rate"].all, said["rate"].all, said["load"].all)
    setup = _with_rates(setup, trace, rates, said, of_config=config is not None)
    tasks = asked(trace, rates)
    try:
        found = [figures(replay(tasks, order, setup, rates)) for order in tried]
    except NotServed as error:
        raise click.UsageError(str(error)) from None
    print_plan(found, setup, rates, output)


def _settings(path: str | None, backends: int | None) -> Config | None:
    """What the file says, if one is named."""
    if path is None:
        return None
    if backends is not None:
        raise click.UsageError(
            "--config and --backends cannot be used together: the file says which there are"
        )
    from oq.settings import load_settings

    return load_settings(path, {}, os.environ).config


def _chosen(orders: Sequence[Order | None], config: Config | None) -> list[Order]:
    """The policies to try."""
    from oq.plan.orders import order_of, parse_order

    if config is not None:
        of_file = order_of(config, _CONFIG)
        return [order or of_file for order in orders or (None,)]
    if None in orders:
        raise click.UsageError("--policy config needs a settings file: name it with --config")
    return [order for order in orders if order] or [parse_order(text) for text in _DEFAULT]


def _setup(config: Config | None, backends: int, said: Mapping[str, PerServer[Any]]) -> Setup:
    """The servers, with what the options say of them."""
    from oq.plan.servers import alike, setup_of

    slots, models = said["slots"], said["max_models"]
    if config is None:
        setup = alike(backends, slots.all or 1, models.all or 1)
    else:
        setup = setup_of(config, slots.all or 1, models.all or 1)
    flags = {f"--{name.replace('_', '-')}": one for name, one in said.items()}
    check_names(flags, [server.name for server in setup.servers])
    servers = tuple(
        replace(
            server,
            slots=slots.by_name.get(server.name, server.slots),
            models=models.by_name.get(server.name, server.models),
        )
        for server in setup.servers
    )
    return replace(setup, servers=servers)


def _with_rates(
    setup: Setup,
    trace: Sequence[Ran],
    usual: Mapping[str, Rates],
    said: Mapping[str, PerServer[Any]],
    *,
    of_config: bool,
) -> Setup:
    """How fast each server is, where that is not as usual. What ran on a backend of the settings
    says how fast that is; of servers that are alike the trace knows nothing.
    """
    from oq.plan.rates import rates_on

    def own(name: str) -> dict[str, Rates]:
        given = (said[each].of(name) for each in ("prompt_rate", "rate", "load"))
        rates = rates_on(name, trace if of_config else (), usual, *given)
        return {model: each for model, each in rates.items() if each != usual[model]}

    servers = tuple(replace(server, rates=own(server.name)) for server in setup.servers)
    return replace(setup, servers=servers)


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
