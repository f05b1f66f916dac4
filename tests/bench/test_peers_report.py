"""What is made of the figures of oq and its peers: ratios, the table, the files."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from bench.peers import figures, report
from bench.peers.sides import Side
from bench.peers.turns import Column, Comparison


def column(name: str, *rounds: dict[str, float], durability: str = "fsync") -> Column:
    made = Column(Side(name, name, (), lambda place: nullcontext(), ("oq",)), "v1", "w", durability)
    made.rounds.extend(rounds)
    return made


def compared() -> Comparison:
    oq = column("oq-client", {"end_to_end_bulk": 100.0}, {"end_to_end_bulk": 300.0})
    peer = column(
        "slow",
        {"end_to_end_single": 50.0, "end_to_end_bulk": 25.0, "start_p50": 1.5, "start_p99": 2.25},
        {"end_to_end_single": 100.0, "end_to_end_bulk": 25.0, "start_p50": 1.5, "start_p99": 2.25},
    )
    return Comparison([oq, peer], {"gone": "not here"}, [80.0, 90.0], "/var/tmp")


def test_a_ratio_is_of_the_same_round_and_to_the_peers_best_way():
    oq, peer = compared().columns
    assert figures.ratios([oq, peer], peer) == {"client, bulk": 2.5}  # of 2 and 3


def test_the_table_has_a_row_a_side_and_dashes_for_what_a_side_has_not():
    head, line, oq, slow = report.table(compared()).splitlines()
    assert head.count("|") == line.count("|") == oq.count("|") == slow.count("|")
    assert (
        "| slow | fsync | – | – | – | 75 | – | 25 | 33% | 1.50 / 2.25 | – | 2.50 | – | – |" in slow
    )
    assert oq.endswith("| – | – | – | – |")


# -- oq's budgets beside peers


def owing(ours: list[float], theirs: list[float]) -> Comparison:
    oq = column("oq-client", *({"end_to_end_concurrent": rate} for rate in ours))
    bullmq = column("bullmq", *({"end_to_end_bulk": r, "end_to_end_single": 1e6} for r in theirs))
    return Comparison([oq, bullmq])


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        ([90.0, 110.0, 300.0], "| 1.10 | 95% | 0.90, 1.10, 3.00 | >= 1 | yes | 2 |"),
        ([90.0, 110.0, 80.0], "| 0.90 | 17% | 0.90, 1.10, 0.80 | >= 1 | **no** | 2 |"),
    ],
)
def test_the_budget_is_judged_by_the_median_of_the_ratios_of_a_round(ours, told):
    _, _, budget, each = report.verdict(owing(ours, [100.0] * 3)).splitlines()
    assert budget == f"| HTTP budget: client, 64 at once, to BullMQ bulk {told}"
    assert each == "| the same, to BullMQ bulk, fsync each | not measured | – | – | >= 1 | – | – |"


def test_the_budget_is_about_bulk_whatever_else_the_peer_does_better():
    assert figures.owed(owing([90.0], [100.0]).columns)["bullmq"].rounds == (0.9,)


def test_a_tiny_run_judges_nothing():
    found = owing([90.0], [100.0])
    assert "| 0.90 | 0% | 0.90 | >= 1 | – | 2 |" in report.verdict(found, judged=False)
    assert "ahead of" not in "".join(report.parts(found, judged=False))


# -- whom oq is ahead of


def ranked() -> Comparison:
    rounds = [{"end_to_end_single": 1.0, "end_to_end_bulk": rate} for rate in (100.0, 110.0)]
    peers = {
        "strict": ("appendonly=yes, appendfsync=always", 50.0),
        "strictest": ("fsync=on, synchronous_commit=on, wal_sync_method=fdatasync", 80.0),
        "lax": ("appendonly=yes, appendfsync=everysec", 200.0),
        "laxest": ("with binlog, fsync -f50 (every 50 ms)", 10.0),
    }
    columns = [
        column(name, {"end_to_end_single": rate}, {"end_to_end_single": rate}, durability=kept)
        for name, (kept, rate) in peers.items()
    ]
    return Comparison([column("oq-client", *rounds), *columns, column("server", *rounds)])


def test_peers_as_strict_as_oq_come_first_and_then_all():
    strict, all_ = report.standings(ranked()).splitlines()
    assert strict == (
        "- oq-client (bulk): ahead of 2 of 2 peers that sync each write;"
        " the closest is strictest (1.31 ± 5%)"
    )
    assert all_ == "- oq-client (bulk): ahead of 3 of 4 peers in all; not of lax (0.53 ± 5%)"


def test_who_is_even_is_not_behind_oq():
    rounds = [{"end_to_end_bulk": 100.0}]
    found = Comparison([column("oq-embedded", *rounds), column("rq", *rounds)])
    assert report.standings(found) == (
        "- oq-embedded (bulk): ahead of 0 of 1 peers in all; not of rq (1.00 ± 0%)"
    )


@pytest.mark.parametrize(
    ("durability", "each"),
    [
        ("appendonly=yes, appendfsync=always", True),
        ("appendonly=yes, appendfsync=everysec", False),
        ("with binlog, fsync -f0 (each write)", True),
        ("with binlog, fsync -f50 (every 50 ms)", False),
        ("journal_mode=wal, synchronous=2", True),
        ("journal_mode=wal, synchronous=1", False),
        ("fsync=on, synchronous_commit=on, wal_sync_method=fdatasync", True),
        ("fsync=off, synchronous_commit=on, wal_sync_method=fdatasync", False),
    ],
)
def test_who_syncs_each_write_is_known_by_what_was_read_back(durability, each):
    assert figures.syncs_each(column("x", durability=durability)) is each


# -- the files


def test_all_rounds_are_written_down(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    report.save(compared(), rounds=2, scale=1.0)
    told = json.loads((tmp_path / "peers.json").read_text())
    assert told["sides"]["slow"]["figures"]["end_to_end_single"]["rounds"] == [50.0, 100.0]
    assert told["sides"]["slow"]["oq_to_its_best"] == {"client, bulk": 2.5}
    assert told["machine"]["fdatasync_us"] == 85
    assert told["budgets"]["bullmq"]["met"] is None
    assert told["standings"][0]["ratios"] == {"slow": 2.5}
    assert "oq-client" in (tmp_path / "peers.svg").read_text()
    text = (tmp_path / "peers.md").read_text()
    assert "left out: gone: not here" in text
    assert "- oq-client (bulk): ahead of 1 of 1 peers in all; the closest is slow" in text
    assert "- slow: v1; w" in text
