"""How many tasks each backend gets at once: what the settings say, and what was learnt before."""

from __future__ import annotations

import trio

from oq.backends.base import Backend
from oq.rules.board import Board
from oq.rules.slots import BackendSlots
from oq.store import Ledger
from oq.words.config import MOST_WORKERS, BackendConfig, Config
from oq.words.steps import Learnt

OWN = 4
"""Tasks that a backend inside the process gets at once if nothing says how many."""


def backend_slots(config: Config, backends: dict[str, Backend]) -> list[BackendSlots]:
    """The backends of a queue, in their order."""
    described = {backend.name: backend for backend in config.backend_list()}
    return [_slots(config, backend, described.get(name)) for name, backend in backends.items()]


def _slots(config: Config, backend: Backend, settings: BackendConfig | None) -> BackendSlots:
    name, workers = backend.name, config.queue.max_workers
    most = workers or MOST_WORKERS
    wanted = "auto" if settings is None else settings.max_concurrency
    max_models = None if settings is None else settings.max_models
    if wanted != "auto":
        return BackendSlots(name, min(wanted, most), max_models=max_models)
    if backend.measures:
        return BackendSlots(name, most, "measured", max_models=max_models)
    if backend.kind == "openai":
        return BackendSlots(name, most, "guessed", max_models=max_models)
    return BackendSlots(name, workers or OWN, max_models=max_models)


async def restore(board: Board, ledger: Ledger) -> None:
    """What was learnt of the backends before the process started. What is known of others is
    forgotten.
    """
    by_name = {backend.name: backend for backend in board.backends}
    gone: list[Learnt] = []
    for name, record in (await ledger.learnt()).items():
        if name in by_name:
            by_name[name].restore(record, trio.current_time())
        else:
            gone.append(Learnt(name, None))
    if gone:
        await ledger.commit(gone, ledger.facts.event_seq)
