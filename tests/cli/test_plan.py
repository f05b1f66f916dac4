"""`oq plan`, from a file to its tables."""

from __future__ import annotations

import json
import re

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
    [server] = found["servers"]
    assert (server["name"], server["slots"], server["models"]) == ("box1", 2, 1)
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
        (("--backends", "0"), "0 is not in the range"),
        (("--slots", "0"), "'0' is not a whole number from 1 to 100,000"),
        (("--slots", "box1="), "'' is not a whole number"),
        (("--max-models", "100001"), "'100001' is not a whole number from 1 to 100,000"),
        (("--rate", "nan"), "'nan' is not a number of tokens a second, from 0.001"),
        (("--prompt-rate", "box1=fast"), "'fast' is not a number of tokens a second"),
        (("--rate", "0"), "'0' is not a number of tokens a second"),
        (("--rate", "1e10"), "'1e10' is not a number of tokens a second"),
        (("--policy", "config,preempt=true"), "'config,preempt=true': config is what the settings"),
        (("--slots", "2", "--slots", "3"), "'3': it is given twice for all servers"),
        (("--rate", "box1=2", "--rate", "box1=3"), "'box1=3': it is given twice for 'box1'"),
        (("--load", "box1=soon"), "'soon' is not a duration"),
        (
            ("--backends", "9", "--slots", "box=2"),
            "--slots: there is no backend 'box'; there are box1",
        ),
        (("--backends", "9", "--load", "x=2"), "are box1, box2, box3, box4, box5 and 4 more"),
        (("--max-models", "=2"), "--max-models: there is no backend ''; there are box1"),
        (("--policy", "config"), "--policy config needs a settings file: name it with --config"),
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


SETTINGS = """
backends:
  - {name: box, kind: ollama, url: "http://box:11434", max_models: 1}
  - {name: cloud, kind: openai, url: "https://api.example.com", models: ["b"], tier: 1,
     overflow_after: "10s", max_concurrency: 4}
scheduler: {affinity: true, max_bypass: "20s"}
"""


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "oq.yaml"
    file.write_text(SETTINGS)
    return file


def test_the_backends_of_a_settings_file(plan, trace, settings):
    """What goes up is of the one model that the cloud has."""
    code, out, err = plan(trace, "--config", str(settings), "-o", "json", "--rate", "cloud=100")
    assert (code, err) == (0, "")
    found = json.loads(out)
    box, cloud = found["servers"]
    assert (box["name"], box["models"], box["rates"]) == ("box", 1, {})
    assert (cloud["name"], cloud["slots"], cloud["models"], cloud["tier"]) == ("cloud", 4, None, 1)
    assert {model: rates["generated"] for model, rates in cloud["rates"].items()} == {
        "a:latest": 100, "b:latest": 100,
    }  # fmt: skip
    [config] = found["policies"]
    assert config["policy"] == "config"
    served = config["by_server"]
    assert served["box"]["tasks"] + served["cloud"]["tasks"] == 20
    assert 0 < served["cloud"]["tasks"] <= 10
    assert served["cloud"]["generated_tokens"] == 50 * served["cloud"]["tasks"]


def test_its_scheduler_is_the_policy_config(plan, trace, settings):
    given = ("--policy", "config", "--policy", "affinity,max_bypass=20s", "--policy", "fifo")
    _, out, _ = plan(trace, "--config", str(settings), *given)
    rows = [row.split("\t") for row in out.splitlines()]
    config, affinity, fifo = (row[2:] for row in rows if row[0] == "policy")
    assert config == affinity != fifo
    assert [row[2] for row in rows if row[:2] == ["server", "config"]] == ["box", "cloud"]


def test_servers_that_differ_have_a_row_each(plan, trace, settings, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    given = ("--slots", "box=2", "--prompt-rate", "cloud=2000", "-o", "table")
    code, out, _ = plan(trace, "--config", str(settings), *given)
    assert code == 0
    assert "slots for a model: 2; models in memory: 1" in out
    assert "slots: 4; all its models in memory; tasks at once: 4; has b; tier 1, after 10s" in out
    assert "cloud: b:latest" in out
    assert "2,000 prompt tokens/s, 50 generated tokens/s" in out
    assert "generated tokens" in out


def test_the_limits_of_models_in_settings_count(plan, settings, tmp_path):
    """Twelve tasks of 1.5 s come at once: they run four at once, or one after the other."""
    file = tmp_path / "at-once.jsonl"
    file.write_text("".join(line(0, "b", 5, "x") + "\n" for _ in range(12)))

    def waited(text: str) -> float:
        settings.write_text(text)
        given = ("--prompt-rate", "2000", "--rate", "50", "-o", "json")
        code, out, err = plan(str(file), "--config", str(settings), *given)
        assert (code, err) == (0, "")
        [found] = json.loads(out)["policies"]
        return float(found["waits"]["worst"])

    cloud = """
backends:
  - {name: cloud, kind: openai, url: "https://api.example.com", max_concurrency: 4%s}
"""
    assert waited(cloud % "") == pytest.approx(3)
    assert waited(cloud % ', model_limits: {"b*": 1}') == pytest.approx(16.5)
    code, out, _ = plan(str(file), "--config", str(settings), "-o", "table")
    assert code == 0
    assert re.search(r"^limits +b\*: 1 *$", out, re.M)


def test_the_trace_says_how_fast_each_backend_is(plan, settings, tmp_path):
    def ran(backend: str, took: int) -> str:
        times = {"started_at": 0, "first_token_at": 1, "completed_at": 1 + took}
        at = {name: f"2026-01-31T12:00:{second:02}Z" for name, second in times.items()}
        return json.dumps(json.loads(line(0, "b", 5, "x")) | {"backend": backend, **at}) + "\n"

    file = tmp_path / "ran.jsonl"
    file.write_text(ran("box", 5) + ran("cloud", 1))
    _, out, _ = plan(str(file), "--config", str(settings), "-o", "json")
    box, cloud = json.loads(out)["servers"]
    assert box["rates"]["b:latest"]["generated"] == 10
    assert cloud["rates"]["b:latest"]["generated"] == 50
    _, out, _ = plan(str(file), "--config", str(settings), "-o", "json", "--rate", "20")
    assert [server["rates"] for server in json.loads(out)["servers"]] == [{}, {}]


def test_wrong_settings_say_so(plan, trace, settings):
    code, out, err = plan(trace, "--config", str(settings), "--backends", "2")
    assert (code, out) == (2, "")
    assert "--config and --backends cannot be used together" in err
    code, _, err = plan(trace, "--config", str(settings), "--rate", "clod=9")
    assert (code, "there is no backend 'clod'; there are box, cloud" in err) == (2, True)
    settings.write_text(
        SETTINGS.replace('models: ["b"]', 'models: ["c"]').replace("max_models: 1", 'models: ["a"]')
    )
    code, out, err = plan(trace, "--config", str(settings))
    assert (code, out) == (2, "")
    assert "no backend has 'b', which tasks of the trace want" in err
    settings.write_text(SETTINGS.replace("tier: 1", "tier: high"))
    code, out, err = plan(trace, "--config", str(settings))
    assert (code, out) == (2, "")
    assert "backends[1].tier" in err
    assert str(settings) in err
    code, _, err = plan(trace, "--config", str(settings) + ".no")
    assert (code, "cannot read" in err) == (2, True)
