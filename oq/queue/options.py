"""Settings as keywords of `oq.open_queue` and `oq.BlockingQueue`.

The keys of the sections `queue`, `scheduler` and `retry_config` keep their names
(``max_workers=8``, ``initial_delay="2s"``). Those of `ollama`, `logging`, `events` and `simulated`
have a prefix (``ollama_host=``, ``log_level=``, ``events_ring=``, ``simulated_delay=``).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypedDict

import msgspec

from oq.words.config import BackendConfig, Config, LoggingConfig, to_config
from oq.words.durations import Time
from oq.words.errors import InvalidConfig

Level = Literal["debug", "info", "warning", "error"]

_PREFIXES = {
    "ollama": "ollama_",
    "queue": "",
    "scheduler": "",
    "fairness": "fairness_",
    "retry_config": "",
    "logging": "log_",
    "events": "events_",
    "health": "health_",
    "simulated": "simulated_",
}


class Options(TypedDict, total=False):
    """The keywords of `oq.open_queue` and `oq.BlockingQueue`; `oq.words.config` explains each."""

    ollama_host: str
    ollama_timeout: Time
    ollama_connect_timeout: Time
    ollama_first_token_timeout: Time
    ollama_idle_timeout: Time
    ollama_max_answer: int

    max_workers: int
    storage_path: str | os.PathLike[str]
    cleanup_interval: Time
    max_completed_tasks: int
    keep_completed: Time
    max_unread_tasks: int
    max_removed_ids: int
    keep_removed_ids: Time
    max_pending: int
    max_payload: int
    max_values: int
    max_metadata: int
    max_bulk: int
    max_batch: int
    read_cache: int
    drain_timeout: Time
    probe_interval: Time

    batch_size: int
    scheduling_interval: Time
    affinity: bool
    max_bypass: Time
    reserve: Sequence[Mapping[str, Any]]
    idle_after: Time
    preempt: bool
    max_preemptions: int
    max_conversations: int

    fairness_enabled: bool
    fairness_by: str
    fairness_quantum: int
    fairness_max_tenants: int
    fairness_weights: Sequence[Mapping[str, Any]]

    max_retries: int
    initial_delay: Time
    max_delay: Time
    backoff_factor: float
    jitter: bool
    zero_is_default: bool

    log_level: Level
    log_file: str | os.PathLike[str] | None
    log_format: Literal["console", "json"]

    events_ring: int
    events_mailbox: int
    events_max_subscribers: int

    health_silence: Time
    health_hold_after: int
    health_wedged_after: Time
    health_canary: Time

    simulated_delay: Time
    simulated_tokens_per_second: float
    simulated_load: Time
    simulated_parallel: int
    simulated_max_models: int
    simulated_max_queue: int
    simulated_keep_alive: Time


def check_config(given: object) -> None:
    """InvalidConfig if it is not a `Config`. The message says what was probably meant."""
    if given is None or isinstance(given, Config):
        return
    if isinstance(given, str) and "://" in given:
        meant = f"for a server that runs, use oq.Client({given[:64]!r}) or oq.AsyncClient"
    elif isinstance(given, (str, os.PathLike)):
        meant = f"for a data directory, use storage_path={os.fspath(given)[:64]!r}"
    elif isinstance(given, Mapping):
        meant = "give settings as keywords, such as max_workers=2"
    else:
        meant = "oq.Config() makes one"
    raise InvalidConfig(f"{str(given)[:64]!r} is not an oq.Config; {meant}")


def option_names() -> dict[str, tuple[str, str]]:
    """The section and the key of each option, by its name."""
    names: dict[str, tuple[str, str]] = {}
    for section, prefix in _PREFIXES.items():
        for key in type(getattr(Config(), section)).__struct_fields__:
            names[prefix + key] = (section, key)
    return names


def to_config_with(
    config: Config,
    options: Mapping[str, Any],
    backends: Sequence[BackendConfig | Mapping[str, Any]] = (),
) -> Config:
    """`config` with these settings changed. InvalidConfig names the one that is wrong.

    The option `ollama_host` replaces the backends of `config`.
    """
    if not options and not backends:
        return config
    values = msgspec.to_builtins(config, enc_hook=float)  # durations are numbers
    names = option_names()
    for name, value in options.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidConfig(f"{name}: there is no such option{hint}")
        section, key = names[name]
        values[section][key] = _plain(value)
    if backends:
        values["backends"] = [msgspec.to_builtins(one, enc_hook=float) for one in backends]
    elif "ollama_host" in options:
        values["backends"] = []
    return to_config(values)


def guest_logging(config: Config, options: Mapping[str, Any]) -> LoggingConfig:
    """How to log in a user's program: as the settings say, or else only warnings and errors."""
    told = config.logging != LoggingConfig() or any(name.startswith("log_") for name in options)
    return config.logging if told else LoggingConfig(level="warning")


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return os.fspath(value) if isinstance(value, os.PathLike) else value
