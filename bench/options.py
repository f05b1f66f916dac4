"""The options of the experiments on one trace."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

MOST = 1_000_000
"""Slots, and tokens a second."""


def count(text: str) -> int:
    """How many of something."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST:,}")
    return int(text)


def rate(text: str) -> float:
    """Tokens a second."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1.0 <= number <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST:,}")
    return number


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
    parser.add_argument("--slots", type=count, default=slots, help=f"calls at once [{slots}]")
    parser.add_argument("--prompt-rate", type=rate, default=5000.0, help="tokens/s [5000]")
    parser.add_argument("--rate", type=rate, default=50.0, help="tokens/s [50]")
    parser.add_argument("--seed", type=int, default=seed, help=f"of what is drawn [{seed}]")
    parser.add_argument("--chart", type=Path, metavar="FILE", help=f"write an SVG of {chart}")
    return parser
