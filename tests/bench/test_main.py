"""`python -m bench`: what it can be asked for, and what it says when that cannot be had."""

import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from bench import __main__ as bench
from bench import report
from bench.scenario import NotMeasured


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
        (["--server", "localhost:7999"], "localhost:7999: only http://HOST:PORT is spoken here"),
        (["--server", "https://x"], "https://x: only http://HOST:PORT is spoken here"),
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


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 501 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwhat",
    ],
)
async def test_a_server_that_is_another_is_not_measured(monkeypatch, capsys, answer):
    async def serve(stream):
        async with stream:
            while await stream.receive_some():
                await stream.send_all(answer)
                return

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        monkeypatch.setattr("sys.argv", ["bench", "--server", url, "--smoke"])
        assert await trio.to_thread.run_sync(bench.main) == 1
        nursery.cancel_scope.cancel()
    said = capsys.readouterr().out
    assert said.count("not measured: ") == len(bench.OVER_HTTP)


@asynccontextmanager
async def broken(setting):
    async def side():
        raise NotMeasured("POST /api/tasks: 500")

    yield [side]


@asynccontextmanager
async def whole(setting):
    async def side():
        return {"bulk": 1.0}

    yield [side]


@pytest.mark.parametrize("arguments", [[], ["--smoke"], ["--only", "post,bulk"]])
def test_what_fails_of_oqs_own_fails_the_run_and_is_not_saved(
    monkeypatch, capsys, results, arguments
):
    monkeypatch.setattr(bench, "SCENARIOS", {"bulk": whole, "post": broken})
    assert run(monkeypatch, *arguments) == 1
    shown, said = capsys.readouterr()
    assert "not measured: post: POST /api/tasks: 500" in shown
    assert "oq failed, so nothing is saved" in said
    assert not results.exists()


def test_scenarios_that_are_chosen_are_measured_and_not_saved(monkeypatch, capsys, results):
    assert run(monkeypatch, "--only", "client, post,slot,", "--scale", "0.01", "--rounds", "1") == 0
    shown = capsys.readouterr().out
    assert "AsyncClient" in shown
    assert "ratio to bare" in shown
    assert "slot freed" in shown
    assert not results.exists()


def test_every_scenario_is_explained():
    page = (Path(bench.__file__).parent / "README.md").read_text()
    assert [name for name in bench.SCENARIOS if f"| `{name}` |" not in page] == []
