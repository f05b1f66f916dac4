"""The `oq` command.

app       the commands, loaded when they are called     exits     errors as a line and a code
options   what several commands share                   terminal  words on the way out
lifeline  children that do not outlive it               streams   output that may be closed or full
signals   from the first moment on                      tables    on a terminal

One module a group of commands; what it prints is beside it in show_*:
serve     the server                                    simulate  a model server without a model;
                                                                  listening: where it cannot listen
submit    new tasks: terms, what is said of them; texts, where their texts come from
stream    what a task says                              waiting   until it has ended
tasks     lists of tasks, and single ones: which, what lists them; show_task; expected: times
verbs     what changes tasks and the queue              watch     events: show_event
figures   status, stats, backends: show_queue           models    each model
batch     many tasks out of a file                      top       a live view
plan      what a trace would have cost: per_server, what is said of servers; show_plan
trace     the trace of what ran                         demo      a demonstration with a real model
config    settings, checked and shown                   salvage   what is left of damaged data
version   of oq                                         completion  of the shell
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from oq.cli.signals import interrupted, leave, take_signals

VERSION = "0.1.0"


def main() -> None:
    """Run the command in `sys.argv` and exit."""
    try:
        take_signals()
        code = _run()
    except KeyboardInterrupt:  # while it was being loaded
        code = interrupted()
    leave(code)


def _run() -> int:
    from oq.cli.streams import secure_streams

    secure_streams()
    # Scripts ask for the version often, and need nothing else for it to be imported.
    if sys.argv[1:] in (["--version"], ["version"]):
        with suppress(OSError):  # it is told below, as any other command's
            print(f"oq {VERSION}", flush=True)
            return 0
    if instruction := os.environ.get("_OQ_COMPLETE"):  # a shell asks what may come next
        from oq.cli.completion import complete

        return complete(instruction)
    from oq.cli.app import oq
    from oq.cli.exits import run

    return run(oq, sys.argv[1:])
