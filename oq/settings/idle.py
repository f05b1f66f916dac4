"""What is set and has no effect: settings of earlier versions, and of what is turned off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oq.settings.layers import FLAG
from oq.words.config import BackendConfig, Config
from oq.words.task import MIN_PRIORITY

OF_EARLIER = ("ollama.first_token_timeout", "ollama.idle_timeout")
"""Settings of earlier versions, in whose place `health.silence` is."""
OF_OLLAMA_QUEUE = ("scheduler.batch_size", "scheduler.scheduling_interval")
"""Settings in the files of ollama-queue that are read, and have no effect here."""
LOOKED_AT = 64
"""Patterns among the limits of models that may stand before another one of the same models."""
_ODD = "\x01"
_NEEDS = {
    "scheduler.max_bypass": "scheduler.affinity",
    "scheduler.max_preemptions": "scheduler.preempt",
    "fairness.by": "fairness.enabled",
    "fairness.quantum": "fairness.enabled",
    "fairness.max_tenants": "fairness.enabled",
    "fairness.weights": "fairness.enabled",
}
"""Settings that count only while another one is on, and that one."""


def without_effect(config: Config, origins: Mapping[str, str]) -> dict[str, str]:
    """The keys of those that were set, at one of these places, and a remark on each."""
    found = (*_of_backends(config, origins), *_of_earlier(), *_off(config), *_of_reserve(config))
    return {
        key: f"{origins[key]}: {key} has no effect{why}" for key, why in found if key in origins
    }


def without_models(config: Config, origins: Mapping[str, str]) -> Iterator[str]:
    """A remark on each of several backends of which the settings say that it has no model."""
    for index, backend in enumerate(config.backends):
        key = f"backends[{index}].models"
        if backend.models == () and len(config.backends) > 1 and key in origins:
            yield (
                f"{origins[key]}: {key} is empty: no task is meant for {backend.name!r}; remove the"
                " key, and it is asked what it has"
            )


def _of_backends(config: Config, origins: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not config.backends:
        return
    if origins.get("ollama.host") == FLAG:
        yield "backends", ": --ollama-host stands instead"
        return
    yield "ollama.host", f": the backends of {origins.get('backends')} stand instead"
    if len(config.backends) == 1:
        yield "scheduler.max_conversations", ": there is one backend"
    lowest = min(backend.tier for backend in config.backends)
    for index, backend in enumerate(config.backends):
        where = f"backends[{index}]"
        if backend.tier == lowest:
            yield f"{where}.overflow_after", ": no backend has a lower tier"
        for name, why in _of_limits(backend):
            yield f"{where}.model_limits.{name}", why


def _of_earlier() -> Iterator[tuple[str, str]]:
    instead = (
        " any more: a backend that is silent for health.silence is asked whether it lives, and"
        " waited for while it does"
    )
    yield from ((key, instead) for key in OF_EARLIER)


def _off(config: Config) -> Iterator[tuple[str, str]]:
    for key, switch in _NEEDS.items():
        section, _, name = switch.partition(".")
        if not getattr(getattr(config, section), name):
            yield key, f": {switch} is off"


def _of_reserve(config: Config) -> Iterator[tuple[str, str]]:
    for index, reserve in enumerate(config.scheduler.reserve):
        if str(reserve.priority) == str(MIN_PRIORITY):
            yield f"scheduler.reserve[{index}].priority", ": no task has a lower priority"


def _of_limits(backend: BackendConfig) -> Iterator[tuple[str, str]]:
    """The limits of models that are never reached, by the name of the model."""
    from oq.rules.model_names import full_name  # not for settings that have none

    most = backend.max_concurrency
    limits = list(backend.model_limits.items())
    names: dict[str, str] = {}
    patterns: list[str] = []
    for number, (name, limit) in enumerate(limits):
        before = next((one for one in patterns[:LOOKED_AT] if _covers(one, name)), None)
        if "*" in name or "?" in name:
            patterns.append(name)
        elif before is None:
            before = names.setdefault(full_name(name), name)
            before = None if before == name else before
        if before is not None:
            yield name, f": {before!r} stands before it and fits the same models"
        elif limit != "auto" and all(_is_more(one, most) for _, one in limits[number:]):
            yield name, f": max_concurrency is {most}"


def _is_more(limit: int | str, most: int | str) -> bool:
    """Whether a backend never has so many tasks of a model, or there is no limit."""
    return limit == "auto" or (isinstance(limit, int) and isinstance(most, int) and limit > most)


def _covers(before: str, name: str) -> bool:
    """Whether each model that the second of these patterns fits is fitted by the first one, too.
    The second is tried with what nobody calls a model in place of its wildcards.
    """
    from oq.rules.model_names import NamePattern, one_name

    pattern, long = NamePattern(before), _ODD * (len(before) + 1)
    tried = {
        name.replace("?", _ODD).replace("*", instead) for instead in ("", long, f"{long}:{long}")
    }
    return all(pattern.fits(one_name(one)) for one in tried)
