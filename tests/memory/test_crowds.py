"""Many at once who want little: subscribers of events, and tasks that are tried again."""

from __future__ import annotations

import sys
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit

import pytest

from .child import MB, Measured
from .readers import Slow, get
from .talker import LAST, talker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

SUBSCRIBERS = 1000
TASKS = 300
ROOM = 256 * MB
"""For a thousand connections with what each takes by itself (some 100 kB), and the piece that it is
being sent; the events themselves are there once."""
CONFIG = f"""\
events: {{max_subscribers: {SUBSCRIBERS}}}
server: {{max_connections: {2 * SUBSCRIBERS}}}
"""
SOCKET = get(
    "/ws", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
STREAM = get("/api/events", "Accept: text/event-stream")

STORM = 40
PAYLOAD = 100_000
STORM_ROOM = 64 * MB
"""For forty payloads of 100 kB, a few copies of each, and their records: not one for each try."""
RETRIES = 10
STORM_CONFIG = (
    "retry_config: {initial_delay: 20ms, max_delay: 20ms, jitter: false}\n"
    "health: {hold_after: 1000000}\n"  # else the others would be held
)


@pytest.mark.skipif(
    getrlimit(RLIMIT_NOFILE)[0] < 2 * SUBSCRIBERS, reason="it takes so many descriptors"
)
def test_a_thousand_subscribers_that_are_slow(tmp_path: Path):
    with talker(LAST) as (where, _), Measured(tmp_path / "data", where, CONFIG) as oq:
        before = oq.takes()
        with Slow(oq.url, [SOCKET, STREAM] * (SUBSCRIBERS // 2)) as subscribers:
            subscribers.wait_all(100)
            task = {"type": "generate", "model": "m", "payload": {"prompt": "hello"}}
            ids = [oq.submit() for _ in range(3)]
            oq.call("POST", "/api/tasks/batch", [task] * TASKS)
            assert [oq.end(task_id) for task_id in ids] == ["completed"] * 3
            subscribers.wait_all(1000)
            taken = oq.took() - before
    assert taken < ROOM, f"{taken / MB:.0f} MB"


def test_a_storm_of_retries(tmp_path: Path):
    wrong = b'{"error":"out of memory"}\n'
    with talker(wrong + LAST) as (where, _), Measured(tmp_path / "data", where, STORM_CONFIG) as oq:
        before = oq.takes()
        task = {
            "type": "generate", "model": "m", "max_retries": RETRIES,
            "payload": {"prompt": "x" * PAYLOAD},
        }  # fmt: skip
        ids = oq.submit_many([task] * STORM)
        assert {oq.end(task_id) for task_id in ids} == {"failed"}
        assert oq.task(ids[0])["retry_count"] == RETRIES
        taken = oq.took() - before
    assert taken < STORM_ROOM, f"{taken / MB:.0f} MB"
