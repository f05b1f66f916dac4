"""The scenarios of whichever oq and benchmark this Python finds, measured a round when asked.

`python bench/turn.py SCALE OQ` answers each line, which is a scenario's name, with a line of JSON:
the figures of one round, or why there are none. `bench.against` runs some of them. It is a file of
its own, and not a module, so that the benchmark of another commit is imported by it. OQ is the
checkout whose `oq serve` is measured by what looks at it from outside; older benchmarks have no
such scenarios, and no such setting.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import trio


def measured(name: str, scale: float, oq: Path) -> dict[str, object]:
    """One round of the scenario; ``{"missing": reason}`` if it cannot be measured."""
    from bench.__main__ import SCENARIOS
    from bench.scenario import Setting

    setting = Setting(rounds=1, scale=scale)
    if hasattr(setting, "oq"):
        setting = replace(setting, oq=oq)

    async def once() -> dict[str, float]:
        figures: dict[str, float] = {}
        async with SCENARIOS[name](setting) as sides:
            for side in sides:
                figures |= await side()
        return figures

    try:
        return dict(trio.run(once))
    except Exception as error:
        return {"missing": f"{type(error).__name__}: {error}"}


def main() -> None:
    scale, oq = float(sys.argv[1]), Path(sys.argv[2])
    # Python looks first through the directory of this file, which is the wrong benchmark's.
    sys.path.pop(0)
    sys.path.insert(0, os.getcwd())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed on the way is no answer
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            found = measured(line.strip(), scale, oq)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
