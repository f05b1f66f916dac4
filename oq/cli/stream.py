"""`oq stream`, and `--stream` of `oq submit`: an answer as it is generated."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from oq.cli.exits import Exit
from oq.cli.options import Output, connect, output_option, server_options
from oq.cli.show_task import print_outcome
from oq.cli.terminal import clean_text, complain, has_colours, is_terminal, json_line
from oq.cli.terms import thinking_option
from oq.cli.waiting import explained, goes_on
from oq.words.stream import Chunk
from oq.words.task import Status

if TYPE_CHECKING:
    from oq.client import Client

_FAINT, _NORMAL = "\x1b[2m", "\x1b[22m"  # ECMA-48, SGR


@click.command("stream")
@click.argument("task_id", metavar="ID")
@thinking_option
@output_option
@server_options
def stream_(
    task_id: str,
    thinking: bool | None,
    output: Output,
    server: str | None,
    config_path: str | None,
) -> None:
    """Print the answer of the task ID as it is generated.

    The task may be pending or running, or it may have ended. With --output json each chunk is a
    line of JSON.
    """
    with connect(server, config_path) as client:
        follow(client, task_id, output, thinking=thinking)


def follow(client: Client, task_id: str, output: Output, *, thinking: bool | None) -> None:
    """Print the task's answer as it comes; the exit code is by how it ends."""
    printer = _Printer(output, is_terminal() if thinking is None else thinking)
    with goes_on(task_id):
        with client.stream(task_id) as chunks:
            with explained(client, task_id):
                first = next(chunks, None)
            if first is not None:
                printer.print(first)
            for chunk in chunks:
                printer.print(chunk)
        last = printer.finish()
        if last.status is Status.COMPLETED and not printer.said and output is not Output.JSON:
            print_outcome(client.get(task_id), output)  # vectors and tool calls are no text
    _exit(task_id, last)


def _exit(task_id: str, last: Chunk) -> None:
    match last.status:
        case Status.COMPLETED:
            return
        case Status.CANCELLED:
            complain(f"task {task_id} was cancelled")
        case _:
            complain(f"task {task_id} failed: {last.error}")
    click.get_current_context().exit(Exit.FAILED)


class _Printer:
    """Chunks on their way to whoever reads."""

    def __init__(self, output: Output, thinking: bool) -> None:
        self._json = output is Output.JSON
        self._thinking = thinking
        self._terminal = is_terminal()
        self._colours = has_colours()
        self._faint = False
        self._held = ""
        self._line_open = False
        self._last = Chunk(data="", offset=0, done=False)
        self.said = False
        """Whether there was any text in the attempt that is under way."""

    def print(self, chunk: Chunk) -> None:
        """Print one piece, at once."""
        self._last = chunk
        if self._json:
            print(json_line(chunk))
        else:
            if chunk.restart:
                self._restart()
            if chunk.thinking and self._thinking:
                self._write(chunk.thinking, faint=True)
            if chunk.data:
                self.said = True
                self._write(chunk.data, faint=False)
        sys.stdout.flush()

    def finish(self) -> Chunk:
        """End the line that is open; the last chunk."""
        self._shade(faint=False)
        self._break()
        sys.stdout.flush()
        return self._last

    def _restart(self) -> None:
        """What was printed is void. It cannot be taken back, so it is said."""
        self._shade(faint=False)
        self._break()
        sys.stdout.flush()
        if self.said:
            complain("the attempt failed; the answer of a new attempt follows and replaces this")
        self.said = False

    def _write(self, text: str, *, faint: bool) -> None:
        if faint is not self._faint:  # thoughts and answers each begin on a line of their own
            self._break()
            self._shade(faint=faint)
        if self._terminal:
            # A line break may come in two pieces, of which the first alone would be shown as \r.
            text = self._held + text
            self._held = "\r" if text.endswith("\r") else ""
            text = clean_text(text.removesuffix("\r"))
        if text:
            sys.stdout.write(text)
            self._line_open = not text.endswith("\n")

    def _break(self) -> None:
        if self._line_open:
            sys.stdout.write("\n")
        self._line_open = False

    def _shade(self, *, faint: bool) -> None:
        if faint is not self._faint and self._colours:
            sys.stdout.write(_FAINT if faint else _NORMAL)
        self._faint = faint
