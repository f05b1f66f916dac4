"""What a session has used is read off /proc: all of its processes, and nobody else."""

import os
import subprocess
import sys

import pytest

from bench.gateways import readings

BUSY = """
import sys, time
held = bytearray({held})
for _ in sys.stdin:
    end = time.process_time() + {seconds}
    while time.process_time() < end:
        pass
    print(flush=True)
"""
HELD = 50_000_000


@pytest.fixture
def session():
    """A shell whose child is busy for 0.1 s when it is told to."""
    script = BUSY.format(held=HELD, seconds=0.1)
    process = subprocess.Popen(
        ["/bin/sh", "-c", '"$@"; true', "sh", sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )

    def work():
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()

    work()
    yield process.pid, work
    process.communicate()


def test_processor_time_is_that_of_all_processes_of_the_session(session):
    pid, work = session
    before = readings.used(readings.processes(pid))
    work()
    taken = readings.between(before, readings.used(readings.processes(pid)))
    assert 0.09 < taken < 0.3
    assert len(readings.processes(pid)) == 2


def test_memory_is_that_of_all_processes_of_the_session(session):
    assert HELD < readings.resident(readings.processes(session[0])) < 4 * HELD


def test_a_thread_that_came_counts_from_its_start_and_one_that_went_no_more():
    assert readings.between({1: 500, 2: 7}, {1: 1500, 3: 250}) == 1250e-9


def test_a_session_that_is_not_there_has_nothing_to_read():
    process = subprocess.Popen(["/bin/true"], start_new_session=True)
    process.wait()
    assert process.pid != os.getsid(0)
    assert readings.processes(process.pid) == []
    with pytest.raises(LookupError, match=f"of processes .{process.pid}"):
        readings.used([process.pid])
    assert readings.resident([process.pid]) == 0
