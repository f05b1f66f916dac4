"""oq beside other gateways: sides take turns, who fails is left out, and the table says so."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.gateways import __main__ as bench
from bench.gateways import compare, table
from bench.gateways.compare import TRIED, Comparison, Failed, Row
from bench.gateways.peers.sides import NOBODY, OURS, Side, nobody

FIGURES = {
    f"{name}_{size}": float(size)
    for name, sizes in {
        "call": compare.CONNECTIONS,
        "cpu": compare.CONNECTIONS,
        "chunk": compare.STREAMS,
        "p99": compare.STREAMS,
        "memory": compare.STREAMS,
    }.items()
    for size in sizes
} | {"kept_64": 1.0, "kept_256": 0.5}


@pytest.fixture(autouse=True)
def nothing_is_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(compare, "got", lambda sides: {"moon": "there is no moon here"})
    monkeypatch.setattr(table, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(table, "versions", lambda: "nginx 1")
    return tmp_path / "results"


@contextmanager
def broken(place: Path, backend: str):
    raise RuntimeError("it did not come up\nsomething\nthe port is taken")
    yield


def test_sides_take_turns_and_who_fails_takes_no_further_part(monkeypatch):
    taken = []

    def once(row, callers, scale):
        taken.append(row.side.name)
        if row.side.name == "sometimes" and taken.count("sometimes") == 2:
            raise RuntimeError("it ended\n\nwhile it was asked")
        return FIGURES

    monkeypatch.setattr(compare, "_round", once)
    sides = [Side(name, name.title(), nobody) for name in ("oq", "sometimes")]
    sides.append(Side("moon", "Moon", nobody, needs=("moon",)))
    found = compare.compare(sides, rounds=3, scale=1)
    assert taken == ["oq", "sometimes", "oq", "sometimes", "oq"]
    assert found.left_out == {
        "Moon": "moon: there is no moon here",
        "Sometimes": "it ended ... while it was asked",
    }
    assert [row.side.name for row in found.rows] == ["oq"]


def test_without_oq_nothing_is_compared(monkeypatch, capsys):
    with pytest.raises(Failed, match="oq: it did not come up"):
        compare.compare([Side("oq", "oq", broken)], rounds=1, scale=0.01)
    monkeypatch.setattr("sys.argv", ["gateways", "--only", "nginx"])
    monkeypatch.setattr(bench, "chosen", lambda only: [Side("oq", "oq", broken)])
    assert bench.main() == 1
    assert "nothing is saved" in capsys.readouterr().err


@pytest.mark.parametrize("side", [OURS[1], NOBODY], ids=lambda side: side.name)
def test_a_round_measures_all_of_the_table(side):
    found = compare.compare([side], rounds=1, scale=0.01)
    assert found.left_out == {}
    (row,) = found.rows
    assert set(row.rounds[0]) == set(FIGURES)
    assert row.rounds[0]["call_16"] > 0
    assert row.after_sync == (TRIED if side.ours else 0)
    assert side.title in table.table(found.rows)


def test_the_table_says_who_is_durable_and_who_was_left_out(nothing_is_installed):
    rows = [
        Row(OURS[0], [FIGURES], after_sync=TRIED),
        Row(OURS[1], [FIGURES], after_sync=TRIED - 1),
        Row(Side("peer", "Peer", nobody), [FIGURES, FIGURES]),
        Row(NOBODY, [FIGURES]),
    ]
    found = Comparison(rows, {"Moon": "there is none"})
    table.save(found, rounds=1)
    written = (nothing_is_installed / "gateways.md").read_text()
    ours, less, peer, direct = written.splitlines()[6:10]
    assert ours.endswith(
        "| 1 / 16 / 64 | 16.000 | 64 / 256 | 50.0% | 256.0 | 256 | yes: 50 of 50 |"
    )
    assert less.endswith("| **no**: 49 of 50 |")
    assert peer.endswith("| no |")
    assert direct.endswith("| 1 / 16 / 64 | – | – | 50.0% | 256.0 | – | – |")
    assert "left out: Moon: there is none" in written


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--only", "moon"], "no gateway moon; there are litellm, nginx"),
        (["--rounds", "0"], "--rounds must be more than 0"),
    ],
)
def test_wrong_use_is_an_error_of_one_line(monkeypatch, capsys, arguments, problem):
    monkeypatch.setattr("sys.argv", ["gateways", *arguments])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "saved"), [([], True), (["--smoke"], False)])
def test_a_whole_run_is_saved(monkeypatch, capsys, nothing_is_installed, arguments, saved):
    monkeypatch.setattr(bench, "compare", lambda *_: Comparison([Row(OURS[0], [FIGURES])]))
    monkeypatch.setattr("sys.argv", ["gateways", *arguments])
    assert bench.main() == 0
    assert OURS[0].title in capsys.readouterr().out
    assert (nothing_is_installed / "gateways.md").exists() is saved
