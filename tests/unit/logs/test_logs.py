"""The log: one line an event, in both forms, filtered by level, and never anybody's prompt."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from oq.logs import configured, lost_lines, reopen
from oq.logs.setup import _Forward
from oq.words.config import LoggingConfig
from oq.words.errors import InvalidConfig


def read(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_json_lines_have_time_level_event_and_fields(tmp_path: Path):
    path = tmp_path / "oq.log"
    with configured(LoggingConfig(format="json", file=str(path))):
        structlog.get_logger().info("task failed", task_id="abc", path=Path("/x"))
    (line,) = read(path)
    entry = json.loads(line)
    assert list(entry)[:3] == ["timestamp", "level", "event"]
    assert entry["timestamp"].endswith("Z")
    assert (entry["level"], entry["event"]) == ("info", "task failed")
    assert (entry["task_id"], entry["path"]) == ("abc", "/x")


def test_lines_below_the_level_are_not_written(tmp_path: Path):
    path = tmp_path / "oq.log"
    with configured(LoggingConfig(level="warning", format="json", file=str(path))):
        log = structlog.get_logger()
        log.debug("no")
        log.info("no")
        log.warning("yes")
        log.error("yes")
    assert [json.loads(line)["level"] for line in read(path)] == ["warning", "error"]


def test_the_file_is_appended_to(tmp_path: Path):
    path = tmp_path / "oq.log"
    for _ in range(2):
        with configured(LoggingConfig(file=str(path))):
            structlog.get_logger().info("started")
    assert len(read(path)) == 2


def test_console_lines_go_to_the_standard_error(capsys: pytest.CaptureFixture[str]):
    with configured(LoggingConfig()):
        structlog.get_logger().info("started", url="http://127.0.0.1:7125")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "started" in shown.err
    assert "url=http://127.0.0.1:7125" in shown.err
    assert shown.err.count("\n") == 1


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]):
    with configured(LoggingConfig()):
        structlog.get_logger().info("request", path="/\x1b[2J\nfake line")
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_show_no_local_variables(tmp_path: Path, form: str):
    path = tmp_path / "oq.log"

    def fail() -> None:
        prompt = "".join(["se", "cret"])
        raise ValueError(f"a prompt of {len(prompt)} characters")

    with configured(LoggingConfig(format=form, file=str(path))):
        try:
            fail()
        except ValueError:
            structlog.get_logger().exception("failed")
    text = path.read_text()
    assert "ValueError: a prompt of 6 characters" in text
    assert "secret" not in text
    if form == "json":
        (line,) = text.splitlines()
        assert "Traceback" in json.loads(line)["exception"]


def test_strings_that_are_not_unicode_do_not_break_a_line(tmp_path: Path):
    path = tmp_path / "oq.log"
    for form in ("json", "console"):
        with configured(LoggingConfig(format=form, file=str(path))):
            structlog.get_logger().info("odd", path="\udcff")
    assert len(read(path)) == 2


def test_warnings_of_libraries_become_lines(tmp_path: Path):
    path = tmp_path / "oq.log"
    library = logging.getLogger("some.package")
    with configured(LoggingConfig(format="json", file=str(path))):
        library.info("not this")
        library.warning("slow %s", "disk")
        try:
            Path("/nowhere/at all").read_text()
        except OSError:
            library.exception("broken")
    library.warning("after the block")
    warning, error = (json.loads(line) for line in read(path))
    assert (warning["level"], warning["event"]) == ("warning", "slow disk")
    assert warning["logger"] == "some.package"
    assert error["level"] == "error"
    assert "FileNotFoundError" in error["exception"]


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path):
    path = str(tmp_path / "missing" / "oq.log")
    wrong = pytest.raises(InvalidConfig, match=r"logging\.file: .*missing/oq\.log")
    with wrong, configured(LoggingConfig(file=path)):
        pass


# -- lines that cannot be written


@contextmanager
def standard_error(stream: io.TextIOBase | None) -> Iterator[None]:
    before, sys.stderr = sys.stderr, stream
    try:
        yield
    finally:
        sys.stderr = before


def on_a_full_disk() -> io.TextIOBase:
    return open("/dev/full", "w")


def closed() -> io.TextIOBase:
    with open(os.devnull, "w") as stream:
        return stream


def without_a_reader() -> io.TextIOBase:
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w")


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise RuntimeError("no such window")


@pytest.mark.parametrize("level", ["info", "error"])
@pytest.mark.parametrize("make", [on_a_full_disk, closed, without_a_reader, lambda: None, Broken])
def test_a_line_that_cannot_be_written_is_dropped_and_counted(make, level: str):
    stream, before = make(), lost_lines()
    with standard_error(stream), configured(LoggingConfig()):
        getattr(structlog.get_logger(), level)("lost")
        logging.getLogger("some.package").warning("lost too")
    assert lost_lines() == before + 2
    if stream is not None:
        stream.close()  # raises if anything is left in its buffers


def test_a_reader_that_does_not_read_holds_nothing_up():
    reading, writing = os.pipe()
    size, before = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ), lost_lines()
    with open(reading, "rb") as reader, open(writing, "w") as stream:
        with standard_error(stream), configured(LoggingConfig(format="json")):
            log = structlog.get_logger()
            for number in range(size // 1000 + 100):
                log.info("x" * 1000, number=number)
            assert lost_lines() >= before + 100
            assert len(reader.read1(size)) > 1000
            log.info("read again")
        lines = reader.read1(size).decode().splitlines()
    told = [json.loads(line) for line in lines if line]
    assert [line["event"] for line in told] == ["read again", "log lines were lost"]
    assert told[1]["lines"] == lost_lines() - before
    assert told[1]["reason"] == "nobody reads the log"


def test_a_torn_line_is_ended_and_the_loss_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, write = tmp_path / "oq.log", os.write
    space = 30

    def full(descriptor: int, data: bytes) -> int:
        nonlocal space
        if not space:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, data[:space])
        space -= written
        return written

    with configured(LoggingConfig(format="json", file=str(path))):
        log = structlog.get_logger()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            log.info("torn")
            log.info("lost")
        log.info("good")
        log.info("good as well")
    torn, good, told, more = read(path)
    assert len(torn) == 30
    assert json.loads(good)["event"] == "good"
    assert json.loads(told)["lines"] == 2
    assert json.loads(told)["reason"] == "No space left on device"
    assert json.loads(more)["event"] == "good as well"


def test_a_line_that_cannot_be_put_together_is_lost_alone(tmp_path: Path):
    class Odd:
        def __repr__(self) -> str:
            raise ValueError("no name")

    path, before = tmp_path / "oq.log", lost_lines()
    for form in ("console", "json"):
        with configured(LoggingConfig(format=form, file=str(path))):
            structlog.get_logger().info("odd", value=Odd())
            record = logging.LogRecord("some.package", logging.ERROR, "", 1, "%d", ("x",), None)
            _Forward().emit(record)
            structlog.get_logger().info("good")
    assert lost_lines() == before + 4
    assert [line for line in read(path) if "odd" in line] == []
    assert sum("log lines were lost" in line for line in read(path)) == 2


# -- the file


def test_it_is_opened_anew_under_its_name(tmp_path: Path):
    path, old = tmp_path / "oq.log", tmp_path / "oq.log.1"
    with configured(LoggingConfig(format="json", file=str(path))):
        log = structlog.get_logger()
        log.info("before")
        path.rename(old)
        log.info("still there")
        reopen()
        log.info("after")
        path.unlink()
        path.mkdir()
        reopen()
    assert [json.loads(line)["event"] for line in read(old)] == ["before", "still there"]


def test_it_goes_on_in_the_old_file_when_there_can_be_no_new_one(tmp_path: Path):
    path, old = tmp_path / "oq.log", tmp_path / "oq.log.1"
    with configured(LoggingConfig(format="json", file=str(path))):
        path.rename(old)
        path.mkdir()
        reopen()
    (line,) = read(old)
    assert "is a directory" in json.loads(line)["reason"]


def test_a_new_file_is_for_its_user_alone(tmp_path: Path):
    path, before = tmp_path / "oq.log", os.umask(0)
    try:
        with configured(LoggingConfig(file=str(path))):
            pass
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("link", "is a symbolic link"),
        ("dangling link", "is a symbolic link"),
        ("fifo", "is no regular file"),
        ("fifo that is read", "is no regular file"),
        ("directory", "is a directory"),
        ("device", "is no regular file"),
        ("another user's", "belongs to another user"),
        ("nul", "cannot be opened"),
    ],
)
def test_only_a_regular_file_of_ours_will_do(
    kind: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, other = tmp_path / "oq.log", tmp_path / "precious"
    reader = None
    match kind:
        case "link":
            other.write_text("precious\n")
            path.symlink_to(other)
        case "dangling link":
            path.symlink_to(other)
        case "fifo" | "fifo that is read":
            os.mkfifo(path)
            if "read" in kind:
                reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        case "directory":
            path.mkdir()
        case "device":
            path = Path(os.devnull)
        case "another user's":
            path.touch()
            owner = path.stat().st_uid
            monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        case "nul":
            path = Path(f"{path}\0")
    wrong = pytest.raises(InvalidConfig, match=rf"logging\.file: .*{reason}.*; name a regular file")
    with wrong, configured(LoggingConfig(file=str(path))):
        pass
    if reader is not None:
        os.close(reader)
    assert not other.exists() or other.read_text() == "precious\n"
