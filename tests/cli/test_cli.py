"""The `oq` command against a real server whose answers are simulated."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from oq.cli.app import oq
from oq.cli.exits import run
from oq.client import Client, generate

OQ = [sys.executable, "-m", "oq.cli"]


@contextmanager
def serving(directory: Path, *arguments: str):
    """A real `oq serve --simulate` on a free port; gives its URL."""
    environ = {name: value for name, value in os.environ.items() if name != "OQ_SERVER"}
    process = subprocess.Popen(
        [*OQ, "serve", "--simulate", "--port", "0", "--data-dir", "data", *arguments],
        cwd=directory,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    try:
        assert "SIMULATED" in line, process.communicate()
        yield line.split()[3].rstrip(";")
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture(autouse=True)
def _nowhere(tmp_path, monkeypatch):
    """No settings but a test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OQ_SERVER", raising=False)


@pytest.fixture
def call(server, monkeypatch, capsys):
    """Run a command against the server: its exit code, output and error."""
    monkeypatch.setenv("OQ_SERVER", server)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(oq, arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def paused(call):
    """While the queue is paused, tasks stay pending."""
    assert call("pause")[0] == 0
    yield
    assert call("resume")[0] == 0


def test_submit_prints_the_id_and_result_the_answer(call):
    code, out, err = call("submit", "chat", "--model", "m", "--messages", "user:one two")
    assert (code, err) == (0, "")
    task_id = out.strip()
    code, out, err = call("result", task_id, "--wait")
    assert (code, err) == (0, "")
    assert out.startswith("one two one two")


def test_a_limit_of_the_wait_is_told_to_the_server(call):
    submit = ("submit", "generate", "-m", "m", "--prompt", "abc", "--max-wait")
    assert call(*submit, "1h")[0] == 0
    code, out, err = call(*submit, "soon")
    assert (code, out) == (2, "")
    assert "soon" in err
    assert "Traceback" not in err


def test_wait_prints_the_answer_at_once(call):
    assert call("submit", "generate", "-m", "m", "--prompt", "abc", "--wait")[1].startswith("abc")
    code, out, _ = call("submit", "embed", "-m", "m", "--input", "a", "--input", "b", "--wait")
    assert code == 0
    assert [len(line.split()) for line in out.splitlines()] == [8, 8]


def test_everything_that_can_be_asked_for_arrives(call, paused):
    code, out, err = call(
        *["submit", "chat", "--model", "m", "--system", "be brief"],
        *["--messages", "assistant:a", "--messages", "USER: http://x:y", "--priority", "high"],
        *["--options", '{"seed": 1}', "--option", "temperature=0.5", "--option", "stop=END"],
        *["--max-retries", "7", "--run-at", "2099-01-31T12:00:00Z", "--timeout", "1m30s"],
        *["--metadata", '{"for": "me"}', "--output", "json"],
    )
    assert (code, err) == (0, "")
    task = json.loads(call("status", json.loads(out)["task_id"], "-o", "json")[1])
    assert task["payload"] == {
        "messages": [
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": " http://x:y"},
        ],
        "system": "be brief",
    }
    assert task["options"] == {"seed": 1, "temperature": 0.5, "stop": "END"}
    assert task["metadata"] == {"for": "me"}
    assert (task["priority"], task["max_retries"], task["timeout"]) == (10, 7, 90)
    assert task["run_at"] == "2099-01-31T12:00:00Z"


def test_messages_may_be_json(call, paused):
    messages = [{"role": "user", "content": "hi", "images": ["aGk="]}]
    _, out, _ = call("submit", "chat", "-m", "m", "--messages", json.dumps(messages))
    task = json.loads(call("status", out.strip(), "-o", "json")[1])
    assert task["payload"]["messages"] == messages


def test_texts_come_from_the_standard_input(server):
    arguments = ["submit", "generate", "-m", "m", "--prompt", "-", "--wait", "--server", server]
    done = subprocess.run(
        [*OQ, *arguments], input="from öutside\n", capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("from öutside from")


@pytest.fixture
def time_zone(monkeypatch):
    """Choose the zone of this process, as POSIX writes it: JST-9 is nine hours ahead."""

    def choose(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield choose
    monkeypatch.delenv("TZ", raising=False)
    time.tzset()


@pytest.mark.parametrize("zone", ["JST-9", "UTC0", "PST8"])
def test_a_time_at_the_end_of_all_years_can_be_shown(call, time_zone, zone):
    time_zone(zone)
    due = "9999-12-31T23:59:59Z"
    code, out, _ = call("submit", "generate", "-m", "m", "--prompt", "x", "--run-at", due)
    assert code == 0
    task_id = out.strip()
    for command in (["list"], ["status", task_id], ["status"]):
        for form in ("plain", "table", "json"):
            code, out, err = call(*command, "-o", form)
            assert (code, err) == (0, ""), (command, form)
    assert "9999-12-31" in call("status", task_id, "-o", "plain")[1]
    assert "in 79" in call("list", "-o", "table")[1].replace("\n", " ")
    assert call("cancel", task_id)[0] == 0


def test_times_are_those_of_the_user_and_in_json_utc(call, time_zone, paused):
    time_zone("JST-9")
    due = "2099-12-31T20:00:00Z"
    _, out, _ = call("submit", "generate", "-m", "m", "--prompt", "x", "--run-at", due)
    task_id = out.strip()
    try:
        for command in (["list"], ["status", task_id]):
            shown = call(*command, "-o", "plain")[1]
            assert "2100-01-01 05:00:00+09:00" in shown, command
        assert "2100-01-01 05:00:00+09:00" in call("status", task_id, "-o", "table")[1]
        assert json.loads(call("status", task_id, "-o", "json")[1])["run_at"] == due
        listed = json.loads(call("list", "-o", "json")[1])
        assert due in [task.get("run_at") for task in listed]
    finally:
        call("cancel", task_id)


BOMS = {"utf-8-sig": "", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-32": "UTF-32"}


@pytest.mark.parametrize("encoding", BOMS)
def test_the_mark_of_an_encoding_is_no_part_of_a_prompt(encoding, server):
    done = subprocess.run(
        [*OQ, "submit", "generate", "-m", "m", "--prompt", "-", "--wait", "--server", server],
        input="abc def\r\n".encode(encoding),
        capture_output=True,
    )
    if BOMS[encoding]:
        assert (done.returncode, done.stdout) == (2, b"")
        assert BOMS[encoding] in done.stderr.decode()
    else:
        assert done.stdout.startswith(b"abc def abc"), done


def test_list_and_its_filters(call, paused):
    _, first, _ = call("submit", "generate", "-m", "listed", "--prompt", "a", "-p", "3")
    _, second, _ = call("submit", "embed", "-m", "listed", "--input", "a")
    first, second = first.strip(), second.strip()

    def ids(*filters: str) -> list[str]:
        code, out, err = call("list", "--model", "listed", *filters)
        assert (code, err) == (0, "")
        return [line.split("\t")[0] for line in out.splitlines()]

    assert ids() == [second, first]
    assert ids("--type", "embed") == [second]
    assert ids("--priority", "3", "--priority", "high") == [first]
    assert ids("--status", "running") == []
    assert ids("--limit", "1") == [second]
    tasks = json.loads(call("list", "--model", "listed", "--output", "json")[1])
    assert [task["id"] for task in tasks] == [second, first]
    table = call("list", "--model", "listed", "--output", "table")[1]
    assert first in table
    assert table.splitlines()[0].split()[:2] == ["id", "status"]


def test_the_life_of_a_task_by_hand(call, paused):
    task_id = call("submit", "generate", "-m", "m", "--prompt", "a")[1].strip()
    assert call("priority", task_id, "critical")[0] == 0
    assert "priority\t15" in call("status", task_id)[1]
    assert call("cancel", task_id) == (0, f"{task_id} cancelled\n", "")
    assert call("retry", task_id) == (0, f"{task_id} queued again\n", "")
    assert call("cancel", task_id)[0] == 0
    assert call("delete", task_id) == (0, f"{task_id} deleted\n", "")
    code, out, err = call("status", task_id)
    assert (code, out, err) == (1, "", f"oq: there is no task '{task_id}'\n")


def test_a_response_in_the_background_is_shown_with_its_id(call, server):
    body = {"model": "m", "input": "a", "background": True}
    response = httpx.post(f"{server}/v1/responses", json=body)
    task_id = response.headers["X-OQ-Task-ID"]
    assert f"response\t{response.json()['id']}\n" in call("status", task_id)[1]
    plain = call("submit", "generate", "-m", "m", "--prompt", "a", "--metadata", '{"path": "x"}')
    assert "response\t" not in call("status", plain[1].strip())[1]


def test_one_that_cannot_be_done_does_not_keep_the_others_back(call, paused):
    task_id = call("submit", "generate", "-m", "m", "--prompt", "a")[1].strip()
    code, out, err = call("cancel", "nobody", task_id)
    assert (code, out) == (1, f"{task_id} cancelled\n")
    assert err == "oq: there is no task 'nobody'\n"


def test_the_queues_status(call, paused):
    call("submit", "generate", "-m", "m", "--prompt", "a", "-p", "4")
    plain = dict(line.split("\t") for line in call("status")[1].splitlines())
    assert plain["paused"] == "true"
    assert int(plain["priority 4"]) >= 1
    assert re.search(r"up, \d of \d running", plain["backend simulated"])
    assert json.loads(call("status", "-o", "json")[1])["queues_by_priority"]["4"] >= 1
    table = call("status", "-o", "table")[1]
    assert "oq resume" in table


@pytest.mark.parametrize(
    ("path", "body", "shown"),
    [
        ("/api/chat", {"messages": [{"role": "user", "content": "hi"}]}, "hi hi"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}, "hi hi"),
        ("/v1/completions", {"prompt": "hi"}, "hi hi"),
        ("/v1/embeddings", {"input": "hi"}, "0."),
        ("/api/embeddings", {"prompt": "hi"}, "0."),
    ],
)
def test_the_result_of_a_call(call, server, path, body, shown):
    answer = httpx.post(server + path, json={"model": "m", **body})
    code, out, _ = call("result", answer.headers["X-OQ-Task-ID"])
    assert code == 0
    assert shown in out
    assert "{" not in out


def test_a_result_that_is_not_there(call, paused):
    task_id = call("submit", "generate", "-m", "m", "--prompt", "a")[1].strip()
    code, out, err = call("result", task_id)
    assert (code, out) == (1, "")
    assert err == f"oq: task {task_id} is pending; --wait waits until it has ended\n"
    call("cancel", task_id)
    assert call("result", task_id)[2] == f"oq: task {task_id} was cancelled\n"


def test_a_task_that_fails(call):
    script = 'simulate={"status": 404, "error": "no such\\u001b[31m model"}'
    code, out, err = call(
        "submit", "generate", "-m", "m", "--prompt", "a", "--option", script, "--wait"
    )
    assert (code, out) == (1, "")
    assert "no such\\x1b[31m model" in err
    assert "\x1b" not in call("list", "--status", "failed", "-o", "table")[1]
    assert "\x1b" not in call("list", "--status", "failed", "-o", "json")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["submit", "chat", "-m", "m", "--messages", "hello"],
            "'hello' does not begin with a role",
        ),
        (["submit", "chat", "-m", "m", "--messages", "{}x"], "is not a JSON array of messages"),
        (["submit", "chat", "-m", "m"], "Missing option '--messages'"),
        (
            ["submit", "generate", "-m", "m", "--prompt", "a", "--options", "[]"],
            "not a JSON object",
        ),
        (["submit", "generate", "-m", "m", "--prompt", "a", "--option", "a"], "is not KEY=VALUE"),
        (["submit", "generate", "-m", "m", "--prompt", "a", "--run-at", "soon"], "is not a time"),
        (
            ["submit", "generate", "-m", "m", "--prompt", "a", "--timeout", "-1"],
            "between 0 and ten",
        ),
        (["submit", "generate", "-m", "m", "--prompt", "a", "-p", "urgent"], "'urgent' is neither"),
        (["submit", "generate", "-m", "", "--prompt", "a"], "is not a name"),
        (["list", "--limit", "-1"], "-1 is not in the range"),
        (["list", "--status", "done"], "'done' is not one of"),
        (["list", "--priority", "urgent"], "priority"),
        (["cancle", "x"], "there is no command 'cancle'; did you mean cancel?"),
        (["status", "--server", "a b"], "'a b' is not a server address"),
        (["serve", "--simulate", "--ollama-host", "x"], "cannot be used together"),
        (["serve", "--port", "99999"], "99999 is not in the range"),
        (["status", ""], "is not a task's id"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(arguments, message, call):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("oq: ")
    assert err.count("\n") == 1


def test_no_server_is_exit_3_and_says_how_to_start_one(capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        for command in (["status"], ["cancel", "a", "b"], ["list"]):
            assert run(oq, [*command, "--server", address]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert (
        lines
        == [f"oq: no oq server at http://{address}: connection refused; start one with `oq serve`"]
        * 3
    )


def test_the_server_is_found_by_option_then_variable_then_settings(server, monkeypatch, capsys):
    port = server.rpartition(":")[2]
    Path("config.yaml").write_text(f"server: {{port: {port}}}\n")
    assert run(oq, ["status"]) == 0
    monkeypatch.setenv("OQ_SERVER", "127.0.0.1:1")
    assert run(oq, ["status"]) == 3
    assert run(oq, ["status", "--config", "config.yaml"]) == 0
    assert run(oq, ["status", "--server", server]) == 0
    Path("config.yaml").write_text("server: {prot: 1}\n")
    monkeypatch.delenv("OQ_SERVER")
    capsys.readouterr()
    assert run(oq, ["status"]) == 2
    assert capsys.readouterr().err.startswith("oq: config.yaml:1: server.prot: unknown key")


@pytest.mark.slow
def test_a_second_server_on_the_same_data_is_told_who_has_it(tmp_path):
    with serving(tmp_path):
        second = subprocess.run(
            [*OQ, "serve", "--simulate", "--port", "0", "--data-dir", "data"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert second.returncode == 1
    assert "is in use by process" in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line(server):
    port = server.rpartition(":")[2]
    done = subprocess.run(
        [*OQ, "serve", "--simulate", "--port", port], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"127.0.0.1:{port} is in use" in done.stderr
    assert done.stderr.count("\n") == 1


def test_ctrl_c_while_waiting_says_that_the_task_goes_on(server):
    script = 'simulate={"delay": 600}'
    command = ["submit", "generate", "-m", "interrupted", "--prompt", "a", "--option", script]
    process = subprocess.Popen(
        [*OQ, *command, "--wait", "--server", server],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with Client(server) as client:
        told = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (130, "")
        assert "the task goes on" in err
        [task] = client.list(model="interrupted")
        assert task.id in told
        client.cancel(task.id)


# -- many tasks at once


@pytest.fixture
def several(call, paused):
    """Three pending tasks of a model that nothing else has: their ids, the oldest first."""
    submit = ["submit", "generate", "-m", "several", "--prompt"]
    yield [call(*submit, text)[1].strip() for text in ("one needle", "two", "three needle")]
    call("cancel", "--model", "several", "--yes")
    call("delete", "--model", "several", "--yes")


def test_filters_take_several_after_commas(call, several):
    def listed(*filters: str) -> list[str]:
        code, out, err = call("list", "--model", "several,other", *filters)
        assert (code, err) == (0, "")
        return [line.split("\t")[0] for line in out.splitlines()]

    first, second, third = several
    assert listed("--status", "pending,failed") == [third, second, first]
    assert listed("--status", "failed, cancelled") == []
    assert listed("--text", "needle", "--sort", "oldest") == [first, third]
    assert listed("--offset", "1", "--limit", "1") == [second]
    assert listed("--limit", "0", "--since", "1h") == [third, second, first]
    assert listed("--until", "2020-01-01") == []
    assert call("list", "--model", "several", "-v")[1].splitlines()[2].endswith("one needle")
    assert call("count", "--model", "several", "--text", "needle")[1] == "2\n"
    assert json.loads(call("count", "-o", "json", "--model", "several")[1])["count"] == 3


@pytest.mark.parametrize("form", [["-o", "table"], ["-o", "plain"], ["-o", "plain", "-v"]])
def test_a_listing_for_people_fetches_no_payloads(form, call, several, server, monkeypatch):
    with Client(server) as client:
        client.submit(generate("several", "x" * 900_000, run_at="2099-01-01T00:00:00Z"))
    send, fetched = httpx.HTTPTransport.handle_request, []

    def noted(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        response = send(transport, request)
        fetched.append(len(response.read()))
        return response

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", noted)
    code, out, _ = call("list", "--model", "several", *form)
    assert code == 0
    assert all(task_id in out for task_id in several)
    assert 0 < sum(fetched) < 10_000


def test_many_are_changed_by_filters_after_asking_back(call, several):
    code, out, err = call("cancel", "--model", "several", "--text", "needle")
    assert (code, out) == (2, "")
    assert "this would cancel 2 tasks; add --yes" in err
    assert call("priority", "high", "--model", "several", "-y")[1] == (
        "3 of 3 tasks: has priority high\n"
    )
    code, out, err = call("cancel", "--model", "several", "--text", "needle", "--yes")
    assert (code, out, err) == (0, "2 of 2 tasks: cancelled\n", "")
    code, out, err = call("retry", "--model", "several", "--status", "pending", "--yes")
    assert (code, out) == (1, "0 of 1 tasks: queued again\n")
    assert several[1] in err
    assert call("retry", "--model", "nobody")[1] == "no tasks match\n"


@pytest.mark.parametrize("arguments", [["cancel"], ["cancel", "x", "--status", "failed"]])
def test_which_tasks_are_meant_must_be_said_once(arguments, call):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert "filters such as --status failed" in err


def test_backends_and_stats(call):
    assert call("submit", "generate", "-m", "m", "--prompt", "x", "--wait")[0] == 0
    assert call("backends")[1].split("\t")[:2] == ["simulated", "simulated"]
    assert json.loads(call("backends", "-o", "json")[1])[0]["up"] is True
    assert "up" in call("backends", "-o", "table")[1]
    rows = [line.split("\t") for line in call("stats")[1].splitlines()]
    assert sum(int(row[2]) for row in rows) >= 1
    assert "last 15m" in call("stats", "-o", "table")[1]
    assert call("stats", "--model", "unknown")[1] == ""
    assert json.loads(call("stats", "--window", "24h", "-o", "json")[1])["interval"] == 300


def test_a_model_is_paused_and_shown(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = call("pause", "--model", "halted:latest")
    assert (code, out) == (
        0, "halted:latest is paused; `oq resume --model NAME` starts its tasks again\n"
    )  # fmt: skip
    task_id = call("submit", "generate", "-m", "halted", "--prompt", "x")[1].strip()
    assert "why it waits    halted is paused" in call("status", task_id, "-o", "table")[1]
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in call("models")[1].splitlines()}
    assert rows["halted"][:3] == ["1", "0", "true"]
    table = call("models", "-o", "table", "--window", "24h")[1]
    (shown,) = [line.split() for line in table.splitlines() if line.startswith("halted")]
    assert shown[1:3] == ["(paused)", "1"]
    assert json.loads(call("models", "-o", "json")[1])["interval"] == 10
    assert "halted; `oq resume --model NAME`" in call("status", "-o", "table")[1]
    assert "paused_models\thalted\n" in call("status", "-o", "plain")[1]
    assert call("resume", "--model", "halted")[1] == "tasks of halted start again\n"
    assert call("result", task_id, "--wait")[0] == 0
    assert call("pause", "--model", "")[0] == 2


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_nothing_of_a_task_is_eaten_by_its_id(columns, call, several, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    out = call("list", "--model", "several", "-o", "table")[1]
    for task_id in several:
        assert task_id in out
    assert out.count("several") == 3
    assert out.count("in line") == 3
    assert max(map(len, out.splitlines())) <= int(columns)


# -- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_is_printed(shell, call):
    code, out, err = call("completion", shell)
    assert (code, err) == (0, "")
    assert "_OQ_COMPLETE" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [("oq ca", "plain,cancel\n"), ("oq list --so", "plain,--sort\n"), ("oq nonsense x", "\n")],
)
def test_words_are_completed(words, expected):
    asked = {"_OQ_COMPLETE": "bash_complete", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(len(words.split()) - 1)
    done = subprocess.run(OQ, env=os.environ | asked, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (expected, "")
