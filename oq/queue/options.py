"""Settings by keyword, for those who open a queue in a program of their own.

Every key of the sections `queue` and `retry_config` goes by its own name (``max_workers=8``,
``initial_delay="2s"``), those of `ollama` and `logging` with a prefix (``ollama_host=``,
``ollama_timeout=``, ``log_level=``, ``log_file=``), those of `scheduler` and `events` likewise
(``scheduling_interval=``, ``events_ring=``); `backends` is the list that the file would have.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from oq.words.config import Config, to_config
from oq.words.errors import InvalidConfig

_PREFIXES = {
    "ollama": "ollama_",
    "queue": "",
    "scheduler": "",
    "retry_config": "",
    "logging": "log_",
    "events": "events_",
}


def option_names() -> dict[str, tuple[str, str]]:
    """Each option's name, with the section and the key that it sets."""
    names: dict[str, tuple[str, str]] = {}
    for section, prefix in _PREFIXES.items():
        for key in type(getattr(Config(), section)).__struct_fields__:
            names[prefix + key] = (section, key)
    return names


def to_config_with(config: Config, options: Mapping[str, Any]) -> Config:
    """`config` with these settings instead. InvalidConfig names the one that is wrong."""
    if not options:
        return config
    values = msgspec.to_builtins(config)
    names = option_names()
    for name, value in options.items():
        if name == "backends":
            values["backends"] = [msgspec.to_builtins(backend) for backend in value]
        elif name in names:
            section, key = names[name]
            values[section][key] = value
        else:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidConfig(f"{name}: there is no such option{hint}")
    return to_config(values)
