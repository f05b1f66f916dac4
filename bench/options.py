"""The options of the experiments on traces, and of the programs that measure in rounds."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.wire import spoken

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
    parser = _parser(program, said, chart, slots)
    parser.add_argument("file", nargs="?", type=Path, help="a trace; see bench/traces.py")
    parser.add_argument("--seed", type=int, default=seed, help=f"of what is drawn [{seed}]")
    return parser


def two_traces_options(
    arguments: Sequence[str] | None, program: str, said: str | None, slots: int
) -> argparse.Namespace:
    """What was asked of this program, which has a trace for each of two models."""
    parser = _parser(program, said, "the waits", slots)
    parser.add_argument("files", nargs="*", type=Path, help="two traces; see bench/traces.py")
    parser.add_argument("--load", type=float, default=10.0, help="seconds to load a model [10]")
    return parser.parse_args(arguments)


def _parser(program: str, said: str | None, chart: str, slots: int) -> argparse.ArgumentParser:
    description = " ".join((said or "").partition("\n\n")[0].split())
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--slots", type=count, default=slots, help=f"calls at once [{slots}]")
    parser.add_argument("--prompt-rate", type=rate, default=5000.0, help="tokens/s [5000]")
    parser.add_argument("--rate", type=rate, default=50.0, help="tokens/s [50]")
    parser.add_argument("--chart", type=Path, metavar="FILE", help=f"write an SVG of {chart}")
    return parser


def round_options(
    program: str,
    said: str | None,
    choose: Callable[[Sequence[str], str | None], object],
    *,
    named: str,
    names: Iterable[str],
    rounds: int,
    only: str,
    server: str = "",
) -> argparse.Namespace:
    """What was asked of a program that measures in rounds; `said` is its docstring.

    `names` are what `--only` can name, and `named` what they are. `only` and `server` say what
    those options do; without `server` the program has neither that option nor `--scale`. `chosen`
    of the answer is what `choose` makes of the names and the server. Its ValueError is told.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=said,
        epilog=f"{named}: {', '.join(names)}. bench/README.md says more.",
    )
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds of each ({rounds})")
    parser.add_argument("--only", metavar="NAME,...", help=f"{only}; nothing is saved")
    parser.add_argument("--smoke", action="store_true", help="one tiny round; nothing is saved")
    numbers = "--rounds"
    parser.set_defaults(scale=1.0, server=None)
    if server:
        numbers = "--rounds and --scale"
        share = "share of the full size (1); below 1 nothing is saved"
        parser.add_argument("--scale", type=float, default=1.0, help=share)
        parser.add_argument("--server", metavar="URL", help=f"{server}; nothing is saved")
    options = parser.parse_args()
    if options.rounds < 1 or options.scale <= 0:
        parser.error(f"{numbers} must be more than 0")
    try:
        if options.server is not None:
            spoken(options.server)
        options.chosen = choose(options.only.split(",") if options.only else (), options.server)
    except ValueError as error:
        parser.error(str(error))
    return options
