"""The command: look through FILE and OUT, then run what is left."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click
import trio

from oq.cli.batch import lines as batch_lines
from oq.cli.batch.lines import BadLine, Line, Survey, Terms
from oq.cli.batch.output import Output, Printed
from oq.cli.batch.progress import Bar, Lines
from oq.cli.batch.results import Result
from oq.cli.batch.runner import Bounds, Runner
from oq.cli.exits import Exit
from oq.cli.options import server_address
from oq.cli.terminal import complain
from oq.cli.terms import priority_value
from oq.cli.texts import NotUtf8
from oq.cli.waiting import why_nothing_starts
from oq.client.aio import AsyncClient
from oq.words.errors import OqError

_SHOWN = 20
"""Bad lines that are told one by one."""
_SOON = 2.0
"""Seconds after which somebody who looks on is told that the server is away."""
_STILL = 5.0
"""Seconds without a result after which the server is asked why."""
_SMALLEST, _LARGEST = 32, 500
"""Bounds of the window that is chosen by the server's workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line says; see `oq batch run --help`."""

    file: str
    out: str
    priority: str | None
    model: str | None
    window: int | None
    retry_failed: bool
    changed: str
    keep_going: bool
    name: str
    patience: float
    server: str | None
    config_path: str | None


def run_batch(wish: Wish) -> None:
    """Run it; the command ends with its exit code."""
    _check_paths(wish)
    with _opened(wish.file) as file:
        terms = _terms(wish)
        found = _survey(file, terms, wish.file)
        _tell(found, wish)
        file.seek(0)
        with _results(wish) as results:
            _heed_changes(found, results, wish)
            batch = _Batch(wish, found, results)
            try:
                trio.run(batch.run, _remaining(file, terms, found, results))
            finally:
                batch.sum_up()
    click.get_current_context().exit(Exit.FAILED if batch.failed else Exit.DONE)


class _Batch:
    def __init__(self, wish: Wish, found: Survey, results: Output | Printed) -> None:
        self._wish = wish
        self._results = results
        self._total = found.total
        self._done = results.count(found.ids)
        self._before = self._done
        self.failed = results.failed

    async def run(self, remaining: Iterator[Line | BadLine | None]) -> None:
        """Run the remaining lines, until they have ended or Ctrl-C, which is raised as such."""
        # As an exception it would come up in whichever task runs, and be told of as its failure.
        interrupted = False
        with trio.open_signal_receiver(signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:

                async def stop() -> None:
                    nonlocal interrupted
                    await anext(signals)
                    interrupted = True
                    nursery.cancel_scope.cancel()

                nursery.start_soon(stop)
                await self._run(remaining)
                nursery.cancel_scope.cancel()
        if interrupted:
            raise KeyboardInterrupt

    async def _run(self, remaining: Iterator[Line | BadLine | None]) -> None:
        wish = self._wish
        address = server_address(wish.server, wish.config_path)
        async with AsyncClient(address, patience=_SOON) as client:
            window = wish.window
            if window is None:  # asked also to find out at once if there is a server
                status = await client.status()
                workers = status.workers_active + status.workers_idle
                window = min(max(2 * workers, _SMALLEST), _LARGEST)
            log: Bar | Lines = (Bar if sys.stderr.isatty() else Lines)(self._total, self._done)
            with log:
                bounds = Bounds(window=window, patience=wish.patience)
                runner = Runner(client, self._write, log, bounds, retry_failed=wish.retry_failed)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._explain, client, log)
                    await runner.run(remaining)
                    nursery.cancel_scope.cancel()

    async def _explain(self, client: AsyncClient, log: Bar | Lines) -> None:
        """While nothing ends, say why no task is started, if that is so."""
        while True:
            done = self._done
            await trio.sleep(_STILL)
            with suppress(OqError):  # whoever submits or waits says so
                why = why_nothing_starts(await client.status()) if done == self._done else None
                if why is not None:
                    log.waiting(why)

    def _write(self, result: Result) -> None:
        self._results.write(result)
        self._done += 1
        self.failed += result["error"] is not None

    def sum_up(self) -> None:
        """What has come of it, also when it was interrupted."""
        left = self._total - self._done
        said = [f"{self._done - self.failed} of {self._total} completed"]
        if self.failed:
            said.append(f"{self.failed} failed")
        if left:
            said.append(f"{left} left: run it again in the same way to go on")
        if self._before:
            said.append(f"{self._before} were in {self._wish.out} before")
        complain(", ".join(said))


def _check_paths(wish: Wish) -> None:
    if wish.file == "-" or wish.out == "-":
        return
    if Path(wish.file).resolve() == Path(wish.out).resolve():
        raise click.UsageError("FILE and OUT are the same file; write the results to another one")


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """The file, which is read twice; what comes from the standard input is put into one first."""
    if path != "-":
        with open(path, "rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.seek(0)
        yield kept


def _terms(wish: Wish) -> Terms:
    """A run is of one file into another: the same lines elsewhere are meant to run again."""
    paths = [path if path == "-" else str(Path(path).resolve()) for path in (wish.file, wish.out)]
    priority = None if wish.priority is None else priority_value(wish.priority)
    return Terms("\n".join([*paths, wish.name]), wish.model, priority)


def _survey(file: BinaryIO, terms: Terms, name: str) -> Survey:
    try:
        return batch_lines.survey(file, terms)
    except NotUtf8 as error:
        raise click.UsageError(f"{name}: {error}") from None


def _tell(found: Survey, wish: Wish) -> None:
    """Say which lines are bad; unless the others are to run all the same, that is the end."""
    for bad in list(found.bad.values())[:_SHOWN]:
        complain(f"{wish.file}:{bad.number}: {bad.reason}")
    if len(found.bad) > _SHOWN:
        complain(f"and {len(found.bad) - _SHOWN} more")
    if found.bad and not wish.keep_going:
        raise click.UsageError(
            f"{len(found.bad)} of {found.total} lines are bad, so nothing was submitted;"
            " correct them, or run the others with --keep-going"
        )


def _heed_changes(found: Survey, results: Output | Printed, wish: Wish) -> None:
    """Lines that were edited since they were answered: nobody gets an old answer unawares, and
    nobody loses one by a wrong file name.
    """
    changed = results.changed(found.asked)
    if not changed or wish.changed == "keep":
        return
    if wish.changed == "refuse":
        first = min(found.ids[each] for each in changed)
        raise click.UsageError(
            f"{wish.file}:{first}: lines edited since {wish.out} answered them: {len(changed)},"
            " so nothing was submitted; --changed rerun replaces those answers, and --changed keep"
            " keeps them"
        )
    results.forget(changed)
    complain(f"lines edited since they were answered, and run again: {len(changed)}")


def _results(wish: Wish) -> Output | Printed:
    if wish.out == "-":
        return Printed(sys.stdout.buffer)
    return Output(wish.out, drop_failed=wish.retry_failed)


def _remaining(
    file: BinaryIO, terms: Terms, found: Survey, results: Output | Printed
) -> Iterator[Line | BadLine | None]:
    """The lines that have no result yet; None for each that has one."""
    for line in batch_lines.read(file, terms):
        line = found.bad.get(line.number, line)
        yield None if line.custom_id in results else line
