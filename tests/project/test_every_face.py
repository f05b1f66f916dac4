"""The smoke run, which other versions are tried with, goes through every face of oq."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_one_task_goes_through_each_face():
    command = [sys.executable, "-m", "tests.every_face"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    faces = [line.removesuffix(": ok") for line in done.stdout.splitlines()[1:]]
    assert faces == [
        "HTTP", "the client", "the async client on trio", "the async client on asyncio",
        "WebSocket", "the command line", "embedded", "blocking", "checksums",
    ]  # fmt: skip
