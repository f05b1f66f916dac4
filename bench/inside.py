"""oq and its HTTP server in this process, over a disk that never waits: what its own work costs."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio

from oq.backends.base import Backend
from oq.http.app import create_app
from oq.http.server import Server
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger
from oq.store.engine import Put
from oq.store.rocks import RocksEngine
from oq.words.config import Config

HOST = "127.0.0.1"
MAX_CONNECTIONS = 128


class Unsynced:
    """A RocksDB whose log is flushed, but never waited for."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def flush_wal(self, _sync: bool) -> None:
        self._db.flush_wal(False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


class Undisturbed(RocksEngine):
    """The engine as it is, but for the disk: that is the machine's, and not oq's. It counts."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._db: Any = Unsynced(self._db)
        self.commits = 0
        self.syncs = 0

    def write(self, batch: list[Put]) -> None:
        self.commits += 1
        super().write(batch)

    def sync(self, commit: int) -> None:
        self.syncs += 1
        super().sync(commit)


class Inside(NamedTuple):
    """The queue, what it writes with, and where its server listens."""

    queue: Queue
    engine: Undisturbed
    url: str


@asynccontextmanager
async def opened(
    config: Config, directory: str, *, backends: Sequence[Backend] | None = None
) -> AsyncIterator[Inside]:
    """An oq over that directory, with the backends that the settings describe unless some are
    given.
    """
    engine = Undisturbed(directory)
    async with open_queue(config, backends=backends, ledger=KeyValueLedger(engine)) as queue:
        with socket.create_server((HOST, 0)) as listener:
            app = create_app(queue)
            server = Server(app, app.fast_path, [listener], max_connections=MAX_CONNECTIONS)
            async with trio.open_nursery() as nursery:
                await nursery.start(server.run)
                yield Inside(queue, engine, f"http://{HOST}:{listener.getsockname()[1]}")
                nursery.cancel_scope.cancel()
