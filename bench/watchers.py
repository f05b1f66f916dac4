"""Subscribers of the live feed over WebSocket, in a process of their own; they only count.

`watchers` starts them; `python -m bench.watchers URL COUNT` is the program that it starts. When all
are connected it says so, and then answers each line on its standard input with how many events
have come so far, and how many times somebody was told that he lagged.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import trio

from bench.children import Helper, helper
from bench.wire import address

EVENT, LAGGED = b'"type":"task_submitted"', b'"type":"lagged"'
KEPT = max(len(EVENT), len(LAGGED)) - 1
"""Bytes that are looked at again, since a mark may come in two pieces."""
SWITCHED = b"HTTP/1.1 101"


class Seen(msgspec.Struct):
    """What came to all subscribers together."""

    events: int = 0
    lagged: int = 0


_decode = msgspec.json.Decoder(Seen).decode


class Watchers:
    """Subscribers that are connected."""

    def __init__(self, process: Helper) -> None:
        self._process = process
        process.answer()

    def seen(self) -> Seen:
        """What has come so far."""
        return _decode(self._process.ask())


@contextmanager
def watchers(url: str, count: int) -> Iterator[Watchers]:
    """So many subscribers of `url` to the event task_submitted, connected."""
    with helper("bench.watchers", url, str(count)) as process:
        yield Watchers(process)


def handshake(url: str) -> bytes:
    """The request for an upgrade (RFC 6455, 4.1)."""
    host, port = address(url)
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /ws?types=task_submitted HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


async def _watch(url: str, seen: Seen, *, task_status: trio.TaskStatus[None]) -> None:
    """Connect, and count. What a server sends is not masked (RFC 6455, 5.1), so the marks stand in
    the bytes as they are.
    """
    async with await trio.open_tcp_stream(*address(url)) as stream:
        await stream.send_all(handshake(url))
        data = await stream.receive_some()
        if not data.startswith(SWITCHED):
            raise SystemExit(f"no WebSocket: {data[:200].decode(errors='replace')}")
        task_status.started()
        kept = b""
        while data:
            whole = kept + data
            seen.events += whole.count(EVENT) - kept.count(EVENT)
            seen.lagged += whole.count(LAGGED) - kept.count(LAGGED)
            kept = whole[-KEPT:]
            data = await stream.receive_some()


async def _serve(url: str, count: int) -> None:
    seen = Seen()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            await nursery.start(_watch, url, seen)
        _tell(seen)
        async for data in trio.lowlevel.FdStream(sys.stdin.fileno()):
            for _ in data.splitlines():
                _tell(seen)
        nursery.cancel_scope.cancel()


def _tell(seen: Seen) -> None:
    print(msgspec.json.encode(seen).decode(), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.watchers")
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    trio.run(_serve, options.url, options.count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
