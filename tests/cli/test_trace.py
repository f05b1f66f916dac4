"""`oq trace export` against a real server whose answers are simulated."""

from __future__ import annotations

import json

import pytest

from oq.cli import trace
from oq.cli.app import oq
from oq.cli.exits import run
from oq.client import Client, generate
from tests.cli.test_cli import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Five tasks have run on it, and one waits."""
    with serving(tmp_path_factory.mktemp("server")) as url, Client(url) as client:
        tasks = [
            generate("m", f"hidden {n}", priority=n, metadata={"tenant": "ann"}) for n in range(5)
        ]
        for task_id in client.submit_many(tasks):
            client.get(task_id, wait=60)
        client.submit(generate("never", "hidden", run_at="2099-01-01T00:00:00Z"))
        yield url


@pytest.fixture
def export(server, capsys):
    """Run the command: its exit code, output and error."""

    def export(*arguments: str) -> tuple[int, str, str]:
        code = run(oq, ("trace", "export", "--server", server, *arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return export


def test_it_prints_what_ran_the_oldest_first(export):
    code, out, err = export("--model", "m,never")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["priority"] for line in lines] == [0, 1, 2, 3, 4]
    assert {line["tenant"] for line in lines} == {"ann"}
    first = lines[0]
    times = [first[n] for n in ("created_at", "started_at", "first_token_at", "completed_at")]
    assert times == sorted(times)
    assert first["completion_tokens"] > 0
    assert "hidden" not in out


def test_pages_leave_nothing_out(export, monkeypatch):
    monkeypatch.setattr(trace, "AT_ONCE", 2)
    whole = export("--model", "m")[1]
    assert len(whole.splitlines()) == 5
    monkeypatch.setattr(trace, "AT_ONCE", 5)  # the last page is full, and nothing follows
    assert export("--model", "m")[1] == whole


def test_filters_count(export):
    out = export("--model", "m", "--priority", "3,4")[1]
    assert [json.loads(line)["priority"] for line in out.splitlines()] == [3, 4]
    assert export("--since", "2099-01-01", "--model", "m") == (0, "", "")
