"""The options of the experiments on one trace."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def trace_options(
    arguments: Sequence[str] | None, program: str, said: str | None, seed: int, chart: str
) -> argparse.Namespace:
    """What was asked of this program; see `trace_parser`."""
    return trace_parser(program, said, seed, chart).parse_args(arguments)


def trace_parser(
    program: str, said: str | None, seed: int, chart: str, slots: int = 8
) -> argparse.ArgumentParser:
    """The options of this program; `said` is its docstring. `chart` is what its SVG shows."""
    description = " ".join((said or "").partition("\n\n")[0].split())
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("file", nargs="?", type=Path, help="a trace; see bench/traces.py")
    parser.add_argument("--slots", type=int, default=slots, help=f"calls at once [{slots}]")
    parser.add_argument("--prompt-rate", type=float, default=5000.0, help="tokens/s [5000]")
    parser.add_argument("--rate", type=float, default=50.0, help="tokens/s [50]")
    parser.add_argument("--seed", type=int, default=seed, help=f"of what is drawn [{seed}]")
    parser.add_argument("--chart", type=Path, metavar="FILE", help=f"write an SVG of {chart}")
    return parser
