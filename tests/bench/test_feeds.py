"""What the benchmark's streams and subscribers count, they count exactly."""

import msgspec
import pytest
import trio

from bench import stamper, watchers
from bench.stamper import STAMP, delays
from bench.watchers import Seen


def test_a_chunk_says_when_it_was_sent_and_a_reader_how_late_it_is():
    data = stamper.line(1_000_000) + stamper.line(3_000_000) + stamper.line(9, done=True)
    assert delays(data, 4_000_000) == [3.0, 1.0]


def test_a_chunk_is_one_of_ollamas():
    chunk = msgspec.json.decode(stamper.line(7))
    assert chunk["message"] == {"role": "assistant", "content": "@7@"}
    assert msgspec.json.decode(stamper.line(7, done=True))["done"] is True


def test_chunks_that_were_joined_are_all_found():
    assert STAMP.findall(b'{"data":"@1@@2@@33@"}\n') == [b"1", b"2", b"33"]


FRAMES = (
    b'..{"type":"hello"}..{"seq":1,"type":"task_submitted"}..[{"type":"task_submitted"},'
    b'{"type":"lagged","missed":3},{"type":"task_submitted"}]..{"type":"lagged"}'
)


@pytest.mark.parametrize("step", [1, 5, 15, 22, 23, 24, 1000])
async def test_marks_are_counted_once_in_whatever_pieces_they_come(step):
    async def serve(stream):
        await stream.receive_some()
        await stream.send_all(watchers.SWITCHED)
        await connected.wait()
        for start in range(0, len(FRAMES), step):
            await stream.send_all(FRAMES[start : start + step])
            await trio.testing.wait_all_tasks_blocked()  # the reader has taken it
        await stream.aclose()

    seen, connected = Seen(), trio.Event()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        async with trio.open_nursery() as clients:
            url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
            await clients.start(watchers._watch, url, seen)
            connected.set()
        nursery.cancel_scope.cancel()
    assert seen == Seen(events=3, lagged=2)
