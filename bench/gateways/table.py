"""The comparison as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.gateways.compare import CONNECTIONS, STREAMS, TRIED, Comparison, Row
from bench.gateways.peers.sides import versions
from bench.report import RESULTS, machine, shown

NOBODY = "direct"


def table(rows: Sequence[Row]) -> str:
    """A row a side: medians of its rounds, as Markdown."""
    lines = [
        "| | req/s at 1 / 16 / 64 connections | CPU ms a call, at 16"
        " | streams x 50 chunks/s: CPU us a chunk at 64 / 256 | in time at 256 | p99 ms at 256"
        " | memory MB at 256 | durable |",
        "|-" * 8 + "|",
    ]
    return "\n".join([*lines, *(_line(row) for row in rows if row.rounds)])


def _line(row: Row) -> str:
    def median(name: str) -> float:
        return statistics.median(each[name] for each in row.rounds)

    rates = " / ".join(f"{median(f'call_{each}'):,.0f}" for each in CONNECTIONS)
    chunks = " / ".join(f"{median(f'chunk_{each}'):.0f}" for each in STREAMS)
    call, memory = shown(median("cpu_16")), f"{median('memory_256'):,.0f}"
    if row.side.name == NOBODY:
        call = chunks = memory = "–"
    return (
        f"| {row.side.title} | {rates} | {call} | {chunks} | {median('kept_256'):.1%}"
        f" | {median('p99_256'):,.1f} | {memory} | {_durable(row)} |"
    )


def _durable(row: Row) -> str:
    """Only of oq it was looked at; the others do not claim it."""
    if row.side.name == NOBODY:
        return "–"
    if not row.side.ours:
        return "no"
    return f"{'yes' if row.after_sync == TRIED else '**no**'}: {row.after_sync} of {TRIED}"


def text(found: Comparison, rounds: int) -> str:
    """The table, and what is to be known about it."""
    parts = [table(found.rows)]
    syncs = ", ".join(f"{each:.2f}" for each in found.syncs)
    if found.left_out:
        parts.append("\n".join(f"left out: {who}: {why}" for who, why in found.left_out.items()))
    parts.append(
        f"Medians of {rounds} rounds in turns; callers, gateway and backend share the machine. In\n"
        "time is what is read within 100 ms after it was sent, of all that was due.\n"
        f"Durable: of {TRIED} answers, so many came after a sync that oq's store noted. It keeps\n"
        "each call on the disk as a task, with its answer. The others keep nothing of a call, and\n"
        "do not say that they do. The last row is callers and backend without anybody in between.\n"
        f"A write of 500 bytes and its fdatasync took {syncs} ms before each round: oq waits for\n"
        "that at each commit."
    )
    return "\n\n".join(parts) + "\n"


def save(found: Comparison, rounds: int) -> None:
    """Write `gateways.md`."""
    facts = ", ".join(f"{name} {value}" for name, value in machine().items())
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gateways.md").write_text(
        f"# oq beside other gateways\n\n{facts}; {versions()}.\n\n{text(found, rounds)}"
    )
