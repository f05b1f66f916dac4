"""OUT.jsonl: the results, and all that a batch remembers of itself.

A line is there once, and whole. A run that was killed may leave a part of one at the end, which is
cut off; what it was the result of is asked for again, under the same key.
"""

from __future__ import annotations

import fcntl
import os
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Self

import click
import msgspec

from oq.cli.batch.lines import short
from oq.cli.terminal import json_line
from oq.words.from_json import NOT_READ

_NEW = ".rewritten"


class _Result(msgspec.Struct):
    """What is read back of a result: whose it is, and whether it is one that may be tried again."""

    custom_id: str
    error: Any = None
    asked: str | None = None


_RESULT = msgspec.json.Decoder(_Result)


def _read(line: bytes) -> _Result:
    """A line; an editor may have put the mark of UTF-8 before the first."""
    return _RESULT.decode(line.removeprefix(BOM_UTF8))


class Output:
    """The file that results are added to. Only one process at a time may have it open.

    Written by one run, from one thread. `failed` counts the errors that it held at the start.
    """

    def __init__(self, path: str, *, drop_failed: bool = False) -> None:
        _check_file(path)
        self._path = Path(path).resolve()
        self._open = ExitStack()
        self._ids: set[int] = set()
        self._asked: dict[int, int] = {}
        self.failed = 0
        try:
            self._file = self._locked("a+b")
            self._keep(drop_failed)
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._open.close()

    def __contains__(self, custom_id: str) -> bool:
        """Whether there was a result for this id when the file was opened."""
        return short(custom_id) in self._ids

    def count(self, ids: Collection[int]) -> int:
        """Of how many of these ids, shortened, that can be said."""
        return sum(each in self._ids for each in ids)

    def changed(self, asked: Mapping[int, int]) -> set[int]:
        """Those ids, shortened, whose results are of something else than what is asked now. Of a
        result that an earlier oq wrote that cannot be said.
        """
        return {one for one, now in asked.items() if self._asked.get(one, now) != now}

    def forget(self, ids: Collection[int]) -> None:
        """Leave out the results of these ids, shortened, in one step."""
        self._rewrite(lambda result: short(result.custom_id) not in ids)
        self._ids -= set(ids)

    def write(self, result: dict[str, Any]) -> None:
        """Add one line. It is the system's from then on, so that a kill does not take it back."""
        self._file.write(msgspec.json.encode(result) + b"\n")
        self._file.flush()

    def _locked(self, mode: str, suffix: str = "") -> BinaryIO:
        path = self._path.with_name(self._path.name + suffix)
        file: BinaryIO = self._open.enter_context(path.open(mode))  # type: ignore[assignment]
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise click.ClickException(f"{path} is being written by another oq batch") from None
        return file

    def _keep(self, drop_failed: bool) -> None:
        """Read what is there, and leave behind what must not stay."""
        end, failed = 0, False
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                self._cut(line, end)
                break
            result = self._result(number, line)
            end += len(line)
            if result.error is not None and drop_failed:
                failed = True
                continue
            self.failed += result.error is not None
            short_id = short(result.custom_id)
            self._ids.add(short_id)
            if result.asked is not None:
                self._asked[short_id] = short(result.asked)
        if failed:
            self._rewrite(lambda result: result.error is None)

    def _cut(self, torn: bytes, end: int) -> None:
        """Take a torn line away, if it can have been a result's: a wrong -o costs nobody a file."""
        if torn.strip(b"\0") and not torn.startswith(b'{"') and torn != b"{":
            raise self._foreign("its last line is not the beginning of a result")
        self._file.truncate(end)

    def _result(self, number: int, line: bytes) -> _Result:
        try:
            return _read(line)
        except NOT_READ:
            raise self._foreign(f"line {number} is not a result") from None

    def _foreign(self, why: str) -> click.ClickException:
        return click.ClickException(f"{self._path} is not a file of batch results: {why}")

    def _rewrite(self, keep: Callable[[_Result], bool]) -> None:
        """Put the file with the lines that are to be kept in its place, in one step."""
        self._file.seek(0)
        new = self._locked("wb", _NEW)
        self.failed = 0
        for line in self._file:
            result = _read(line)
            if keep(result):
                self.failed += result.error is not None
                new.write(line)
        new.flush()
        os.fsync(new.fileno())
        os.replace(self._path.with_name(self._path.name + _NEW), self._path)
        self._file = new  # the old one stays open, and so locked, for whoever opened it meanwhile


def _check_file(path: str) -> None:
    """UsageError for what cannot be read back, or has no end: a pipe, a device."""
    out = Path(path)
    if out.exists() and not out.is_file() and not out.is_dir() and path != os.devnull:
        raise click.UsageError(
            f"{path} is a pipe or a device, and results are read back from OUT: give a file, or -"
            " for the standard output"
        )


class Printed:
    """Results on the standard output, of which nothing is known the next time."""

    failed = 0

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def __contains__(self, custom_id: str) -> bool:
        return False

    def count(self, ids: Collection[int]) -> int:
        return 0

    def changed(self, asked: Mapping[int, int]) -> set[int]:
        """None."""
        return set()

    def forget(self, ids: Collection[int]) -> None:
        """There is nothing to leave out."""

    def write(self, result: dict[str, Any]) -> None:
        """Print one line."""
        self._file.write(json_line(result).encode() + b"\n")
        self._file.flush()
