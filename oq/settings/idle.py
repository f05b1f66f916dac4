"""What is set and has no effect: settings of earlier versions, and of what is turned off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oq.settings.layers import FLAG
from oq.words.config import Config

OF_EARLIER = ("ollama.first_token_timeout", "ollama.idle_timeout")
"""Settings of earlier versions, in whose place `health.silence` is."""
OF_OLLAMA_QUEUE = ("scheduler.batch_size", "scheduler.scheduling_interval")
"""Settings in the files of ollama-queue that are read, and have no effect here."""
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
    found = (*_of_backends(config, origins), *_of_earlier(), *_off(config))
    return {
        key: f"{origins[key]}: {key} has no effect{why}" for key, why in found if key in origins
    }


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
        if backend.tier == lowest:
            yield f"backends[{index}].overflow_after", ": no backend has a lower tier"


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
