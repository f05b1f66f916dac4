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

    A running queue, for as long as the block lasts. Programs without trio use `oq.BlockingQueue`,
    or `oq.Client` and `oq.AsyncClient` with a server (`oq serve`).

    `options` are settings by keyword, over those of `config`: ``ollama_host=``, ``max_workers=``,
    ``storage_path=``, ``max_retries=`` and all the others of `oq.queue.options.Options`. `backends`
    is the list that a file would have, or backends that are made already; `ledger` and `clock`
    stand in for those that the settings describe.

    Unless they say how to log, or the program has configured structlog, warnings and errors go to
    the standard error and the rest nowhere.

    Leaving the block lets the running tasks end for `drain_timeout`, puts back in line those that
    have not, and closes the store. When the block is left by an exception or cancelled, nothing is
    waited for; what runs is put back in line all the same. When an actor crashes, the store is
    closed properly, and what ran has spent a life: it may be the cause.

    Raises InvalidConfig; StoreLocked, StoreCorrupt or StoreError when the store cannot be opened.
    """
    return Opening(_open(config, backends or (), ledger, clock or Clock(), options))


class Opening(AbstractAsyncContextManager[Queue]):
    """What `open_queue` gives: a queue that opens when the block is entered."""

    def __init__(self, queue: AbstractAsyncContextManager[Queue]) -> None:
        self._queue = queue

    async def __aenter__(self) -> Queue:
        if not trio.lowlevel.in_trio_run():
            raise RuntimeError(f"oq.open_queue needs trio: trio.run(main) runs it; {_WITHOUT_TRIO}")
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
            f"the queue is not open, so it has no {name!r};"
            " write `async with oq.open_queue(...) as queue`"
        )


_WITHOUT_TRIO = (
    "oq.BlockingQueue is a queue for any other program, and oq.AsyncClient (asyncio) and oq.Client"
    " talk to a server that runs (`oq serve`)"
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
                if shutdown_note is not None:
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
                if not wiring.crashed:  # then what runs may be the cause
                    with trio.move_on_after(SHUTDOWN_GRACE, shield=True):
                        await put_back(ledger, clock)
        with trio.move_on_after(SHUTDOWN_GRACE, shield=True):
            for end in ends:
                await end.aclose()
    finally:
        await ledger.close()
        if shutdown_note is not None:
            shutdown_note.remove()
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
        raise InvalidConfig("backends: give backends that are made, or their settings, not both")
    return made, described


def _no_backend(given: object) -> InvalidConfig:
    return InvalidConfig(
        f"backends: {str(given)[:64]!r} is no backend; give a list of them, as in"
        ' [{"name": "big", "kind": "ollama", "url": "http://localhost:11434"}]'
    )


def salvage(path: str) -> SalvageReport:
    """Save what can be read of the damaged store in this data directory; see `oq.store.salvage`."""
    from oq.store.salvage import salvage as salvage_store  # it loads RocksDB

    return salvage_store(path)
