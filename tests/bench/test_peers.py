"""Comparing with peers, where it needs none of them: sizes, sides, marks, turns, servers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import h11
import pytest
import trio

from bench.peers import __main__ as peers
from bench.peers import install, report, servers, turns
from bench.peers.plain import PlainServer
from bench.peers.scripts.marks import Marks
from bench.peers.scripts.measure import Measurement
from bench.peers.scripts.sizing import BULK, PILOT, chunks, settled, until_next_look
from bench.peers.servers import Running
from bench.peers.sides import OURS, PEERS, Side, chosen
from bench.scenario import NotMeasured

# -- how many jobs


async def test_a_rate_is_of_as_many_jobs_as_take_the_time():
    asked = []

    async def rate_of(count: int) -> float:
        asked.append(count)
        return 5000.0

    assert await settled(rate_of, 2.0) == (5000.0, 10_000)
    assert asked[0] == PILOT
    assert asked[-2] >= 10_000 / 3  # it was warm by then
    assert asked[-1] == 10_000


async def test_a_slow_peer_runs_no_more_than_a_pilot_at_a_time():
    asked = []

    async def rate_of(count: int) -> float:
        asked.append(count)
        return 4.0

    assert await settled(rate_of, 1.0) == (4.0, PILOT)
    assert asked == [PILOT, PILOT]


async def test_a_fast_one_runs_no_more_than_there_is_room_for():
    asked = []

    async def rate_of(count: int) -> float:
        asked.append(count)
        return 1e9

    _, count = await settled(rate_of, 1.0, most=20_000)
    assert count == max(asked) == 20_000


@pytest.mark.parametrize(
    ("left", "done", "took", "pause"),
    [(100, 100, 0.2, 0.1), (1, 999, 1.0, 0.005), (10_000, 1, 1.0, 0.25), (10, 0, 1.0, 0.005)],
)
def test_a_server_is_asked_more_often_towards_the_end(left, done, took, pause):
    assert until_next_look(left, done, took) == pause


def test_chunks_are_all_of_it_in_order():
    parts = chunks(7, 7 + 2 * BULK + 1)
    assert [index for part in parts for index in part] == list(range(7, 7 + 2 * BULK + 1))
    assert max(len(part) for part in parts) == BULK


def test_a_mark_tells_that_a_job_ran_and_when(tmp_path):
    path = str(tmp_path / "marks")
    Marks.create(path)
    worker, producer = Marks(path), Marks(path)
    worker.note(3)
    worker.note(5)
    assert producer.first_missing(3, 6) == 4
    worker.note(4)
    assert producer.first_missing(3, 6) is None
    assert producer.time(3) <= producer.time(5) <= producer.time(4) == producer.last(3, 6)


class Blocking:
    """A peer whose call blocks until a second one is under way, as no lone caller can."""

    def __init__(self) -> None:
        self._both = threading.Barrier(2, timeout=60)
        self.taken: list[int] = []

    def enqueue(self, index: int) -> None:
        self._both.wait()
        self.taken.append(index)


def test_calls_that_block_are_made_at_once_in_threads(tmp_path):
    Marks.create(str(tmp_path / "marks"))
    peer = Blocking()
    measurement = Measurement(peer, Marks(str(tmp_path / "marks")), 1.0)
    assert measurement.ways() == ["single", "concurrent"]
    asyncio.run(measurement._enqueue_concurrent(range(10)))
    assert sorted(peer.taken) == list(range(10))


# -- who takes part


def test_oq_always_takes_part_and_a_family_goes_by_its_first_name():
    assert [side.name for side in chosen(["huey"], None)] == [
        "oq-embedded", "oq-client", "oq-http", "huey", "huey-each", "huey-sqlite",
    ]  # fmt: skip
    assert chosen([], None) == [*OURS, *PEERS]


def test_a_peer_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="no peer rabbit; there are bullmq"):
        chosen(["rq", "rabbit"], None)


def test_another_server_is_measured_as_oqs_own():
    (side,) = [each for each in chosen(["rq"], "http://box:1") if each.name == "server"]
    assert not side.ours
    line = side.line("python", "node", 0.5, 7)
    assert line == [sys.executable, "-m", "bench.peers.ours", "http", "0.5", "7", "http://box:1"]


def test_every_peer_has_its_script_and_its_package_is_in_the_file_of_its_environment():
    for side in PEERS:
        if side.command[0] != "python":
            continue
        assert (install.SCRIPTS / f"peer_{side.command[-1]}.py").exists()
        family = side.name.partition("-")[0]
        package = {"beanstalkd": "greenstalk"}.get(family, family)
        assert re.search(
            rf"^{package}\b", (install.REQUIREMENTS / side.environment).read_text(), re.M
        )


# -- taking turns


def damaged_task(name: str, program: str, starter=None) -> Side:
    return Side(name, name.title(), (), starter, ("oq", "-c", program))


REPORTS = """
import json, os, sys
print(json.dumps({"version": "v", "workers": "w", "durability": None, "figures":
    {"end_to_end_single": float(sys.argv[1])}, "counts": {"end_to_end_single": 1}}))
"""


@pytest.fixture
def alone(monkeypatch, tmp_path):
    monkeypatch.setattr(turns.install, "install", lambda needs: dict.fromkeys(needs, "no such"))
    monkeypatch.setattr(turns, "home", lambda: tmp_path)


@pytest.mark.usefixtures("alone")
def test_a_side_that_fails_leaves_and_the_others_go_on():
    sides = [
        damaged_task("good", REPORTS),
        damaged_task("bad", "import sys; sys.exit('out of order')"),
    ]
    found = turns.compare(sides, rounds=2, scale=1.0, probes=1)
    assert found.left_out == {"bad": "out of order"}
    (column,) = found.columns
    assert column.rounds == [{"end_to_end_single": turns.SECONDS}] * 2
    assert len(found.syncs) == 2


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", ["oq-client", "server"])
def test_without_oq_or_the_users_server_there_is_nothing_to_compare(name):
    sides = [
        damaged_task(name, "import sys; sys.exit('out of order')"),
        damaged_task("good", REPORTS),
    ]
    with pytest.raises(turns.Failed, match=f"{name.title()}: out of order"):
        turns.compare(sides, rounds=2, scale=1.0, probes=1)


@pytest.mark.usefixtures("alone")
def test_a_run_in_which_oq_fails_ends_as_one_that_failed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(peers, "chosen", lambda only, server: [damaged_task("oq-http", "1 / 0")])
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr("sys.argv", ["bench.peers"])
    assert peers.main() == 1
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.err
    assert "nothing is saved" in said.err
    assert not said.out
    assert not report.RESULTS.exists()


@pytest.mark.usefixtures("alone")
def test_a_side_whose_needs_are_not_there_is_left_out_with_the_reason():
    side = Side("bullmq", "BullMQ", ("node",), None, ("node", "x.mjs"))
    assert turns.compare([side], 1, 1.0).left_out == {"bullmq": "node: no such"}


@pytest.mark.usefixtures("alone")
def test_a_side_has_its_server_and_what_that_says_of_its_durability():
    @contextmanager
    def starter(place: Path):
        assert place.is_dir()
        yield Running("peer://here", "Server 1", "appendfsync=always")

    program = f"import os; assert os.environ['PEER_URL'] == 'peer://here'\n{REPORTS}"
    (column,) = turns.compare([damaged_task("one", program, starter)], 1, 1.0).columns
    assert (column.version, column.durability) == ("Server 1, v", "appendfsync=always")


@pytest.mark.usefixtures("alone")
def test_what_a_side_started_is_gone_after_it(tmp_path):
    left = tmp_path / "pid"
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        f"open({str(left)!r}, 'w').write(str(child.pid))\n"
        "sys.exit('gave up')"
    )
    with pytest.raises(turns.Failed, match="gave up"):
        turns.run(damaged_task("one", program), 1.0, 1)
    assert ends(int(left.read_text()))


WAITS = """
import trio
from bench.children import end_in_order
from bench.peers import ours

async def wait():
    with ours.on_disk() as (url, data):
        print(data, flush=True)
        await trio.sleep_forever()

end_in_order()
trio.run(wait)
"""


def test_oqs_side_leaves_no_files_when_it_is_told_to_end():
    command = [sys.executable, "-c", WAITS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as side:
        assert side.stdout is not None
        data = Path(os.fsdecode(side.stdout.readline().rstrip()))
        assert data.is_dir()
        side.terminate()
    assert not data.parent.exists()


def ends(pid: int) -> bool:
    """Whether it has ended or soon will: one that was killed may still be on its way out."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with open(descriptor) as file:
        return file in select.select([file], [], [], 60)[0]  # pidfd_open(2): readable at its end


def test_a_server_that_does_not_come_up_says_why(tmp_path):
    command = [sys.executable, "-c", "import sys; sys.exit('no port for me')"]
    with (
        pytest.raises(RuntimeError, match="no port for me"),
        servers.program(command, servers.free_port(), tmp_path),
    ):
        pass


def test_a_server_runs_while_it_is_needed_and_no_longer(tmp_path):
    port = servers.free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with servers.program(command, port, tmp_path) as pid:
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_field_of_a_servers_answer():
    assert servers.field_of("# Server\r\nredis_version:7.0.15\r\n", "redis_version") == "7.0.15"
    assert servers.field_of('---\nversion: "1.12"\n', "version") == '"1.12"'
    with pytest.raises(LookupError, match="no field 'x'"):
        servers.field_of("a: 1", "x")


# -- a server by ollama-queue's API alone


async def test_what_a_server_of_the_api_has_done_is_what_counts(seed):
    server = PlainServer(seed.url)
    assert await server.at_once(20) > 0
    assert await server.one_by_one(5) > 0
    assert seed.taken == 25


async def test_a_server_that_ends_connections_is_connected_to_again(seed):
    seed.most_requests = 2
    assert await PlainServer(seed.url).one_by_one(5) > 0
    assert seed.taken == 5


async def test_a_server_whose_tasks_fail_is_not_measured(seed):
    seed.failing = True
    with pytest.raises(NotMeasured, match="3 of 3 tasks failed"):
        await PlainServer(seed.url).one_by_one(3)


async def test_a_server_that_is_none_is_not_measured():
    url = f"http://127.0.0.1:{servers.free_port()}"
    with pytest.raises(NotMeasured, match=url):
        await PlainServer(url).one_by_one(1)


class Seed:
    """POST /api/tasks and GET /api/status, as ollama-queue has them, only. A task is done
    once its server was asked how it is twice: so somebody has to wait for it.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.taken = self.failed = self.pending = 0
        self.failing = False
        self.most_requests = 1_000_000
        """On one connection."""

    def post(self) -> dict[str, object]:
        self.taken += 1
        self.pending += 1
        return {"task_id": str(self.taken), "status": "pending"}

    def status(self) -> dict[str, object]:
        pending, self.pending = self.pending, 0
        self.failed += pending * self.failing
        return {
            "pending_tasks": pending, "running_tasks": 0, "total_tasks": self.taken,
            "failed_tasks": self.failed, "cancelled_tasks": 0,
        }  # fmt: skip

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        taken = 0
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                answer = self.post() if event.target == b"/api/tasks" else self.status()
            elif isinstance(event, h11.EndOfMessage):
                body = json.dumps(answer).encode()
                taken += 1
                last = [("Connection", "close")] * (taken == self.most_requests)
                length = ("Content-Length", str(len(body)))
                head = h11.Response(status_code=200, headers=[length, *last])
                for part in (head, h11.Data(data=body), h11.EndOfMessage()):
                    await stream.send_all(connection.send(part) or b"")
                if last:
                    await stream.aclose()
                    return
                connection.start_next_cycle()
            elif isinstance(event, h11.ConnectionClosed):
                return


@pytest.fixture
async def seed(nursery):
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    made = Seed(listener.socket.getsockname()[1])
    await nursery.start(trio.serve_listeners, made.serve, [listener])
    return made
