"""The standard output and error of the command: closed, full, without a reader, in any encoding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oq.client import Client, generate
from tests.support.servers import served

pytestmark = pytest.mark.slow  # most start servers and commands as processes

OQ = [sys.executable, "-m", "oq.cli"]
SUBMIT = ["submit", "generate", "-m", "m", "--prompt", "abc"]
BATCH = ["batch", "run", "in.jsonl", "-o", "out.jsonl"]
WAYS = {"closed": "&-", "full": "/dev/full"}


@pytest.fixture(scope="module")
def server():
    with served() as server:
        yield server


@pytest.fixture
def environ(server, tmp_path):
    return os.environ | {"OQ_SERVER": server.url, "HOME": str(tmp_path)}


def redirected(
    redirection: str, arguments: list[str], environ: dict[str, str], directory: Path
) -> subprocess.CompletedProcess[bytes]:
    """The command, with a stream of it redirected as a shell does."""
    script = f'exec "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", script, "sh", *OQ, *arguments],
        capture_output=True,
        env=environ,
        cwd=directory,
        timeout=60,
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("arguments", [[*SUBMIT, "--wait"], [*SUBMIT, "--stream"], ["status"]])
def test_what_cannot_be_said_is_dropped(way, arguments, environ, tmp_path):
    done = redirected(f"2>{WAYS[way]}", arguments, environ, tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_runs_and_succeeds_without_an_error_stream(way, environ, tmp_path):
    task = {"custom_id": "a", "type": "generate", "model": "m", "payload": {"prompt": "abc"}}
    (tmp_path / "in.jsonl").write_text(json.dumps(task))
    done = redirected(f"2>{WAYS[way]}", BATCH, environ, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (result,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert (result["custom_id"], result["error"]) == ("a", None)


@pytest.mark.parametrize(
    ("way", "why"), [("closed", "Bad file descriptor"), ("full", "No space left on device")]
)
@pytest.mark.parametrize("arguments", [["status"], ["--version"], ["config", "--help"], SUBMIT])
def test_an_output_that_cannot_be_written_is_one_line_and_exit_1(
    way, why, arguments, environ, tmp_path
):
    done = redirected(f">{WAYS[way]}", arguments, environ, tmp_path)
    assert (done.returncode, done.stderr.decode()) == (1, f"oq: {why}: the standard output\n")


def test_neither_stream_is_exit_1_in_silence(environ, tmp_path):
    done = redirected(">&- 2>&-", ["status"], environ, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


@pytest.mark.parametrize("streams", ["stdout", "stderr", "both"])
def test_a_reader_that_has_left_stops_no_work(streams, server, environ, tmp_path):
    with Client(server.url) as client:
        client.pause()
        ids = [client.submit(generate("m", "abc")) for _ in range(300)]  # more than a buffer holds
        gone = reader_gone()
        try:
            where = {
                name: gone if streams in (name, "both") else subprocess.DEVNULL
                for name in ("stdout", "stderr")
            }
            done = subprocess.run([*OQ, "cancel", *ids], env=environ, cwd=tmp_path, **where)
        finally:
            os.close(gone)
            client.resume()
        assert {client.get(task_id).status for task_id in ids} == {"cancelled"}
    assert done.returncode == (0 if streams == "stderr" else 141)


def reader_gone() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_an_encoding_lacks_is_written_as_its_number(encoding, environ, tmp_path):
    text = "price: 5 \u20ac \U0001f600 \u4e2d"
    prompt = [*SUBMIT[:-1], text, "--wait"]
    done = redirected("", prompt, environ | {"PYTHONIOENCODING": encoding}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert text.encode(encoding, "backslashreplace") in done.stdout
