"""The benchmark's processes end with it, however it ends, and leave nothing behind."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from bench.children import INTERRUPTS, helper, interruptible

ECHO = """
import os, sys
print(os.getsid(0), flush=True)
for line in sys.stdin:
    print(line.strip()[::-1], flush=True)
sys.exit({code})
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A program that says which session it is in, and then answers lines."""

    def make(code=0):
        (tmp_path / "echo.py").write_text(ECHO.format(code=code))
        return "echo"

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return make


def test_a_helper_answers_line_for_line_in_a_session_of_its_own(module):
    with helper(module()) as started:
        assert int(started.answer()) != os.getsid(0)
        assert started.ask("abc") == b"cba\n"


def test_a_helper_that_ends_badly_is_told(module):
    with pytest.raises(RuntimeError, match="echo ended with 3"), helper(module(code=3)) as started:
        started.answer()


def test_a_helper_is_gone_when_its_block_fails(module):
    with suppress(ZeroDivisionError), helper(module()) as started:
        pid = os.pidfd_open(int(started.answer()))
        raise ZeroDivisionError
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(pid, 0)
    os.close(pid)


def interrupted():
    raise KeyboardInterrupt


async def in_a_nursery():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()


@pytest.mark.parametrize("main", [interrupted, lambda: trio.run(in_a_nursery)])
def test_an_interrupt_is_one_line(main, capsys, monkeypatch):
    handlers = {number: signal.getsignal(number) for number in INTERRUPTS}
    try:
        assert interruptible(main) == 130
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert capsys.readouterr().err == "\ninterrupted; nothing is saved, and nothing runs on\n"


def in_the_background_of_a_script(script):
    """Run it as a shell runs `python -c SCRIPT &` in a script: with SIGINT ignored."""
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        timeout=60,
        text=True,
    )


@pytest.mark.parametrize(
    "main", ["signal.raise_signal(signal.SIGTERM)", "trio.run(tests.in_a_nursery)"]
)
def test_sigterm_ends_a_run_that_was_started_with_sigint_ignored(main):
    done = in_the_background_of_a_script(
        "import signal, sys, trio; from tests.bench import test_children as tests\n"
        f"sys.exit(tests.interruptible(lambda: {main}))"
    )
    assert done.stderr == "\ninterrupted; nothing is saved, and nothing runs on\n"
    assert done.returncode == 130


def test_what_a_test_starts_hears_sigint_though_the_suite_was_started_with_it_ignored():
    done = in_the_background_of_a_script(
        "import signal, subprocess, sys, tests.conftest\n"
        "child = 'import signal; print(signal.getsignal(signal.SIGINT).__name__)'\n"
        "subprocess.run([sys.executable, '-c', child], check=True)"
    )
    assert (done.stdout, done.stderr) == ("default_int_handler\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_nothing(number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "--only", "growth", "--scale", "0.05"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert "growth: submitting 50,000 tasks\n" in iter(process.stderr.readline, "")
    os.killpg(process.pid, number)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert said == "\ninterrupted; nothing is saved, and nothing runs on\n"
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
