"""`oq plan`, from a file to its tables."""

from __future__ import annotations

import json

import pytest

from oq.cli.app import oq
from oq.cli.exits import run


@pytest.fixture
def plan(capsys):
    """Run the command: its exit code, output and error."""

    def plan(*arguments: str) -> tuple[int, str, str]:
        code = run(oq, ("plan", *arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return plan


def line(second: int, model: str, priority: int, tenant: str) -> str:
    task = {
        "created_at": f"2026-01-31T12:00:{second:02}Z", "model": model, "type": "chat",
        "priority": priority, "status": "completed", "prompt_tokens": 1000,
        "completion_tokens": 50, "tenant": tenant,
    }  # fmt: skip
    return json.dumps(task) + "\n"


@pytest.fixture
def trace(tmp_path):
    """Two models in turns, each task of 2 s by the rates that are taken for granted."""
    file = tmp_path / "trace.jsonl"
    tasks = (line(n, "ab"[n % 2], 5 + 5 * (n % 3 == 0), "xy"[n % 2]) for n in range(20))
    file.write_text("".join(tasks))
    return str(file)


def test_rows_for_programs(plan, trace):
    code, out, err = plan(trace, "--policy", "fifo", "--policy", "affinity,max_bypass=10s")
    assert (code, err) == (0, "")
    rows = [row.split("\t") for row in out.splitlines()]
    assert [row[:2] for row in rows if row[0] == "policy"] == [
        ["policy", "fifo"],
        ["policy", "affinity,max_bypass=10s"],
    ]
    fifo = rows[:6]
    assert [row[2] for row in fifo[1:]] == [
        "all", "priority high", "priority normal", "tenant x", "tenant y",
    ]  # fmt: skip
    assert [row[3] for row in fifo[1:]] == ["20", "7", "13", "10", "10"]
    kind, _, swaps, loads, makespan, rate, fairness, passed = fifo[0]
    assert (kind, passed, int(loads)) == ("policy", "0", int(swaps) + 1)
    assert float(makespan) == pytest.approx(20 * 2 + int(loads) * 5, abs=0.01)
    assert float(rate) == pytest.approx(20 * 1050 / float(makespan), abs=0.01)
    assert 0.5 <= float(fairness) <= 1


def test_json(plan, trace):
    code, out, _ = plan(trace, "-o", "json", "--slots", "2", "--load", "3s", "--rate", "25")
    assert code == 0
    found = json.loads(out)
    assert found["box"] == {"backends": 1, "slots": 2, "models": 1}
    assert found["rates"]["a:latest"] == {"prompt": 1000, "generated": 25, "load": 3}
    assert [each["policy"] for each in found["policies"]] == ["fifo", "affinity", "ollama"]
    assert [each["passed_over"] for each in found["policies"]] == [0, 0, None]
    assert found["policies"][0]["by_priority"]["10"]["tasks"] == 7


def test_tables_for_people(plan, trace, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = plan(trace, "-o", "table", "--max-models", "2")
    assert code == 0
    assert "1; slots for a model: 1; models in memory: 2" in out
    assert "1,000 prompt tokens/s, 50 generated tokens/s, load 5s" in out
    assert "passed over too long" in out
    assert "no promise" in out


def test_several_traces_are_one_by_their_times(plan, tmp_path):
    for name, model in (("one", "a"), ("two", "b")):
        (tmp_path / name).write_text("".join(line(n, model, 5, "x") for n in range(3)))
    out = plan(str(tmp_path / "one"), str(tmp_path / "two"), "--policy", "fifo", "-o", "json")[1]
    [fifo] = json.loads(out)["policies"]
    assert (fifo["waits"]["tasks"], fifo["swaps"]) == (6, 5)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("--policy", "lifo"), "'lifo' is not one of fifo, affinity, plain, ollama"),
        (("--load", "soon"), "'soon' is not a duration"),
        (("--slots", "0"), "0 is not in the range"),
    ],
)
def test_wrong_arguments_say_so(plan, trace, arguments, wrong):
    code, out, err = plan(trace, *arguments)
    assert (code, out) == (2, "")
    assert wrong in err


def test_a_wrong_trace_says_where(plan, tmp_path):
    file = tmp_path / "trace.jsonl"
    file.write_text(line(0, "a", 5, "x") + "not JSON\n")
    code, out, err = plan(str(file))
    assert (code, out) == (2, "")
    assert f"{file}, line 2: JSON is malformed" in err
    file.write_text("\n")
    assert plan(str(file))[0] == 2
