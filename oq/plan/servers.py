"""On which servers a trace is replayed: some that are alike, or those of somebody's settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from oq.plan.rates import Rates
from oq.rules.fleet import Fleet
from oq.rules.model_limits import Limit
from oq.rules.model_names import one_name
from oq.rules.slots import BackendSlots
from oq.words.config import MOST_WORKERS, BackendConfig, Config
from oq.words.task import Readable

SHOWN = 5
"""Models that an error names."""


class Server(Readable, Struct, frozen=True):
    """One server. `slots`: on how many calls of a model it works at once. `models`: how many it
    holds in memory; None for all of them, and none is ever loaded: then `slots` are those of all
    models together. `has`: patterns of the names of its models; None: it has all. `tier` and
    `overflow_after` are as in the settings, and so is `most`: how many tasks it gets at once; None:
    as many as it works on. `limits` are its `model_limits`. `rates` say how fast its models are,
    where that is not as everywhere.
    """

    name: str
    slots: int = 1
    models: int | None = 1
    has: tuple[str, ...] | None = None
    tier: int = 0
    overflow_after: float = 60.0
    most: int | None = None
    limits: Mapping[str, Limit] = {}
    rates: Mapping[str, Rates] = {}

    @property
    def serves(self) -> int:
        """How many tasks it gets at once, of all models."""
        return self.slots * (self.models or 1) if self.most is None else self.most

    def backend(self) -> BackendSlots:
        """As the policy sees it. It is known how many calls it works on at once."""
        return BackendSlots(
            self.name, self.serves, "guessed" if self.most is None else "set",
            slots=self.slots if self.most is None else None, max_models=self.models,
            models=["*"] if self.has is None else self.has,
            model_limits=self.limits, tier=self.tier, overflow_after=self.overflow_after,
        )  # fmt: skip


class NotServed(ValueError):
    """No server has a model that tasks want; the message names it."""


class Setup(Readable, Struct, frozen=True):
    """The servers, in the order of preference. `workers` bounds the tasks that run on all of them
    at once; None: nothing does but their slots.
    """

    servers: tuple[Server, ...]
    workers: int | None = None

    @property
    def even(self) -> bool:
        """Whether each server may get every task, so that the first in line is next everywhere."""
        first = self.servers[0]
        return all(
            each.tier == first.tier and each.has == first.has and not each.limits
            for each in self.servers
        )

    def fleet(self) -> Fleet:
        """As the policy sees them; nothing runs."""
        return Fleet([each.backend() for each in self.servers])

    def check_models(self, models: Iterable[str]) -> None:
        """NotServed if one of these models is nowhere."""
        fleet = self.fleet()
        lacking = [
            model
            for model in sorted(set(models))
            if not any(each.models.has(model) for each in fleet)
        ]
        if lacking:
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            names = ", ".join(repr(one_name(model)[:80]) for model in lacking[:SHOWN])
            raise NotServed(
                f"no backend has {names}{more}, which tasks of the trace want; add it to"
                " backends[].models"
            )


def alike(backends: int = 1, slots: int = 1, models: int = 1) -> Setup:
    """So many servers that are alike: box1, box2 and so on."""
    return Setup(tuple(Server(f"box{n}", slots, models) for n in range(1, backends + 1)))


def setup_of(config: Config, slots: int = 1, models: int = 1) -> Setup:
    """The backends of somebody's settings. `slots` and `models` are those of a backend of which the
    settings do not say it. One of kind openai of which they do not say `max_models` has all its
    models in memory, as a cloud has.
    """
    workers = config.queue.max_workers or MOST_WORKERS
    backends: Sequence[BackendConfig] = config.backend_list()
    return Setup(tuple(_server(each, slots, models, workers) for each in backends), workers)


def _server(settings: BackendConfig, slots: int, models: int, workers: int) -> Server:
    most = settings.max_concurrency
    in_memory = settings.max_models or (None if settings.kind == "openai" else models)
    return Server(
        name=settings.name,
        slots=slots if most == "auto" else most,
        models=in_memory,
        has=settings.models,
        tier=settings.tier,
        overflow_after=float(settings.overflow_after),
        limits=settings.model_limits,
        most=None if most == "auto" else min(most, workers),
    )
