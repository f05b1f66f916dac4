"""An Ollama whose every chunk says when it was sent, so that whoever reads it knows the delay.

`stamper` starts one; `python -m bench.stamper` is the program that it starts. It answers a chat
with chunks at a steady rate, and anything else with its version. The request's `options` say how
many chunks, and how many a second: `{"num_predict": 250, "rate": 50}`; or which error it answers
instead: `{"status": 500}`.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h11
import msgspec
import trio

from oq.cli.demo.children import Child, child

STAMP = re.compile(rb"@(\d+)@")
"""Nanoseconds of the machine's monotonic clock, which all processes share (clock_gettime(2))."""

_JSON = [("content-type", "application/json")]
_LINES = [("content-type", "application/x-ndjson"), ("transfer-encoding", "chunked")]


class _Options(msgspec.Struct):
    num_predict: int = 16
    rate: float = 0
    """Chunks a second; 0: all at once."""
    status: int = 200


class _Chat(msgspec.Struct):
    options: _Options = msgspec.field(default_factory=_Options)


_decode = msgspec.json.Decoder(_Chat).decode


@contextmanager
def stamper() -> Iterator[Child]:
    """One on a free port of the loopback interface."""
    with (
        tempfile.TemporaryDirectory(prefix="oq-bench-") as folder,
        child("stamper", ["-m", "bench.stamper"], Path(folder), os.environ) as started,
    ):
        yield started


def delays(data: bytes, now: int) -> list[float]:
    """How old, in milliseconds, the chunks in these bytes were at `now` (nanoseconds)."""
    return [(now - int(stamp)) / 1e6 for stamp in STAMP.findall(data)]


def line(now: int, *, done: bool = False) -> bytes:
    """One chunk of a chat as Ollama sends it."""
    said = "" if done else f"@{now}@"
    chunk: dict[str, object] = {
        "model": "m",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": said},
        "done": done,
    }
    if done:
        chunk |= {"done_reason": "stop", "prompt_eval_count": 1, "eval_count": 1}
    return msgspec.json.encode(chunk) + b"\n"


async def _handle(stream: trio.SocketStream) -> None:
    """Answer one request after the other, until the peer leaves."""
    async with stream:
        connection = h11.Connection(h11.SERVER)
        try:
            while (asked := await _read(connection, stream)) is not None:
                await _answer(connection, stream, *asked)
                connection.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.LocalProtocolError):
            return


async def _read(
    connection: h11.Connection, stream: trio.SocketStream
) -> tuple[bytes, bytes] | None:
    """Path and body of the next request; None when there is none."""
    path, body = b"", b""
    while True:
        event = connection.next_event()
        match event:
            case h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            case h11.Request():
                path = event.target
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                return path, body
            case _:
                return None


async def _answer(
    connection: h11.Connection, stream: trio.SocketStream, path: bytes, body: bytes
) -> None:
    async def send(*events: h11.Event) -> None:
        await stream.send_all(b"".join(connection.send(event) or b"" for event in events))

    if path != b"/api/chat":
        await send(
            h11.Response(status_code=200, headers=[*_JSON, ("content-length", "19")]),
            h11.Data(data=b'{"version":"0.0.0"}'),
            h11.EndOfMessage(),
        )
        return
    options = _decode(body).options
    if options.status != 200:
        await send(
            h11.Response(status_code=options.status, headers=[*_JSON, ("content-length", "17")]),
            h11.Data(data=b'{"error":"asked"}'),
            h11.EndOfMessage(),
        )
        return
    await send(h11.Response(status_code=200, headers=_LINES))
    begun = trio.current_time()
    for number in range(options.num_predict):
        if options.rate:
            await trio.sleep_until(begun + number / options.rate)
        await send(h11.Data(data=line(time.monotonic_ns())))
    await send(h11.Data(data=line(time.monotonic_ns(), done=True)), h11.EndOfMessage())


async def _serve() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, _handle, [listener])
        port = listener.socket.getsockname()[1]
        print(f"listens at http://127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    sys.exit(trio.run(_serve))
