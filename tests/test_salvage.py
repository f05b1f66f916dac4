"""What `oq salvage` makes of a damaged store: one that opens, with all that could be read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from oq.rules import keys
from oq.store import open_store
from oq.store.directory import DATABASE, MARK_FILE
from oq.store.logfile import BLOCK, HEADER, mend
from oq.store.salvage import salvage
from oq.words.clock import Clock
from oq.words.errors import StoreCorrupt, StoreError, StoreLocked
from oq.words.task import Status, TaskState

from .crash import integrity
from .crash.damage import (
    LIVES,
    TASKS,
    TASKS_IN_A_LIFE,
    cut,
    flip,
    largest_table,
    live,
    manifest,
    read_all,
    snapshot,
    the_log,
)

IN_LOG = TASKS_IN_A_LIFE
IN_TABLES = TASKS - IN_LOG


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return live(tmp_path_factory.mktemp("salvage"))


@pytest.fixture
def data(healthy, tmp_path):
    return shutil.copytree(healthy, tmp_path / "data")


def kept(report) -> int:
    return sum(report.kept.values())


def states(data) -> dict[str, TaskState]:
    store = open_store(str(data))
    try:
        return integrity.states_of(store._engine)
    finally:
        store.close()


def check(data) -> None:
    """It opens, and every index and count of it agrees with its tasks."""
    store = open_store(str(data))
    integrity.check(store)
    assert len(list(store.pending())) == store.count(Status.PENDING)
    store.close()


def test_of_a_healthy_store_everything_is_kept(data):
    before = read_all(data)
    report = salvage(str(data))
    assert (kept(report), report.dropped, report.found) == (TASKS, 0, report.acknowledged)
    assert read_all(data) == before
    check(data)
    store = open_store(str(data))
    assert store.commit > report.found
    first = next(iter(before.values()))
    assert store.claim(first.idempotency_key).task_id == first.id
    store.close()


@pytest.mark.parametrize("share", [0.001, 0.3, 0.7])
def test_one_flipped_bit_in_the_log_costs_one_record(data, share):
    flip(the_log(data), int(the_log(data).stat().st_size * share))
    with pytest.raises(StoreCorrupt):
        open_store(str(data))
    report = salvage(str(data))
    assert kept(report) >= TASKS - 1
    assert kept(report) + report.dropped <= TASKS
    check(data)


def test_a_lost_log_costs_what_was_in_it_and_that_is_said(data):
    the_log(data).unlink()
    report = salvage(str(data))
    assert (kept(report), report.dropped) == (IN_TABLES, 0)
    assert report.kept[Status.PENDING] + report.kept[Status.COMPLETED] == IN_TABLES
    assert report.acknowledged - report.found >= IN_LOG
    check(data)


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: (data / DATABASE / "CURRENT").unlink(),
        lambda data: (data / DATABASE / "CURRENT").write_bytes(b""),
        lambda data: manifest(data).unlink(),
        lambda data: flip(manifest(data), 300),
        lambda data: cut(manifest(data), 0.9),
    ],
    ids=["no CURRENT", "empty CURRENT", "no manifest", "flipped bit in the manifest", "cut off"],
)
def test_without_the_files_that_list_the_others_nothing_is_lost(data, harm):
    harm(data)
    with pytest.raises(StoreCorrupt):
        open_store(str(data))
    report = salvage(str(data))
    assert (kept(report), report.dropped) == (TASKS, 0)
    check(data)


def test_a_damaged_table_costs_the_block_that_is_damaged(data):
    flip(largest_table(data), 10)
    report = salvage(str(data))
    assert kept(report) + report.dropped == TASKS
    assert 0 < report.dropped < IN_TABLES
    check(data)


def test_a_record_type_on_which_rocksdb_loops_is_got_past(data):
    log = the_log(data)
    flip(log, HEADER + int.from_bytes(log.read_bytes()[4:6], "little") + 6, bit=2)
    assert kept(salvage(str(data))) >= TASKS - 1
    check(data)


def test_a_completed_task_whose_result_is_lost_has_failed(data):
    """Or its user would take the nothing that is left for what the model said."""
    completed = next(s for s in states(data).values() if s.status is Status.COMPLETED)
    store = open_store(str(data))
    for family in ("result", "body", "keys"):
        key = b"key 0" if family == "keys" else keys.pack(completed.id)
        store._engine.write([(family, key, None)])
    store.close()
    assert kept(salvage(str(data))) == TASKS
    after = states(data)[completed.id]
    assert (after.status, after.idempotency_key) == (Status.FAILED, None)
    assert "its result was lost" in after.error
    check(data)


def test_the_directory_as_it_was_is_kept_beside(data):
    flip(the_log(data), 1000)
    before = snapshot(data)
    clock = Clock(lambda: datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp())
    first, second = salvage(str(data), clock), salvage(str(data), clock)
    assert first.copy == f"{data}.before-salvage-20260131T120000Z"
    assert second.copy == f"{first.copy}-2"
    assert snapshot(data.with_name(data.name + ".before-salvage-20260131T120000Z")) == before


def test_a_second_time_changes_nothing(data):
    flip(the_log(data), 1000)
    first = salvage(str(data))
    once = states(data)
    second = salvage(str(data))
    assert (second.kept, second.dropped) == (first.kept, 0)
    assert states(data) == once
    assert sorted(file.name for file in data.iterdir()) == sorted([DATABASE, MARK_FILE])


def test_one_that_was_killed_at_the_last_moment_is_done_again(data):
    (data / DATABASE).rename(data / "damaged")
    assert kept(salvage(str(data))) == TASKS
    check(data)


def test_a_store_in_use_is_left_alone(data):
    store = open_store(str(data))
    with pytest.raises(StoreLocked, match="in use by process"):
        salvage(str(data))
    code = "import sys; from oq.store.salvage import salvage; salvage(sys.argv[1])"
    other = subprocess.run([sys.executable, "-c", code, data], capture_output=True, text=True)
    assert "StoreLocked" in other.stderr
    with pytest.raises(StoreLocked):  # our own lock has survived both
        open_store(str(data))
    store.close()
    assert [file.name for file in data.parent.iterdir()] == ["data"]


def test_where_no_store_is_nothing_is_made(tmp_path):
    with pytest.raises(StoreError, match="there is no store in"):
        salvage(str(tmp_path / "nowhere"))
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_a_copy_nothing_is_done(data, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = snapshot(data)
    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(StoreError, match=r"nothing was done: .*No space left"):
        salvage(str(data))
    assert snapshot(data) == before


def test_mending_a_good_log_changes_nothing(data):
    before = the_log(data).read_bytes()
    assert len(before) > BLOCK, "records that go on in the next block are part of this"
    assert mend(the_log(data)) == 0
    assert the_log(data).read_bytes() == before


def oq(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "oq.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command_says_what_came_of_it(data):
    the_log(data).unlink()
    done = oq("salvage", str(data))
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["kept"].startswith(f"{IN_TABLES} tasks (")
    assert lines["dropped"].startswith("0 tasks")
    assert "were acknowledged" in lines["lost"]
    assert lines["copy"].startswith(f"{data}.before-salvage-")
    document = json.loads(oq("salvage", str(data), "--output", "json").stdout)
    assert sum(document["kept"].values()) == IN_TABLES


def test_the_command_fails_in_one_line(tmp_path):
    failed = oq("salvage", str(tmp_path))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"oq: there is no store in '{tmp_path}'\n"


def test_the_tests_damage_a_store_that_has_everything(data):
    assert LIVES > 1
    tasks = read_all(data)
    assert {task.status for task in tasks.values()} == {Status.PENDING, Status.COMPLETED}
