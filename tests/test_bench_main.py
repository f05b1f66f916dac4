"""`python -m bench`: what it can be asked for, and what it says when that cannot be had."""

import socket
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import report


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return report.RESULTS


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    return bench.main()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--only", "nope"], "no scenario nope; there are bulk, "),
        (["--server", "http://x", "--only", "growth"], "--server goes with client, connections"),
        (["--rounds", "0"], "--rounds and --scale must be more than 0"),
    ],
)
def test_wrong_use_is_an_error_of_one_line(monkeypatch, capsys, arguments, problem):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_server_that_is_not_there_is_said_to_be_so(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert run(monkeypatch, "--server", url, "--smoke") == 1
    assert capsys.readouterr().out.count(f"nobody answers at {url}") == len(bench.OVER_HTTP)


def test_scenarios_that_are_chosen_are_measured_and_not_saved(monkeypatch, capsys, results):
    assert run(monkeypatch, "--only", "client,post,slot", "--scale", "0.01", "--rounds", "1") == 0
    shown = capsys.readouterr().out
    assert "AsyncClient" in shown
    assert "oq to bare" in shown
    assert "slot freed" in shown
    assert not results.exists()


def test_every_scenario_is_explained():
    page = (Path(bench.__file__).parent / "README.md").read_text()
    assert [name for name in bench.SCENARIOS if f"| `{name}` |" not in page] == []
