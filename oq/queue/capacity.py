"""How many tasks each backend gets at once: what the settings say, and what was learnt before."""

from __future__ import annotations

from typing import Literal

import trio

from oq.backends.base import Backend
from oq.rules.fleet import Fleet
from oq.rules.learnt import recall
from oq.rules.outages import Outages
from oq.rules.slots import BackendSlots
from oq.store import Ledger
from oq.words.config import MOST_WORKERS, BackendConfig, Config
from oq.words.steps import Learnt
from oq.words.views import SlotsSource

OWN = 4
"""Tasks that a backend inside the process gets at once if nothing says how many."""


def fleet_of(config: Config, backends: dict[str, Backend]) -> Fleet:
    """The backends of a queue, in their order."""
    described = {backend.name: backend for backend in config.backend_list()}
    return Fleet(
        [_slots(config, backend, described.get(name)) for name, backend in backends.items()],
        config.scheduler.max_conversations,
    )


def _slots(config: Config, backend: Backend, settings: BackendConfig | None) -> BackendSlots:
    settings = settings or BackendConfig(name=backend.name, kind=backend.kind)
    limit, source = _limit(config, backend, settings.max_concurrency)
    health = config.health
    return BackendSlots(
        backend.name, limit, source,
        max_models=settings.max_models, models=settings.models,
        model_limits=settings.model_limits,
        outages=Outages(health.hold_after, health.canary),
        tier=settings.tier, overflow_after=settings.overflow_after,
    )  # fmt: skip


def _limit(
    config: Config, backend: Backend, wanted: int | Literal["auto"]
) -> tuple[int, SlotsSource]:
    """The most tasks that it gets at once, and how it is known how many it serves."""
    most = config.queue.max_workers or MOST_WORKERS
    if wanted != "auto":
        return min(wanted, most), "set"
    if backend.measures:
        return most, "measured"
    if backend.kind == "openai":
        return most, "guessed"
    return config.queue.max_workers or OWN, "set"


async def restore(fleet: Fleet, ledger: Ledger) -> None:
    """What was learnt of the backends before the process started. What is known of others is
    forgotten. Where there are several, each waits until it is known which models it has now.
    """
    now = trio.current_time()
    by_name = {backend.name: backend for backend in fleet}
    gone: list[Learnt] = []
    for name, record in (await ledger.learnt()).items():
        if name in by_name:
            recall(by_name[name], record, now)
        else:
            gone.append(Learnt(name, None))
    if fleet.several:
        for backend in fleet:
            backend.await_models(now)
    if gone:
        await ledger.commit(gone, ledger.facts.event_seq)
