"""What `oq plan` found, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from oq.cli.options import Output
from oq.cli.show_queue import name_of
from oq.cli.terminal import clean, print_json, print_rows
from oq.plan.figures import Figures, Waits
from oq.plan.rates import Rates
from oq.plan.servers import Server, Setup
from oq.plan.told import Estimates
from oq.words.durations import format_duration


def print_plan(
    found: Sequence[Figures], setup: Setup, rates: Mapping[str, Rates], output: Output
) -> None:
    """A table for each question; in a pipe one row for each answer."""
    match output:
        case Output.JSON:
            print_json({"servers": setup.servers, "rates": rates, "policies": found})
        case Output.PLAIN:
            print_rows(list(_rows(found)))
        case Output.TABLE:
            _tables(found, setup, rates)


def _rows(found: Sequence[Figures]) -> Iterator[tuple[object, ...]]:
    """The kind of the row first, then the policy; times are in seconds."""
    for each in found:
        yield (
            "policy", each.policy, each.swaps, each.loads, f"{each.makespan:.3f}",
            f"{each.tokens_per_second:.3f}", _share(each.fairness), each.passed_over,
        )  # fmt: skip
        for whose, waits in _waits(each):
            times = (waits.p50, waits.p95, waits.p99, waits.worst)
            yield "waits", each.policy, whose, waits.tasks, *(f"{time:.3f}" for time in times)
        if len(each.by_server) > 1:
            for name, done in each.by_server.items():
                tokens = done.prompt_tokens, done.generated_tokens
                yield "server", each.policy, name, done.tasks, *tokens
        if each.estimates is not None:
            for what, right in (("starts", each.estimates.starts), ("ends", each.estimates.ends)):
                shares = (right.below, right.within, right.above)
                yield "estimates", each.policy, what, *(f"{share:.3f}" for share in shares)


def _waits(each: Figures) -> Iterator[tuple[str, Waits]]:
    """Of all tasks, then by priority and by tenant, where there are several."""
    yield "all", each.waits
    if len(each.by_priority) > 1:
        for number, waits in each.by_priority.items():
            yield f"priority {name_of(number)}", waits
    for tenant, waits in each.by_tenant.items():
        yield f"tenant {tenant}", waits


def _tables(found: Sequence[Figures], setup: Setup, rates: Mapping[str, Rates]) -> None:
    from oq.cli.tables import cell, console, facts, table

    about = facts()
    for name, what in _servers(setup):
        about.add_row(clean(name), cell(what))
    for model, rate in rates.items():
        about.add_row(clean(model), cell(_rate(rate)))
    whole = table(
        "policy", "swaps", "all done in", "tokens/s", "fairness", "passed over too long",
        "estimates right",
    )  # fmt: skip
    waits = table("policy", "waits of", "tasks", "p50", "p95", "p99", "longest")
    shares = table("policy", "server", "tasks", "of all", "prompt tokens", "generated tokens")
    for each in found:
        promised = "no promise" if each.passed_over is None else str(each.passed_over)
        whole.add_row(
            cell(each.policy), str(each.swaps), format_duration(each.makespan),
            f"{each.tokens_per_second:,.0f}", _share(each.fairness) or "-", promised,
            _right(each.estimates),
        )  # fmt: skip
        for whose, some in _waits(each):
            times = map(format_duration, (some.p50, some.p95, some.p99, some.worst))
            waits.add_row(cell(each.policy), cell(whose), str(some.tasks), *times)
        for name, done in each.by_server.items():
            shares.add_row(
                cell(each.policy), cell(name), f"{done.tasks:,}",
                f"{done.tasks / each.waits.tasks:.1%}", f"{done.prompt_tokens:,}",
                f"{done.generated_tokens:,}",
            )  # fmt: skip
    screen = console()
    several = len(setup.servers) > 1
    for shown in (about, whole, waits, *((shares,) if several else ())):
        screen.print(shown)
        screen.print()


def _right(found: Estimates | None) -> str:
    """How often the start of a task that waited was within the interval of 80 % that it was told,
    and how wide that was beside the wait: both of half of the tasks.
    """
    if found is None:
        return "-"
    starts = found.starts
    wide, waited = format_duration(starts.width), format_duration(starts.time)
    return f"{starts.within:.0%} ({wide} of {waited})"


def _servers(setup: Setup) -> Iterator[tuple[str, str]]:
    """A row for each server; one for all, if they are alike."""
    first = setup.servers[0]
    if all(replace(server, name=first.name) == first for server in setup.servers):
        yield "servers", f"{len(setup.servers)}; {_server(first)}"
        if first.limits:
            yield "limits", _limits(first)
        return
    for server in setup.servers:
        yield server.name, _server(server)
        if server.limits:
            yield f"{server.name}: limits", _limits(server)
        for model, rate in server.rates.items():
            yield f"{server.name}: {model}", _rate(rate, loads=server.models is not None)


def _server(server: Server) -> str:
    said = [f"slots for a model: {server.slots}", f"models in memory: {server.models}"]
    if server.models is None:
        said = [f"slots: {server.slots}", "all its models in memory"]
    if server.most is not None:
        said.append(f"tasks at once: {server.most}")
    if server.has is not None:
        said.append(f"has {', '.join(server.has)}")
    if server.tier:
        said.append(f"tier {server.tier}, after {format_duration(server.overflow_after)}")
    return "; ".join(said)


def _limits(server: Server) -> str:
    return ", ".join(f"{model}: {limit}" for model, limit in server.limits.items())


def _rate(rate: Rates, *, loads: bool = True) -> str:
    load = f", load {format_duration(rate.load)}" if loads else ""
    return f"{rate.prompt:,.0f} prompt tokens/s, {rate.generated:,.0f} generated tokens/s{load}"


def _share(fairness: float | None) -> str | None:
    return None if fairness is None else f"{fairness:.3f}"
