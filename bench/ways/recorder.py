"""Runs `oq` and notes which of its functions run.

    python recorder.py FOLDER serve --config ...

It does what it reads, line by line, from the pipe `ask` in the folder, and says in the pipe
`answer` that it has. After "begin" it notes, and after "end" the answer is, as JSON, the pairs of
modules: who calls, and who is called. An empty name stands for whatever is not oq. It imports
nothing but the oq that the Python path has first.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from types import FrameType

import oq

ROOT = str(Path(oq.__file__).parent) + os.sep
LEFT_OUT = ("logs", "backends/simulated", "cli", "actors/monitor")
"""Not on anybody's way: the log, what stands in for a server, the command that was started, and
looks that oq takes for itself."""


class Recorder:
    """Notes pairs of modules while it is `on`."""

    def __init__(self) -> None:
        self.on = False
        self.pairs: set[tuple[str, str]] = set()

    def note(self, frame: FrameType, event: str, _arg: object) -> None:
        """A profile function: see `sys.setprofile`."""
        if self.on and event == "call" and (called := _module(frame)):
            self.pairs.add((_caller(frame), called))

    def obey(self, folder: Path) -> None:
        """Begin and end when it is asked to."""
        with (folder / "ask").open() as asked, (folder / "answer").open("w") as answer:
            for line in asked:
                self.on = line == "begin\n"
                answer.write(json.dumps([] if self.on else sorted(self.pairs)) + "\n")
                answer.flush()
                self.pairs.clear()


def _module(frame: FrameType) -> str:
    """The module of oq that the frame's function stands in; nothing if it is none of those."""
    path = frame.f_code.co_filename
    if not path.startswith(ROOT):
        return ""
    name = path[len(ROOT) :].removesuffix(".py")
    return "" if name.startswith(LEFT_OUT) else name


def _caller(frame: FrameType) -> str:
    """The nearest module of oq that is waiting for this frame."""
    before = frame.f_back
    while before is not None:
        if name := _module(before):
            return name
        before = before.f_back
    return ""


def main() -> None:
    recorder, folder = Recorder(), Path(sys.argv.pop(1))
    threading.Thread(target=recorder.obey, args=(folder,), daemon=True).start()
    threading.setprofile(recorder.note)  # of threads that begin from here on
    sys.setprofile(recorder.note)
    from oq.cli import main as command

    command()


if __name__ == "__main__":
    main()
