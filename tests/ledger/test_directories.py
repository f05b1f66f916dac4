"""Directories that older versions of oq left, opened by this one: every task is what that oq read.

`directories/` has, for each of them, the directory, what that oq read in it, and the script that
made both.
"""

from __future__ import annotations

import json
import lzma
import random
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rocksdict import Options, Rdict

from oq.rules.filters import TaskFilter
from oq.rules.stream_log import StreamLog
from oq.store import Store, migration, open_store
from oq.store.directory import DATABASE
from oq.store.keys import META_KEY
from oq.store.salvage import salvage
from oq.words.errors import StoreCorrupt, StoreError
from oq.words.task import Status, TaskState, show
from tests.crash import integrity
from tests.crash.damage import snapshot
from tests.crash.power import Disk, Moment, Plug, PowerCut, PowerEngine, Tear, leave, log_sizes
from tests.support.builders import new

DIRECTORIES = Path(__file__).parent / "directories"
NAMES = sorted(path.name.removesuffix(".tar.xz") for path in DIRECTORIES.glob("*.tar.xz"))
MANY = 10_000


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture
def data(name, tmp_path) -> Path:
    """Such a directory, as its oq left it."""
    with tarfile.open(DIRECTORIES / f"{name}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / name


@pytest.fixture
def expected(name) -> dict[str, Any]:
    """What that oq read."""
    return json.loads(lzma.decompress((DIRECTORIES / f"{name}.json.xz").read_bytes()))


def slices(store: Store, task_id: str) -> Iterator[StreamLog]:
    """What is stored of what a task generated, slice by slice."""
    log = store.stream(task_id, 0)
    while log is not None:
        yield log
        following = store.stream(task_id, log.end) if log.more else None
        log = None if following is None or following.first == log.first else following


def described(store: Store, state: TaskState) -> dict[str, Any]:
    body, key = store.body(state.id), state.terms.idempotency_key
    result = store.result(state.id) if state.status is Status.COMPLETED else None
    claim = store.claim(key) if key else None
    logs = list(slices(store, state.id))
    refused = store.refusal(state.id) if state.status is Status.FAILED else None
    return msgspec.to_builtins(
        {
            "task": msgspec.json.decode(msgspec.json.encode(show(state, body, result))),
            "call": body and body.call,
            "way": body and body.way,
            "deaths": state.deaths,
            "awaited": state.awaited,
            "key": key,
            "claim": claim and [claim.task_id, claim.fingerprint.hex()],
            "refusal": refused and [refused.status, refused.body.decode()],
            "attempt": logs[0].attempt if logs else None,
            "pieces": [piece for log in logs for piece in log.pieces] if logs else None,
            "frames": [one.decode() for log in logs for one in log.frames] if logs else None,
            "slices": [log.first for log in logs],
        }
    )


def whole(store: Store) -> dict[str, Any]:
    """The same as that oq read, in the same form; it may not have read all of that."""
    facts, waiting, ended = store.facts, list(store.pending()), list(store.oldest_ended(MANY))
    states = list(store.oldest(TaskFilter(limit=MANY)))
    models = {state.id: state.terms.model for state in states}
    assert {one.task_id: one.place.model for one in waiting}.items() <= models.items()
    assert {one.place.load for one in waiting} <= {""}, "nothing of that was noted then"
    return msgspec.to_builtins(
        {
            "tasks": [described(store, state) for state in states],
            "counts": {status.value: facts.counts[status] for status in Status},
            "last_id": facts.last_id,
            "event_seq": facts.event_seq,
            "paused": facts.paused,
            "simulated": facts.simulated,
            "unread": facts.unread,
            "pending": [
                [one.task_id, one.place.priority, one.place.run_at, one.place.retrying]
                for one in waiting
            ],
            "delays": [one.place.delay for one in waiting],
            "running": [state.id for state in store.running()],
            "ended": [one.task_id for one in ended],
            "kept for a reader": [one.unread for one in ended],
            "gone": [[one.task_id, one.at] for one in store.oldest_gone(MANY)],
        }
    )


def check(data: Path, expected: dict[str, Any]) -> int:
    """It opens, has all that it had, and agrees with itself; the number of its last commit."""
    store = open_store(str(data))
    try:
        found = whole(store)
        for before, after in zip(expected["tasks"], found["tasks"], strict=True):
            assert {name: after[name] for name in before} == before
        for fact in expected.keys() - {"tasks"}:
            assert found[fact] == expected[fact], fact
        integrity.check(store)
        return store.facts.commit
    finally:
        store.close()


def test_there_are_directories_to_open():
    assert set(NAMES) >= {"64a4862", "c3d9675"}


def test_every_task_is_what_the_oq_that_wrote_it_read(data, expected):
    assert len(expected["tasks"]) > 50
    assert all(expected["counts"].values())
    migrated = check(data, expected)
    assert check(data, expected) == migrated, "it is migrated once"


@pytest.mark.parametrize("name", ["64a4862"])
@pytest.mark.parametrize("missing", ["nothing*", "MANIFEST-*"])
def test_a_salvage_reads_the_older_format_too(data, expected, missing):
    """Without a manifest the records tell by their looks what they are."""
    for file in (data / DATABASE).glob(missing):
        file.unlink()
    report = salvage(str(data))
    assert ({status.value: n for status, n in report.kept.items()}, report.lost) == (
        expected["counts"], []
    )  # fmt: skip
    check(data, expected)


@pytest.mark.slow
def test_a_power_cut_in_a_migration_loses_nothing(data, expected, tmp_path, monkeypatch):
    """One for each sync: at the start, after each batch, and at the end."""
    monkeypatch.setattr(migration, "BATCH", 400)
    syncs = 2 + ceil(len(expected["tasks"]) / 400)
    chance = random.Random(7)
    for at in range(1, syncs + 1):
        left: list[Path] = []
        path = shutil.copytree(data, tmp_path / f"cut at {at}")
        disk = Disk(durable=log_sizes(path), marks=[(path / "high-water").read_bytes()])
        plug = Plug(at, Moment.WRITTEN, lambda: None)
        engine = PowerEngine(path, disk, plug)
        plug.pulled = partial(keep, left, path, disk, chance)
        with suppress(PowerCut):
            Store(engine)
        engine.close()
        assert left, f"there was no sync {at}"
        check(left[0], expected)


def keep(left: list[Path], path: Path, disk: Disk, chance: random.Random) -> None:
    left.append(leave(path, disk, chance, list(Tear))[0])


def newer(path: Path) -> Path:
    """A directory that a later oq has made, with a family of records that this one does not have,
    and a record of the store that it cannot decode.
    """
    store = open_store(str(path))
    store.write([new(1)], 0)
    store.close()
    options = Options(raw_mode=True)
    options.create_missing_column_families(True)
    names = [*Rdict.list_cf(str(path / DATABASE)), "owners"]
    theirs = Rdict(str(path / DATABASE), options, column_families=dict.fromkeys(names, options))
    meta = {"format": 99, "oq": "7.1.0", "commit": {"of": "another shape"}}
    theirs.get_column_family("meta")[META_KEY] = msgspec.msgpack.encode(meta)
    theirs.close()
    return path


@pytest.mark.parametrize(
    "use", [lambda path: open_store(str(path)), lambda path: salvage(str(path))]
)
def test_a_directory_of_a_newer_oq_stays_as_it_is_and_says_which_oq_is_needed(tmp_path, use):
    path = newer(tmp_path / "data")
    before = snapshot(path)
    with pytest.raises(StoreError, match=r"has format 99.*use oq 7\.1\.0 or a later one") as caught:
        use(str(path))
    assert not isinstance(caught.value, StoreCorrupt)
    assert snapshot(path) == before
