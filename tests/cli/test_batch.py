"""`oq batch run` against real servers: what it writes, how it ends, and what kills do to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from openai.types.chat import ChatCompletion

from oq.client import Client
from tests.support.ports import kept_port

pytestmark = pytest.mark.slow  # most start servers and commands as processes

OQ = [sys.executable, "-m", "oq.cli"]
KEEP_ALL = "queue: {max_completed_tasks: 0, max_workers: 16}\n"


class Place:
    """A directory with a server that can be killed and started again, and batches run in it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory, self.port = directory, port
        self.server = f"127.0.0.1:{self.port}"
        self.environ = {name: value for name, value in os.environ.items() if name != "OQ_SERVER"}
        self.environ |= {"HOME": str(directory), "OQ_SERVER": self.server}
        # The simulated model takes all that comes: how many at once is not what is tried here.
        self.environ |= {"OQ_SIMULATED_PARALLEL": "0", "OQ_SIMULATED_LOAD": "0"}
        self.processes: list[subprocess.Popen[bytes]] = []
        (directory / "config.yaml").write_text(KEEP_ALL)

    def start(self, *command: str, **streams: object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([*OQ, *command], cwd=self.directory, env=self.environ, **streams)
        self.processes.append(process)
        return process

    def serve(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A server that answers by the time this returns."""
        process = self.start(
            *["serve", "--port", str(self.port), "--log-level", "error", *arguments],
            stdout=subprocess.PIPE,
        )
        assert self.server.encode() in process.stdout.readline()
        process.stdout.close()
        return process

    def batch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*OQ, "batch", "run", "in.jsonl", "-o", "out.jsonl", *arguments],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
        )

    def write(self, *lines: object) -> None:
        text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        (self.directory / "in.jsonl").write_text(text)

    def out(self) -> dict[str, dict]:
        """The results by custom_id, of which each must be there once."""
        lines = (self.directory / "out.jsonl").read_text().splitlines()
        results = [json.loads(line) for line in lines]
        found = {result["custom_id"]: result for result in results}
        assert len(found) == len(results), Counter(each["custom_id"] for each in results)
        return found

    def until_completed(self, count: int) -> None:
        """Return when the queue has completed that many tasks."""
        with Client(self.server) as client:
            while client.status().completed_tasks < count:
                pass


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture
def place(tmp_path) -> Iterator[Place]:
    with kept_port() as port:
        made = Place(tmp_path, port)
        yield made
        for process in made.processes:
            if process.poll() is None:
                kill(process)


def chat(custom_id: str, text: str = "one two", model: str = "m", **script: object) -> dict:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    if script:
        body["options"] = {"simulate": script}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def generate(custom_id: str, **script: object) -> dict:
    task = {"type": "generate", "model": "m", "payload": {"prompt": "abc"}}
    return {"custom_id": custom_id, **task, "options": {"simulate": script} if script else {}}


def test_each_line_gets_its_result_in_its_own_form(place):
    place.serve("--simulate")
    embed = {"model": "m", "input": ["a", "b"], "encoding_format": "base64"}
    place.write(
        chat("talk"),
        generate("plain"),
        {"custom_id": "vectors", "method": "POST", "url": "/v1/embeddings", "body": embed},
        chat("bad", status=404, error="no such\x1b[31m model"),
        generate("worse", status=404, error="none"),
    )
    done = place.batch()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "oq: 3 of 5 completed, 2 failed\n"
    out = place.out()
    answer = out["talk"]["response"]
    assert answer["status_code"] == 200
    assert out["talk"]["error"] is None
    completion = ChatCompletion.model_validate(answer["body"])
    assert completion.choices[0].message.content.startswith("one two one")
    assert out["talk"]["id"] == f"batch_req_{answer['request_id']}"
    assert out["plain"]["result"]["response"].startswith("abc")
    assert isinstance(out["vectors"]["response"]["body"]["data"][1]["embedding"], str)
    assert out["bad"]["response"] is None
    assert out["bad"]["error"]["code"] == "failed"
    assert "no such" in out["bad"]["error"]["message"]
    assert out["worse"]["result"] is None
    with Client(place.server) as client:
        tasks = {task.metadata["custom_id"]: task for task in client.list()}
    assert {task.priority for task in tasks.values()} == {1}
    assert tasks["plain"].id == out["plain"]["task_id"]


def test_what_is_done_is_not_done_again(place):
    place.serve("--simulate")
    place.write(chat("a"), generate("b"))
    assert place.batch().returncode == 0
    before = (place.directory / "out.jsonl").read_bytes()
    place.write(chat("a"), generate("b"), generate("c"))
    again = place.batch()
    assert (again.returncode, again.stderr) == (
        0,
        "oq: 3 of 3 completed, 2 were in out.jsonl before\n",
    )
    assert (place.directory / "out.jsonl").read_bytes().startswith(before)
    with Client(place.server) as client:
        assert client.status().total_tasks == 3


def test_a_result_that_was_lost_is_had_again_without_another_task(place):
    place.serve("--simulate")
    place.write(chat("a"), generate("b"))
    assert place.batch().returncode == 0
    before = place.out()
    (place.directory / "out.jsonl").unlink()
    assert place.batch().returncode == 0
    assert place.out() == before
    (place.directory / "out.jsonl").unlink()
    assert place.batch("--run", "another").returncode == 0
    assert place.out()["a"]["id"] != before["a"]["id"]
    with Client(place.server) as client:
        assert client.status().total_tasks == 4


def test_a_line_that_was_edited_keeps_no_old_answer_unawares(place):
    place.serve("--simulate")
    place.write(generate("a"), chat("b"))
    assert place.batch().returncode == 0
    before = place.out()
    place.write(generate("a"), chat("b", "something else"))
    refused = place.batch()
    assert refused.returncode == 2
    assert "in.jsonl:2: lines edited since out.jsonl answered them: 1, so nothing" in refused.stderr
    assert place.out() == before
    kept = place.batch("--changed", "keep", "--priority", "high")
    assert (kept.returncode, place.out()) == (0, before)
    again = place.batch("--changed", "rerun")
    assert again.returncode == 0
    assert again.stderr.startswith("oq: lines edited since they were answered, and run again: 1\n")
    after = place.out()
    assert after["a"] == before["a"]
    answer = after["b"]["response"]["body"]["choices"][0]["message"]["content"]
    assert answer.startswith("something else")
    assert place.batch().returncode == 0, "and that is what was asked for from now on"


def test_answers_of_an_earlier_oq_count(place):
    place.serve("--simulate")
    place.write(generate("a"))
    assert place.batch().returncode == 0
    old = {name: value for name, value in place.out()["a"].items() if name != "asked"}
    (place.directory / "out.jsonl").write_text("\ufeff" + json.dumps(old) + "\n")
    place.write(generate("a", tokens=3))
    assert place.batch().returncode == 0


def test_bad_lines_are_told_before_anything_is_submitted(place):
    place.serve("--simulate")
    place.write(generate("a"), "{", "", generate("a"), chat("b") | {"url": "/v1/x"})
    done = place.batch()
    assert done.returncode == 2
    told = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in told[:3]] == ["in.jsonl:2", "in.jsonl:4", "in.jsonl:5"]
    assert "3 of 4 lines are bad, so nothing was submitted" in told[3]
    assert not (place.directory / "out.jsonl").exists()
    with Client(place.server) as client:
        assert client.status().total_tasks == 0
    done = place.batch("--keep-going")
    assert done.returncode == 1
    codes = {name: (each["error"] or {}).get("code") for name, each in place.out().items()}
    bad = "invalid_line"
    assert codes == {"a": None, "line-2": bad, "line-4": bad, "b": bad}


def test_from_the_standard_input_to_the_standard_output(place):
    place.serve("--simulate")
    done = subprocess.run(
        [*OQ, "batch", "run", "-", "-o", "-", "--model", "other"],
        cwd=place.directory,
        env=place.environ,
        input=json.dumps(generate("a")) + "\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["result"]["model"] == "other"


def test_a_task_that_the_server_refuses_is_that_lines_own_error(place):
    (place.directory / "config.yaml").write_text("queue: {max_payload: 2000}\n")
    place.serve("--simulate")
    place.write(chat("long", "x" * 3000), chat("short"))
    assert place.batch().returncode == 1
    assert place.out()["long"]["error"]["code"] in ("too_large", "invalid_request")
    assert place.out()["short"]["error"] is None


def test_a_full_queue_is_waited_for(place):
    (place.directory / "config.yaml").write_text("queue: {max_pending: 2, max_workers: 1}\n")
    place.serve("--simulate")
    place.write(*(generate(f"g{i}") for i in range(20)))
    done = place.batch("--window", "10")
    assert done.returncode == 0, done.stderr
    assert len(place.out()) == 20


def test_a_paused_queue_is_said_while_nothing_ends(place):
    place.serve("--simulate")
    place.write(generate("a"))
    with Client(place.server) as client:
        client.pause()
        running = place.start(
            *["batch", "run", "in.jsonl", "-o", "out.jsonl"], stderr=subprocess.PIPE, text=True
        )
        assert "waiting: the queue is paused" in running.stderr.readline()
        client.resume()
    assert running.wait(60) == 0
    running.stderr.close()


def test_no_server_is_exit_3_at_once(place):
    place.write(generate("a"))
    done = place.batch()
    assert done.returncode == 3
    assert "no oq server" in done.stderr


def test_a_server_that_stays_away_is_given_up(place):
    server = place.serve("--simulate")
    place.write(generate("a", delay=600))
    client = place.start(
        *["batch", "run", "in.jsonl", "-o", "out.jsonl", "--patience", "1s"], stderr=subprocess.PIPE
    )
    with Client(place.server) as asking:
        while not asking.status().running_tasks:
            pass
    kill(server)
    _, told = client.communicate(timeout=60)
    assert client.returncode == 3
    assert b"0 of 1 completed, 1 left: run it again" in told


def test_ctrl_c_leaves_the_tasks_in_the_queue(place):
    place.serve("--simulate")
    place.write(generate("a", delay=600))
    client = place.start(*["batch", "run", "in.jsonl", "-o", "out.jsonl"], stderr=subprocess.PIPE)
    with Client(place.server) as asking:
        while not asking.status().running_tasks:
            pass
        client.send_signal(signal.SIGINT)
        _, told = client.communicate(timeout=60)
        assert client.returncode == 130
        assert told == b"oq: 0 of 1 completed, 1 left: run it again in the same way to go on\n"
        assert asking.status().running_tasks == 1


@contextmanager
def stubborn() -> Iterator[tuple[str, set[str]]]:
    """An Ollama without any model but those in a set, to which some can be added."""
    models = {"m"}

    class Ollama(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, {"version": "0"})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = asked["model"] in models
            end = {"model": asked["model"], "response": "yes", "done": True, "done_reason": "stop"}
            self._say(200 if known else 404, end if known else {"error": "no such model"})

        def _say(self, status: int, document: dict) -> None:
            body = json.dumps(document).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ollama)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", models
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_failed_is_tried_again_as_the_same_task(place):
    with stubborn() as (ollama, models):
        server = place.serve("--ollama-host", ollama)
        place.write(generate("good"), *(generate(f"g{i}") | {"model": "late"} for i in range(3)))
        assert place.batch().returncode == 1
        assert sorted(name for name, each in place.out().items() if each["error"]) == [
            "g0",
            "g1",
            "g2",
        ]
        ids = {name: each["task_id"] for name, each in place.out().items()}
        assert place.batch().returncode == 1, "what failed stays so, unless it is asked for"
        still = place.batch("--retry-failed")
        assert (still.returncode, len(place.out())) == (1, 4)
        models.add("late")
        done = place.batch("--retry-failed")
        assert done.returncode == 0, done.stderr
        assert {name: each["task_id"] for name, each in place.out().items()} == ids
        with Client(place.server) as client:
            tasks = client.list(model="late")
            assert [len(task.attempts) for task in tasks] == [3, 3, 3]
        kill(server)


def submitted(server: str) -> Counter[str]:
    """How many tasks there are for each custom_id, and that each ran as often as it had to."""
    with Client(server) as client:
        tasks = client.list(limit=100_000)
    again = [task for task in tasks if len(task.attempts) > 1]
    # Two kills of the server: those that ran, and those whose end was on its way to the disk.
    assert len(again) <= 2 * 2 * 16, "only what a kill of the server interrupted ran again"
    assert all(len(task.attempts) <= 3 for task in again)
    return Counter(task.metadata["custom_id"] for task in tasks)


@pytest.mark.slow
def test_two_thousand_lines_and_three_kills(place):
    """Client and server are killed, one after the other: each line has one task and one result."""
    lines = [(chat if i % 2 else generate)(f"line {i}", delay=0.02) for i in range(2000)]
    place.write(*lines)
    command = ["batch", "run", "in.jsonl", "-o", "out.jsonl", "--window", "64"]
    server = place.serve("--simulate")

    client = place.start(*command, stderr=subprocess.DEVNULL)
    place.until_completed(300)
    kill(client)
    with (place.directory / "out.jsonl").open("ab") as out:
        out.write(b'{"id":"batch_req_torn')  # what a kill in the middle of a write leaves

    client = place.start(*command, stderr=subprocess.DEVNULL)
    place.until_completed(800)
    kill(server)
    server = place.serve("--simulate")
    place.until_completed(1300)
    kill(server)
    kill(client)

    server = place.serve("--simulate")
    done = place.batch("--window", "64")
    assert done.returncode == 0, done.stderr
    expected = {line["custom_id"] for line in lines}
    assert place.out().keys() == expected
    assert all(result["error"] is None for result in place.out().values())
    assert submitted(place.server) == Counter(expected)

    assert place.batch().returncode == 0
    assert place.out().keys() == expected
    assert submitted(place.server) == Counter(expected)
