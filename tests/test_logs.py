"""The log: one line an event, in both forms, filtered by level, and never anybody's prompt."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import structlog

from oq.logs import configured
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
