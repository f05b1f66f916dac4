"""A short hour of churn: what retention does not keep is gone, from memory and from the disk."""

import json

import pytest

from bench import churn, report
from bench.churn import Load, Outcome, Quick, Sample
from oq.actors.janitor import Janitor
from oq.store import rocks

LOAD = Load(minutes=8, rate=12, keep=100)
QUICK = Quick(1, 1, 1, 1)


@pytest.fixture(autouse=True)
def _small_buffers(monkeypatch):
    """So that what an hour does to RocksDB's files happens in minutes."""
    monkeypatch.setattr(rocks, "WRITE_BUFFER", 256 << 10)


def test_neither_memory_nor_disk_grows_and_no_tombstones_lie_in_the_way(tmp_path):
    outcome = churn.run(LOAD, tmp_path)
    assert outcome.growing() == []
    in_a_minute = LOAD.rate * 60
    assert all(sample.ended <= LOAD.keep + in_a_minute for sample in outcome.samples)
    assert outcome.after.first_row < outcome.before.first_row * 10 + 1  # milliseconds


def test_what_is_never_removed_is_found(tmp_path, monkeypatch):
    async def nothing(self):
        return 0

    monkeypatch.setattr(Janitor, "clean", nothing)
    outcome = churn.run(LOAD, tmp_path)
    assert any("ended" in line for line in outcome.growing())


def outcome_of(values, before=QUICK, after=QUICK):
    samples = [Sample(minute, 50, value, 1000, 10) for minute, value in enumerate(values, 1)]
    return Outcome(samples, before, after, LOAD.tasks)


@pytest.mark.parametrize(
    ("disk", "grows"),
    [
        ([10, 80, 100, 60, 90, 100, 70, 99], False),  # up and down, as logs do
        ([10, 80, 100, 60, 90, 100, 119, 99], True),
        ([1, 2, 3, 4, 5, 6, 7, 8], False),  # a few megabytes are no growth
    ],
)
def test_growth_is_more_than_ever_before(disk, grows):
    assert bool(outcome_of(disk).growing()) is grows


def committed(leak=0.0):
    """The committed run, and so many megabytes more with each hour."""
    document = json.loads((report.RESULTS / "churn.json").read_text())
    samples = [Sample(**sample) for sample in document["samples"]]
    grown = [one._replace(memory=one.memory + leak * one.minute / 60) for one in samples]
    return Outcome(grown, QUICK, QUICK, Load().tasks)


def test_the_committed_run_has_no_leak_and_thirty_megabytes_an_hour_are_one():
    assert committed().growing() == []
    assert [line.split(":")[0] for line in committed(leak=30).growing()] == ["memory"]


def test_the_slope_is_in_bytes_a_task_and_buffers_that_come_and_go_are_not_in_it():
    saw = [Sample(minute, 50 + minute % 5, 1, 1, 1) for minute in range(1, 61)]
    per_task = [one._replace(memory=one.memory + one.minute) for one in saw]  # 1 MB a minute
    assert abs(Outcome(saw, QUICK, QUICK, 60 << 10).leak()) < 100
    assert Outcome(per_task, QUICK, QUICK, 60 << 10).leak() == pytest.approx(1024, rel=0.05)


def test_slower_is_twice_as_slow():
    assert outcome_of([1] * 8, after=QUICK._replace(start=2.0)).slower() == []
    assert outcome_of([1] * 8, after=QUICK._replace(start=2.1)).slower() == [
        "start: 1.00 -> 2.10 ms"
    ]


def test_the_verdict_names_what_grew_and_what_became_slower():
    assert (
        "Nothing grew beyond its limit, and nothing that the queue does became slower."
        in churn.text(outcome_of([1] * 8))
    )
    worse = outcome_of([1] * 4 + [99] * 4, after=QUICK._replace(listing=9))
    assert "disk: 1.0 -> 99.0; listing: 1.00 -> 9.00 ms" in churn.text(worse)
