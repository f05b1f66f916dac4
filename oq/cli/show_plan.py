"""What `oq plan` found, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from oq.cli.options import Output
from oq.cli.show_queue import name_of
from oq.cli.terminal import clean, print_json, print_rows
from oq.plan.figures import Figures, Waits
from oq.plan.rates import Rates
from oq.plan.replay import Box
from oq.plan.told import Estimates
from oq.words.durations import format_duration


def print_plan(
    found: Sequence[Figures], box: Box, rates: Mapping[str, Rates], output: Output
) -> None:
    """A table for each question; in a pipe one row for each answer."""
    match output:
        case Output.JSON:
            print_json({"box": box, "rates": rates, "policies": found})
        case Output.PLAIN:
            print_rows(list(_rows(found)))
        case Output.TABLE:
            _tables(found, box, rates)


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


def _tables(found: Sequence[Figures], box: Box, rates: Mapping[str, Rates]) -> None:
    from oq.cli.tables import cell, console, facts, table

    about = facts()
    about.add_row("servers", cell(_box(box)))
    for model, rate in rates.items():
        about.add_row(clean(model), cell(_rate(rate)))
    whole = table(
        "policy", "swaps", "all done in", "tokens/s", "fairness", "passed over too long",
        "estimates right",
    )  # fmt: skip
    waits = table("policy", "waits of", "tasks", "p50", "p95", "p99", "longest")
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
    screen = console()
    for shown in (about, whole, waits):
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


def _box(box: Box) -> str:
    return f"{box.backends}; slots for a model: {box.slots}; models in memory: {box.models}"


def _rate(rate: Rates) -> str:
    return (
        f"{rate.prompt:,.0f} prompt tokens/s, {rate.generated:,.0f} generated tokens/s,"
        f" load {format_duration(rate.load)}"
    )


def _share(fairness: float | None) -> str | None:
    return None if fairness is None else f"{fairness:.3f}"
