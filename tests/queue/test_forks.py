"""A process that forks while it has a queue open: gunicorn --preload, multiprocessing, os.fork."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# The child's words go to the standard output at once: it must not share a buffer with its parent.
HEAD = """
import gc, os, sys, warnings
import oq, trio
warnings.simplefilter("ignore", DeprecationWarning)  # that threads and forks do not go together
BACKEND = {"name": "s", "kind": "simulated"}
def say(what):
    os.write(1, f"{what}\\n".encode())
def open_queue(path="./data"):
    return oq.BlockingQueue(backends=[BACKEND], storage_path=path)
def fork(child, *args):
    pid = os.fork()
    if pid == 0:
        child(*args)
        sys.exit(7)
    say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
def works(queue):
    say(queue.get(queue.submit(oq.embed("m", "x")), wait=10).status)
"""


def run(script: str, folder: Path) -> list[str]:
    """What the program says: its children first, then how they ended, then itself."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "child",
    [
        "pass",
        "queue.close()",
        "queue.__exit__(None, None, None)",
        "queue.__init__ and globals().pop('queue'); gc.collect()",
    ],
)
def test_a_child_lets_go_of_its_parents_queue(child: str, tmp_path: Path):
    script = f"""
queue = open_queue()
def child():
    {child}
fork(child)
works(queue)
queue.close()
"""
    assert run(script, tmp_path) == ["7", "completed"]


def test_a_child_of_one_that_had_a_queue_open_ends_well(tmp_path: Path):
    script = """
queue = open_queue()
queue.close()
fork(lambda: None)
"""
    assert run(script, tmp_path) == ["7"]


@pytest.mark.parametrize("close", ["pass", "queue.close()"])
@pytest.mark.parametrize("path", ["./data", "./other"])
def test_a_child_cannot_open_another_and_is_told_so(close: str, path: str, tmp_path: Path):
    """RocksDB would wait for threads that are not here, for ever."""
    script = f"""
queue = open_queue()
{close}
def child():
    try:
        open_queue({path!r})
    except oq.StoreError as error:
        say(error)
fork(child)
queue.close()
"""
    error, code = run(script, tmp_path)
    assert "cannot open one; open queues only after the fork, or use oq.Client" in error
    assert code == "7"


def test_a_child_of_one_without_a_queue_may_open_one(tmp_path: Path):
    script = """
def child():
    with open_queue() as own:
        works(own)
fork(child)
"""
    assert run(script, tmp_path) == ["completed", "7"]


def test_a_child_cannot_touch_its_parents_store(tmp_path: Path):
    script = """
from oq.store import open_store
store = open_store("./data")
def child():
    for use in (lambda: store.write([], 1), store.running, lambda: store.result("0" * 32)):
        try:
            use()
        except oq.StoreError as error:
            say("opened before the process forked" in str(error))
    store.close()
fork(child)
say(os.path.exists("data/holder"))
store.write([], 1)
store.close()
"""
    assert run(script, tmp_path) == ["True", "True", "True", "7", "True"]


def test_a_reloaders_child_is_told_who_has_the_directory(tmp_path: Path):
    """As `flask --debug`: the process that watches the files has imported the program too."""
    script = """
queue = open_queue()
import subprocess
code = "import oq; oq.BlockingQueue(backends=[dict(name='s', kind='simulated')])"
done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
say("the parent of this one; open the queue in the process that serves requests" in done.stderr)
queue.close()
"""
    assert run(script, tmp_path) == ["True"]
