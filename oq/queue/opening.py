"""Opening a queue: the nursery, the actors, the store, and how all of them end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, NoReturn, Unpack

import trio

from oq.backends import open_backends
from oq.backends.base import Backend
from oq.logs import configured_as_guest
from oq.queue.core import SHUTDOWN_GRACE, Core
from oq.queue.options import Options, check_config, guest_logging, to_config_with
from oq.queue.queue import Queue
from oq.queue.recovery import put_back
from oq.queue.wiring import wire
from oq.store import Ledger, open_ledger
from oq.store.report import SalvageReport
from oq.store.shutdown_note import ShutdownNote
from oq.words.clock import Clock
from oq.words.config import BackendConfig, Config
from oq.words.errors import InvalidConfig, lone


def open_queue(
    config: Config | None = None,
    *,
    backends: Sequence[Backend | BackendConfig | Mapping[str, Any]] | None = None,
    ledger: Ledger | None = None,
    clock: Clock | None = None,
    **options: Unpack[Options],
) -> Opening:
    """``async with oq.open_queue(max_workers=2) as queue: ...``, under trio.

    The queue runs inside the block. Programs without trio use `oq.BlockingQueue`, or they use
    `oq.Client` or `oq.AsyncClient` with a server (`oq serve`).

    `options` are settings as keywords, such as ``ollama_host=``, ``max_workers=``,
    ``storage_path=`` and ``max_retries=``. They replace those of `config`. `oq.queue.options` lists
    all of them. `backends` is a list: of settings, as in the settings file, or of backend objects.
    `ledger` and `clock` replace the store on disk and the system clock.

    If the settings do not say how to log, and the program has not configured structlog, only
    warnings and errors are logged, to the standard error.

    At the end of the block the queue waits up to `drain_timeout` for running tasks, puts those that
    still run back in line, and closes the store. If an exception or a cancellation leaves the
    block, the queue does not wait, but it puts running tasks back in line too. If a part of oq
    itself crashes, the store is closed, and the running tasks run again at the next start. A task
    that is running at too many such crashes fails.

    Raises InvalidConfig, and StoreLocked, StoreCorrupt or StoreError if the store cannot be opened.
    """
    return Opening(_open(config, backends or (), ledger, clock or Clock(), options))


class Opening(AbstractAsyncContextManager[Queue]):
    """What `open_queue` returns: the queue opens at the beginning of the block."""

    def __init__(self, queue: AbstractAsyncContextManager[Queue]) -> None:
        self._queue = queue

    async def __aenter__(self) -> Queue:
        if not trio.lowlevel.in_trio_run():
            raise RuntimeError(f"oq.open_queue needs trio: use trio.run(main); {_WITHOUT_TRIO}")
        return await self._queue.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._queue.__aexit__(kind, error, trace)

    def __enter__(self) -> NoReturn:
        raise RuntimeError(f"write `async with oq.open_queue(...)`, under trio; {_WITHOUT_TRIO}")

    def __exit__(self, *problem: object) -> None:  # without it Python would not call __enter__
        raise NotImplementedError

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"the queue is not open yet, so it has no {name!r};"
            " write `async with oq.open_queue(...) as queue`"
        )


_WITHOUT_TRIO = (
    "programs without trio use oq.BlockingQueue, or oq.AsyncClient (asyncio) or oq.Client with a"
    " running server (`oq serve`)"
)


@asynccontextmanager
async def _open(
    config: Config | None,
    backends: Sequence[Backend | BackendConfig | Mapping[str, Any]],
    ledger: Ledger | None,
    clock: Clock,
    options: Options,
) -> AsyncIterator[Queue]:
    check_config(config)
    made, described = _sort(backends)
    config = to_config_with(config or Config(), options, described)
    with configured_as_guest(guest_logging(config, options)):
        async with _running(config, made or None, ledger, clock) as queue:
            yield queue


@asynccontextmanager
async def _running(
    config: Config, backends: Sequence[Backend] | None, ledger: Ledger | None, clock: Clock
) -> AsyncIterator[Queue]:
    shutdown_note = ShutdownNote(config.queue.storage_path) if ledger is None else None
    ledger = ledger or open_ledger(config.queue.storage_path, config.queue.read_cache)
    failure: BaseException | None = None
    queue: Queue | None = None
    try:
        ends = open_backends(config, clock) if backends is None else list(backends)
        # One that is simulated is enough: a real task could be sent to it.
        await ledger.enter(simulated=any(end.kind == "simulated" for end in ends))
        try:
            async with trio.open_nursery() as actors:
                wiring = await wire(
                    config, ledger, {end.name: end for end in ends}, clock,
                    ended_by_oq=shutdown_note is not None and shutdown_note.is_there(),
                )  # fmt: skip
                if shutdown_note is not None:  # what it tells is on disk
                    shutdown_note.remove()
                wiring.start(actors)
                try:
                    async with trio.open_nursery() as hands:
                        core = Core(config, ledger, clock, wiring, ends)
                        queue = Queue(core, hands)
                        queue.shutdown_note = shutdown_note
                        yield queue
                        await queue.drain()
                        queue.let_go()
                        hands.cancel_scope.deadline = trio.current_time() + SHUTDOWN_GRACE
                finally:
                    actors.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            failure = lone(group)
        finally:
            if queue is not None:
                core.end(failure)
                settled = bool(wiring.crashed)  # then what runs may be the cause
                if not settled:
                    with trio.move_on_after(SHUTDOWN_GRACE, shield=True):
                        settled = await put_back(ledger, clock, wiring.history)
                if shutdown_note is not None:
                    shutdown_note.remove() if settled else shutdown_note.write()
        with trio.move_on_after(SHUTDOWN_GRACE, shield=True):
            for end in ends:
                await end.aclose()
    finally:
        await ledger.close()
    if failure is not None:
        raise failure


def _sort(
    backends: Sequence[Backend | BackendConfig | Mapping[str, Any]],
) -> tuple[list[Backend], list[BackendConfig | Mapping[str, Any]]]:
    """Those that are made already, and those that settings describe."""
    made: list[Backend] = []
    described: list[BackendConfig | Mapping[str, Any]] = []
    if not isinstance(backends, Sequence) or isinstance(backends, str):
        raise _no_backend(backends)
    for backend in backends:
        if isinstance(backend, (BackendConfig, Mapping)):
            described.append(backend)
        elif hasattr(backend, "run"):
            made.append(backend)
        else:
            raise _no_backend(backend)
    if made and described:
        raise InvalidConfig("backends: give backend objects or settings of backends, not both")
    return made, described


def _no_backend(given: object) -> InvalidConfig:
    return InvalidConfig(
        f"backends: {str(given)[:64]!r} is no backend; give a list of them, such as"
        ' [{"name": "big", "kind": "ollama", "url": "http://localhost:11434"}]'
    )


def salvage(path: str) -> SalvageReport:
    """Save what can be read of the damaged store in this data directory; see `oq.store.salvage`."""
    from oq.store.salvage import salvage as salvage_store  # it loads RocksDB

    return salvage_store(path)
