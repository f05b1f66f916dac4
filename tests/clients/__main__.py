"""Clients that people use, unmodified: directly and through oq, and what each gets is compared.

    make test-clients                        installs them first, into places of their own
    make test-clients ARGS="openai"          only some, by how the names of their programs begin

A simulated model server stands behind oq, once as a backend of kind ollama and once of kind openai.
Every program beside this is run against the server itself and through each oq; what it prints must
be the same. A case that differs is shown, and the exit code is 1. A client that cannot be installed
or started is named, and fails too. Open WebUI, which requires its packages in exact versions, has a
place of its own; it is a server, and is started for each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.example_servers import command

HERE = Path(__file__).parent
PYTHON, JS = HERE / "python", HERE / "js"
SECONDS = 600
"""The longest that one client may take for all its cases."""

PLACES = {"open_webui_client": ".venv-webui"}
"""Where clients are installed that cannot be with the others."""

Outcomes = dict[str, Any]


def programs(wanted: list[str]) -> list[tuple[str, list[str]]]:
    """The name and the command of each client."""
    found = [
        (one.stem, [_python(one.stem), str(one)]) for one in sorted(PYTHON.glob("*_client.py"))
    ]
    scripts = sorted(one for one in JS.glob("*.js") if one.name != "cases.js")
    found += [(f"{one.stem}.js", ["node", str(one)]) for one in scripts]
    return [each for each in found if not wanted or each[0].startswith(tuple(wanted))]


def _python(name: str) -> str:
    return str(Path(PLACES.get(name, ".venv-clients"), "bin/python").absolute())


def outcomes(client: list[str], url: str, model: str) -> Outcomes:
    """What each case of this client gives at the server with this url, and this model server."""
    env = os.environ | {"NO_PROXY": "*", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    try:
        done = subprocess.run(
            [*client, url, model], capture_output=True, text=True, timeout=SECONDS, env=env
        )
    except FileNotFoundError:
        return {"(the program)": f"{client[0]} is not there"}
    except subprocess.TimeoutExpired:
        return {"(all)": f"did not end within {SECONDS} s"}
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith('{"'):
            said = json.loads(line)
            found[said.pop("case")] = said
    if done.returncode or not found:
        found["(the program)"] = f"exit code {done.returncode}: {done.stderr[-600:]}"
    return found


@contextmanager
def servers() -> Iterator[tuple[str, dict[str, str]]]:
    """The address of the model server, and that of an oq for each kind of backend."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oq-clients-")))
        words = ["simulate", "--port", "0", "--tokens-per-second", "0"]
        model = stack.enter_context(command(*words, cwd=folder))
        ways = {}
        for kind in ("ollama", "openai"):
            settings = folder / f"{kind}.yaml"
            settings.write_text(
                json.dumps(
                    {
                        "backends": [{"name": "box", "kind": kind, "url": model}],
                        "queue": {"storage_path": str(folder / kind)},
                    }
                )
            )
            words = ["serve", "--config", str(settings), "--port", "0"]
            ways[f"oq, {kind}"] = stack.enter_context(command(*words, cwd=folder))
        yield model, ways


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.clients",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("clients", nargs="*", help="only these, by how their names begin")
    wanted = parser.parse_args().clients
    differ = 0
    with servers() as (model, ways):
        for name, client in programs(wanted):
            direct = outcomes(client, model, model)
            problem = direct.get("(the program)")
            if problem:
                differ += 1
                print(f"{name}: cannot be run: {problem}", flush=True)
                continue
            for way, url in ways.items():
                through = outcomes(client, url, model)
                wrong = {
                    case
                    for case in direct.keys() | through.keys()
                    if direct.get(case) != through.get(case)
                }
                differ += len(wrong)
                same = len(direct) - len(wrong & direct.keys())
                raised = sum("raised" in outcome for outcome in direct.values())
                print(
                    f"{name:24} {way:12} {same} of {len(direct)} the same ({raised} are errors)",
                    flush=True,
                )
                for case in sorted(wrong):
                    print(f"  {case}\n    direct:  {_short(direct.get(case))}")
                    print(f"    through: {_short(through.get(case))}", flush=True)
    return 1 if differ else 0


def _short(outcome: object) -> str:
    return json.dumps(outcome, sort_keys=True)[:700]


if __name__ == "__main__":
    sys.exit(main())
