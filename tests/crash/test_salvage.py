"""What `oq salvage` makes of a damaged store: one that opens, with all that could be read."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import pytest

from oq.rules import lifecycle
from oq.rules.outbox import Outbox
from oq.rules.slices import PART, OpenLog
from oq.rules.stream_log import PORTION
from oq.store import Store, keys, open_store
from oq.store.batches import commit_of
from oq.store.directory import DATABASE, MARK_FILE, SCRATCH
from oq.store.logfile import BLOCK, HEADER, entries, write
from oq.store.report import decode
from oq.store.rocks import RocksEngine
from oq.store.salvage import salvage
from oq.words.clock import Clock
from oq.words.errors import Removed, StoreCorrupt, StoreError, StoreLocked
from oq.words.steps import Ahead, Change, InParts, Kept, Learnt, Removal, RowsSettled, Step
from oq.words.task import Status, TaskState
from tests.crash import integrity
from tests.crash.damage import (
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
from tests.support.builders import DONE, NOW, finish, new, start

LONG_RESULT = [b'{"response":"', b"x" * PORTION, b'"}']
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
    assert len(list(store.pending())) == store.facts.counts[Status.PENDING]
    store.close()


def test_of_a_healthy_store_everything_is_kept(data):
    before = read_all(data)
    report = salvage(str(data))
    assert (kept(report), report.dropped, report.found) == (TASKS, 0, report.acknowledged)
    assert read_all(data) == before
    check(data)
    store = open_store(str(data))
    assert store.facts.commit > report.found
    first = next(iter(before.values()))
    assert store.claim(first.terms.idempotency_key).task_id == first.id
    store.close()


def test_two_salvages_at_once_are_one_too_many(data):
    handle = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(StoreLocked, match="another salvage"):
        salvage(str(data))
    os.close(handle)
    assert kept(salvage(str(data))) == TASKS


def test_without_hard_links_the_files_are_copied(data, monkeypatch):
    def refuse(*paths):
        raise OSError(errno.EPERM, "this file system has no hard links")

    monkeypatch.setattr(os, "link", refuse)
    assert kept(salvage(str(data))) == TASKS
    check(data)


def test_more_than_fits_into_memory_is_written_in_parts(data, monkeypatch):
    monkeypatch.setattr("oq.store.salvage.BATCH_BYTES", 5000)
    before = read_all(data)
    assert kept(salvage(str(data))) == TASKS
    assert read_all(data) == before


def test_without_the_stores_own_record_nobody_says_how_many_tasks_are_missing(data):
    store = Store(RocksEngine(data))
    store._engine.write([("meta", keys.META_KEY, None)])
    store.close()
    report = salvage(str(data))
    assert (kept(report), report.untraced) == (TASKS, 0)
    check(data)


def test_batches_that_come_again_behind_the_last_are_told_and_not_read_twice(data):
    """As sectors of an older log can."""
    before = states(shutil.copytree(data, data.with_name("before")))
    first, second, *_ = entries(the_log(data))
    raw = the_log(data).read_bytes()
    with the_log(data).open("ab") as log:
        log.write(raw[first.start : second.start])
    report = salvage(str(data))
    assert kept(report) == TASKS
    assert states(data) == before


@pytest.mark.parametrize("harm", [lambda data: None, lambda data: manifest(data).unlink()])
def test_rows_of_an_outbox_are_kept_as_they_are_also_those_of_deleted_tasks(data, harm):
    ends = Outbox("ends", lambda step: [step.state.id.encode()] if is_end(step) else [])
    store = Store(RocksEngine(data), [ends])
    for number in range(5000, 5005):
        task = new(number)
        ended = lifecycle.cancelled(task.state, NOW)
        store.write([task, ended], 0)
        store.write([Removal(ended.state)], 0)
    settled, *rows = store.rows("ends", 0, 99)
    store.write([RowsSettled("ends", (settled.number,))], 0)
    store.close()
    harm(data)
    salvage(str(data))
    check(data)
    store = Store(RocksEngine(data), [ends])
    assert len(rows) == 4
    assert list(store.rows("ends", 0, 99)) == rows
    store.write([new(6000), lifecycle.cancelled(new(6000).state, NOW)], 0)
    assert list(store.rows("ends", 0, 99))[:-1] == rows, "a new row comes last"
    store.close()


@pytest.mark.parametrize("harm", [lambda data: None, lambda data: manifest(data).unlink()])
def test_what_stands_beside_the_tasks_is_kept(data, harm):
    store = open_store(str(data))
    store.write([Learnt("box", b"rates"), Learnt("gone", b"x"), Kept("ran", b"counts")], 0)
    store.write([Learnt("gone", None)], 0)
    store.close()
    harm(data)
    salvage(str(data))
    check(data)
    store = open_store(str(data))
    assert store.learnt() == {"box": b"rates"}
    assert store.kept() == {"ran": b"counts"}
    store.close()


def is_end(step: Step) -> bool:
    return isinstance(step, Change) and step.state.status.ended


@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.999])
def test_one_flipped_bit_in_the_log_is_flipped_back(data, share):
    before = states(shutil.copytree(data, data.with_name("before")))
    flip(the_log(data), int(the_log(data).stat().st_size * share))
    with pytest.raises(StoreCorrupt):
        open_store(str(data))
    report = salvage(str(data))
    assert (report.whole, len(report.repaired)) == (True, 1)
    assert states(data) == before
    check(data)


def test_a_lost_log_costs_what_was_in_it_and_that_is_said(data):
    the_log(data).unlink()
    report = salvage(str(data))
    assert (kept(report), report.dropped) == (IN_TABLES, 0)
    assert report.kept[Status.PENDING] + report.kept[Status.COMPLETED] == IN_TABLES
    assert report.acknowledged - report.found >= IN_LOG
    assert report.missing_commits == [(report.found + 1, report.acknowledged)]
    assert report.may_run_again == report.kept[Status.PENDING]
    assert not report.whole
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
    spoil(largest_table(data), 10, 2)
    report = salvage(str(data))
    assert kept(report) + report.dropped == TASKS
    assert 0 < report.dropped < IN_TABLES
    check(data)


def test_a_record_type_on_which_rocksdb_loops_is_got_past(data):
    log = the_log(data)
    flip(log, HEADER + int.from_bytes(log.read_bytes()[4:6], "little") + 6, bit=2)
    assert kept(salvage(str(data))) == TASKS
    check(data)


def remove(data, *rows: tuple[str, bytes]) -> None:
    store = open_store(str(data))
    for family, key in rows:
        store._engine.write([(family, key, None)])
    store.close()


def first_of(data, status: Status) -> TaskState:
    return next(s for s in states(data).values() if s.status is status)


def first_of_store(store: Store, status: Status) -> TaskState:
    found = integrity.states_of(store._engine).values()
    return next(state for state in found if state.status is status)


def test_a_completed_task_whose_result_is_lost_has_failed(data):
    """Or its user would take the nothing that is left for what the model said."""
    completed = first_of(data, Status.COMPLETED)
    key = completed.terms.idempotency_key.encode()
    remove(data, ("result", keys.pack(completed.id)), ("keys", key))
    report = salvage(str(data))
    assert kept(report) == TASKS
    assert {found.task_id for found in report.changed} == {completed.id}
    after = states(data)[completed.id]
    assert (after.status, after.terms.idempotency_key) == (Status.FAILED, None)
    assert "its result was lost" in after.error
    check(data)


def long_answer(data: Path) -> TaskState:
    """Add a task whose stream and result were written ahead of its end."""
    store = open_store(str(data))
    state = new(10_000).state
    store.write([new(10_000), start(state)], 0)
    log = OpenLog(7, call=None)
    for _ in range(8):
        log.add(b'{"response": "%b"}' % (b"x" * PORTION))
    first = log.ahead(3 * PORTION)
    store.write([Ahead(state.id, first)], 0)
    log.note_kept(first)
    for part in LONG_RESULT:
        store.write([Ahead(state.id, log.part(part))], 0)
    end = finish(start(state).state, DONE)
    store.write([msgspec.structs.replace(end, stream=log.records(), result=InParts())], 0)
    store.sync()
    store.close()
    return end.state


def test_a_long_answer_is_kept_whole(data):
    state = long_answer(data)
    report = salvage(str(data))
    assert (kept(report), report.dropped, report.changed) == (TASKS + 1, 0, [])
    store = open_store(str(data))
    assert store.result(state.id) == b"".join(LONG_RESULT)
    assert [store.stream(state.id, n).pieces[0].text for n in range(8)] == ["x" * PORTION] * 8
    store.write([Removal(store.state(state.id))], 0)
    key = keys.pack(state.id)
    assert list(store._engine.scan("stream", key, key + b"\xff" * 5)) == []
    store.close()


def test_of_a_long_result_each_part_is_needed(data):
    state = long_answer(data)
    remove(data, ("stream", keys.slice_key(keys.pack(state.id), PART)))
    report = salvage(str(data))
    assert {found.task_id for found in report.changed} == {state.id}
    after = states(data)[state.id]
    assert (after.status, "its result was lost" in after.error) == (Status.FAILED, True)
    check(data)


@pytest.mark.parametrize("status", [Status.PENDING, Status.COMPLETED])
def test_a_task_never_runs_with_an_empty_payload(data, status):
    """Also not when its user retries it."""
    task = first_of(data, status)
    remove(data, ("body", keys.pack(task.id)), ("result", keys.pack(task.id)))
    report = salvage(str(data))
    assert (kept(report), report.untraced) == (TASKS - 1, 0)
    assert [(found.task_id, found.status) for found in report.lost] == [(task.id, status)]
    assert task.id not in states(data)


@pytest.mark.parametrize("family", ["result", "no result"])
def test_what_says_that_a_task_has_ended_holds(data, family):
    """The index says that it was completed; its own record is an older one and says pending."""
    store = open_store(str(data))
    pending = store.state(next(store.pending()).task_id)
    key = keys.pack(pending.id)
    done = finish(start(pending).state).state
    rows = [("status", keys.status_key(Status.COMPLETED, key), b"")]
    if family == "result":
        rows += [("ended", keys.ended_key(done, key), b""), ("result", key, b"{}")]
    store._engine.write(rows)
    store.close()
    report = salvage(str(data))
    after = states(data)[pending.id]
    assert after.status is (Status.COMPLETED if family == "result" else Status.FAILED)
    assert pending.id in {found.task_id for found in report.changed}
    check(data)


def test_that_retention_removed_a_task_is_still_known(data):
    store = open_store(str(data))
    done = first_of_store(store, Status.COMPLETED)
    store.write([Removal(done, NOW)], 0)
    store.close()
    assert salvage(str(data)).whole
    store = open_store(str(data))
    assert isinstance(store.missing(done.id), Removed)
    assert store.facts.gone == 1
    store.close()


def wipe(file: Path, start: int, length: int) -> None:
    with file.open("r+b") as content:
        content.seek(start)
        content.write(bytes(length))


def spoil(file: Path, start: int, length: int) -> None:
    """More than one bit of each byte, so that nothing can be repaired."""
    with file.open("r+b") as content:
        content.seek(start)
        found = content.read(length)
        content.seek(start)
        content.write(bytes(byte ^ 0b101 for byte in found))


def committed(log: Path) -> list[tuple[int, int]]:
    """Where each commit begins in the log, and its number."""
    return [(entry.start, commit_of(entry.content)) for entry in entries(log)]


def test_what_stood_in_damage_is_counted_by_commit_and_named(data):
    """Two batches that cannot be read any more: a submission, and the end of a task that ran."""
    log = the_log(data)
    before = states(shutil.copytree(data, data.with_name("before")))
    places = committed(log)
    submitted = next(at for at, entry in enumerate(entries(log)) if b"key 88" in entry.content)
    ended = next(at for at, entry in enumerate(entries(log)) if b'"done"' in entry.content)
    for at in (submitted, ended):
        spoil(log, places[at][0] + HEADER + 2, 2)  # so in the sequence number, which names nobody
    report = salvage(str(data))
    commits = sorted(places[at][1] for at in (submitted, ended))
    assert report.missing_commits == [(commit, commit) for commit in commits]
    after = states(data)
    (lost,) = report.lost
    assert before[lost.task_id].terms.idempotency_key == "key 88"
    (changed,) = report.changed
    assert before[changed.task_id].status is Status.COMPLETED
    assert after[changed.task_id].status is Status.FAILED
    assert "held back" in after[changed.task_id].error
    assert not report.whole
    assert kept(report) == TASKS - 1
    check(data)


def test_what_was_wiped_out_is_counted(data):
    """Nothing says which tasks these were; how many is known all the same."""
    log = the_log(data)
    places = committed(log)
    (first, one), (last, two) = places[10], places[20]
    wipe(log, first, last - first)
    report = salvage(str(data))
    assert report.missing_commits == [(one, two - 1)]
    lost = TASKS - kept(report)
    assert report.dropped == lost > 0
    states_after = Counter(state.status for state in states(data).values())
    assert states_after[Status.RUNNING] == 0, "those whose end was wiped out are held back"
    assert not report.whole
    check(data)


def test_the_data_as_it_was_is_kept_beside(data):
    flip(the_log(data), 1000)
    before = snapshot(data)
    del before["holder"]  # who had it open
    clock = Clock(lambda: datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp())
    first, second = salvage(str(data), clock), salvage(str(data), clock)
    assert first.copy == str(data / "before-salvage-20260131T120000Z")
    assert second.copy == f"{first.copy}-2"
    assert snapshot(Path(first.copy)) == before
    assert first.file == str(data / "salvage-20260131T120000Z.json")
    assert decode(Path(first.file).read_bytes()) == first


def test_a_second_time_changes_nothing(data):
    flip(the_log(data), 1000)
    first = salvage(str(data))
    once = states(data)
    second = salvage(str(data))
    assert (second.kept, second.whole) == (first.kept, True)
    assert states(data) == once
    made = [Path(path) for report in (first, second) for path in (report.copy, report.file)]
    assert sorted(data.iterdir()) == sorted([data / DATABASE, data / MARK_FILE, *made])


class Killed(BaseException):
    """The process ends here."""


def killed_at(step: int, monkeypatch) -> None:
    """End the process at its step-th change of names; nothing is tidied up then."""
    done = count(1)

    def die_or(call):
        def do(*args, **kwargs):
            if next(done) >= step:
                raise Killed
            return call(*args, **kwargs)

        return do

    monkeypatch.setattr(Path, "rename", die_or(Path.rename))
    monkeypatch.setattr(shutil, "rmtree", die_or(shutil.rmtree))


def test_one_that_was_killed_at_any_moment_can_be_run_again(healthy, tmp_path, monkeypatch):
    """And until then the store is there whole, or refused: it is never an empty one."""
    healthy = shutil.copytree(healthy, tmp_path / "damaged")
    before = states(shutil.copytree(healthy, tmp_path / "before"))
    flip(the_log(healthy), 1000)
    for step in count(1):
        data = shutil.copytree(healthy, tmp_path / str(step))
        with monkeypatch.context() as patch:
            killed_at(step, patch)
            try:
                salvage(str(data))
            except Killed:
                ended = False
            else:
                ended = True
        try:
            open_store(str(data)).close()
        except StoreCorrupt:
            assert not ended
            assert salvage(str(data)).whole
        assert states(data) == before, f"killed at step {step}"
        shutil.rmtree(data)
        if ended:
            break
    assert step > 6


def test_a_store_that_was_used_after_a_salvage_was_killed_is_salvaged_anew(data, monkeypatch):
    """A salvage that is ready, but has exchanged nothing, knows nothing of what came later."""

    def killed(directory: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("oq.store.salvage._exchange", killed)
        with pytest.raises(Killed):
            salvage(str(data))
    store = open_store(str(data))
    later = new(TASKS + 1)
    store.write([later], 0)
    store.close()
    assert kept(salvage(str(data))) == TASKS + 1
    assert later.state.id in states(data)


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
    assert not (data / SCRATCH).exists()


def test_where_no_store_is_nothing_is_made(tmp_path):
    with pytest.raises(StoreError, match="there is no store in"):
        salvage(str(tmp_path / "nowhere"))
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_a_new_store_nothing_is_done(data, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = snapshot(data)
    monkeypatch.setattr("shutil.copy", full)
    with pytest.raises(StoreError, match=r"nothing was done: .*no space left"):
        salvage(str(data))
    assert snapshot(data) == before


def test_a_good_log_that_is_written_anew_is_the_same(data):
    before = the_log(data).read_bytes()
    assert len(before) > BLOCK, "records that go on in the next block are part of this"
    write(the_log(data), [entry.content for entry in entries(the_log(data))])
    assert the_log(data).read_bytes() == before


def oq(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "oq.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command_says_what_came_of_it(data):
    the_log(data).unlink()
    done = oq("salvage", str(data))
    assert (done.returncode, done.stderr) == (1, "")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["kept"].startswith(f"{IN_TABLES} tasks (")
    assert lines["dropped"].startswith("0 tasks")
    assert "were acknowledged" in lines["lost"]
    assert lines["copy"].startswith(f"{data}/before-salvage-")
    assert decode(Path(lines["report"]).read_bytes()).missing_commits
    again = oq("salvage", str(data), "--output", "json")
    document = json.loads(again.stdout)
    assert again.returncode == 0
    assert sum(document["kept"].values()) == IN_TABLES


def test_the_command_fails_in_one_line(tmp_path):
    failed = oq("salvage", str(tmp_path))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"oq: there is no store in '{tmp_path}'\n"


def test_the_tests_damage_a_store_that_has_everything(data):
    assert LIVES > 1
    tasks = read_all(data)
    assert {task.status for task in tasks.values()} == {Status.PENDING, Status.COMPLETED}
