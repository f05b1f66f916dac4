"""What the types of the settings do not say of their values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oq.words.errors import InvalidConfig
from oq.words.origins import wrong_with
from oq.words.task import MAX_PRIORITY, MAX_TENANT, MIN_PRIORITY, Priority

if TYPE_CHECKING:
    from oq.words.config import Config, FairnessConfig, RetryConfig

_LIMITS = ".model_limits[...]"
"""How msgspec ends the key of a value among the limits of models."""
NUMBERS_OF_TASKS = (".max_concurrency", _LIMITS)
"""The last parts of the keys whose values are a number of tasks, or `auto`."""
MOST_LIMITS = 1000
MOST_TASKS = 1_000_000_000
LONGEST_NAME = 200
_INDEX = re.compile(r"\[(\d+)\]")
_WHOLE = re.compile(r"[0-9]{1,9}")
_MORE_THAN_0 = (
    "ollama.timeout",
    "ollama.connect_timeout",
    "health.silence",
    "health.canary",
    "health.wedged_after",
    "gateway.timeout",
    "queue.cleanup_interval",
    "queue.probe_interval",
)


def check(config: Config) -> None:
    """InvalidConfig names the first setting that is wrong."""
    _check_positive(config)
    _check_retries(config.retry_config)
    _check_backends(config)
    _check_gateway(config)
    for index, reserve in enumerate(config.scheduler.reserve):
        _check_priority(f"scheduler.reserve[{index}].priority", reserve.priority)
    _check_weights(config.fairness)
    _check_origins("server.allowed_origins", config.server.allowed_origins)
    _check_origins("gateway.allowed_origins", config.gateway.allowed_origins)


def _check_weights(fairness: FairnessConfig) -> None:
    seen: set[str] = set()
    for index, weight in enumerate(fairness.weights):
        tenant, where = weight.tenant, f"fairness.weights[{index}].tenant"
        if len(tenant) > MAX_TENANT:
            raise InvalidConfig(
                f"{where}: {tenant[:32]!r}... has {len(tenant)} characters: no tenant is called"
                f" that, as only the first {MAX_TENANT} of a name count"
            )
        if tenant in seen:
            raise InvalidConfig(f"{where}: {tenant!r} has a weight already")
        seen.add(tenant)


def _check_positive(config: Config) -> None:
    """With a duration of 0 a loop would run without a pause, or every attempt would fail."""
    for key in _MORE_THAN_0:
        section, _, name = key.partition(".")
        if getattr(getattr(config, section), name) <= 0:
            raise InvalidConfig(f"{key}: must be more than 0")


def _check_retries(retry: RetryConfig) -> None:
    if retry.max_delay < retry.initial_delay:
        raise InvalidConfig(
            f"retry_config.max_delay: {retry.max_delay:g} s is less than"
            f" retry_config.initial_delay ({retry.initial_delay:g} s)"
        )


def _check_backends(config: Config) -> None:
    _check_no_password("ollama.host", config.ollama.host)
    names = [backend.name for backend in config.backends]
    for index, backend in enumerate(config.backends):
        where = f"backends[{index}]"
        if not backend.name or names.index(backend.name) != index:
            raise InvalidConfig(f"{where}.name: {backend.name!r} is empty or used twice")
        if backend.kind != "simulated" and not backend.url:
            raise InvalidConfig(f"{where}.url: a backend of kind {backend.kind} needs one")
        _check_no_password(f"{where}.url", backend.url)
        _check_limits(f"{where}.model_limits", backend.model_limits)


def _check_limits(key: str, limits: Mapping[str, object]) -> None:
    if len(limits) > MOST_LIMITS:
        raise InvalidConfig(f"{key}: there are {len(limits)}; the most are {MOST_LIMITS}")
    for name in limits:
        if not 0 < len(name) <= LONGEST_NAME:
            raise InvalidConfig(
                f"{key}: {name[:32]!r} is no name of a model: one has 1 to {LONGEST_NAME}"
                " characters"
            )


def wrong_key(values: object, where: str = "", levels: int = 8) -> str | None:
    """What is wrong with the first key that is no text; None if there is none."""
    if isinstance(values, dict):
        for key in values:
            if not isinstance(key, str):
                said = f"the key {repr(key)[:64]} is no text; write it as one: {str(key)[:64]!r}"
                return f"{where}: {said}" if where else said
        parts = [(f"{where}.{key}" if where else key, one) for key, one in values.items()]
    elif isinstance(values, (list, tuple)):
        parts = [(f"{where}[{index}]", one) for index, one in enumerate(values)]
    else:
        return None
    if not levels:
        return None
    return next(filter(None, (wrong_key(one, part, levels - 1) for part, one in parts)), None)


def wrong_number_of_tasks(values: Any, key: str) -> str:
    """What is wrong with the value at this key. msgspec does not say of which model a limit is, so
    it is looked for.
    """
    found = _INDEX.search(key)
    assert found is not None
    backend = values["backends"][int(found[1])]
    if key.endswith(_LIMITS):
        limits = backend["model_limits"]
        name, number = next((name, one) for name, one in limits.items() if not _is_number(one))
        key = f"{key.removesuffix('[...]')}.{str(name)[:LONGEST_NAME]}"
    else:
        number = backend["max_concurrency"]
    what = f"is no number of tasks; write one from 1 to {MOST_TASKS}, or auto"
    return f"{key}: {number!r:.80} {what}"


def _is_number(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return 1 <= value <= MOST_TASKS
    return value == "auto"


def _check_gateway(config: Config) -> None:
    gateway = config.gateway
    _check_priority("gateway.priority", gateway.priority)
    ports = [config.server.port, *(one.port for one in gateway.listen)]
    for index, one in enumerate(gateway.listen):
        _check_priority(f"gateway.listen[{index}].priority", one.priority)
        if one.port and one.port in ports[: index + 1]:
            raise InvalidConfig(f"gateway.listen[{index}].port: {one.port} is used twice")
    for index, rule in enumerate(gateway.priorities):
        _check_priority(f"gateway.priorities[{index}].priority", rule.priority)


def _check_origins(key: str, patterns: tuple[str, ...]) -> None:
    for index, pattern in enumerate(patterns):
        if wrong := wrong_with(pattern):
            raise InvalidConfig(f"{key}[{index}]: {wrong}")


def _check_priority(key: str, value: int | str) -> None:
    text = str(value)  # as a variable's is anyway
    in_range = bool(_WHOLE.fullmatch(text)) and MIN_PRIORITY <= int(text) <= MAX_PRIORITY
    if not in_range and text.upper() not in Priority.__members__:
        names = ", ".join(each.lower() for each in Priority.__members__)
        raise InvalidConfig(
            f"{key}: {value!r} is neither {names} nor a number"
            f" from {MIN_PRIORITY} to {MAX_PRIORITY}"
        )


def _check_no_password(key: str, url: str) -> None:
    """Addresses are shown in logs, errors and statuses. So this error does not show this one."""
    if "@" in url:
        raise InvalidConfig(f"{key}: it must not contain a user or password; use api_key instead")
