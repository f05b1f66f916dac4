"""What is made of the figures of oq and its peers: ratios, the table, the files."""

from __future__ import annotations

import json
from contextlib import nullcontext

from bench.peers import figures, report
from bench.peers.sides import Side
from bench.peers.turns import Column, Comparison


def column(name: str, *rounds: dict[str, float]) -> Column:
    made = Column(Side(name, name, (), lambda place: nullcontext(), ("oq",)), "v1", "w", "fsync")
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


def test_all_rounds_are_written_down(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    report.save(compared(), rounds=2, scale=1.0)
    told = json.loads((tmp_path / "peers.json").read_text())
    assert told["sides"]["slow"]["figures"]["end_to_end_single"]["rounds"] == [50.0, 100.0]
    assert told["sides"]["slow"]["oq_to_its_best"] == {"client, bulk": 2.5}
    assert told["machine"]["fdatasync_us"] == 85
    assert "oq-client" in (tmp_path / "peers.svg").read_text()
    text = (tmp_path / "peers.md").read_text()
    assert "left out: gone: not here" in text
    assert "- slow: v1; w" in text
