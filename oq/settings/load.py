"""The layers, put over each other and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from oq.settings.environment import read_variable, unread
from oq.settings.file import read_file
from oq.settings.idle import without_effect, without_models
from oq.settings.layers import FLAG, Layers, because, is_secret
from oq.settings.shapes import choices, element, fields, is_list, is_section
from oq.words.config import Config, Section, to_config
from oq.words.durations import Duration, format_duration
from oq.words.errors import InvalidConfig

ENVIRONMENT = {
    "ollama": "OLLAMA_",
    "queue": "QUEUE_",
    "scheduler": "SCHEDULER_",
    "fairness": "FAIRNESS_",
    "retry_config": "RETRY_",
    "logging": "LOG_",
    "server": "OQ_SERVER_",
    "events": "OQ_EVENTS_",
    "gateway": "OQ_GATEWAY_",
    "health": "OQ_HEALTH_",
    "simulated": "OQ_SIMULATED_",
}
"""What the variables of each section begin with: ``queue.max_workers`` is QUEUE_MAX_WORKERS."""

BORROWED = {"gateway.allowed_origins": "OLLAMA_ORIGINS"}
"""Variables of Ollama's own that set a key outside its section. The key's own variable stands over
it."""

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. `source` is the file that was read, if any."""

    config: Config
    source: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    """For each key that was set: the file and line, variable or flag that set it."""
    remarks: tuple[str, ...] = ()
    """What people should know of settings that can be used."""
    idle: frozenset[str] = frozenset()
    """The keys that were set and have no effect."""

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Each key, its value for people to read, and where the value came from."""
        for key, value in _leaves(self.config, ""):
            yield key, _shown(key, value), self.origins.get(key, DEFAULT)

    def located(self, error: InvalidConfig) -> InvalidConfig:
        """An error that begins with a key, behind the place that the key's value came from."""
        place = self.origins.get(str(error).partition(": ")[0])
        return InvalidConfig(f"{place}: {error}") if place else error


def load_settings(
    path: str | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings from the file at `path`, the variables in `environ` and `flags`.

    Without `path` the first file of the search path that exists is read: ./config.yaml,
    ~/.config/oq/config.yaml, /etc/oq/config.yaml. `flags` maps keys (``"queue.max_workers"``) to
    values; None means that the flag was not given, as an empty variable does. InvalidConfig says
    which line, variable or flag is wrong, and why.
    """
    environ = environ or {}
    layers = Layers()
    source = Path(path) if path is not None else _search(environ)
    if source is not None:
        read_file(source, layers)
    _read_environment(environ, layers)
    for key, value in (flags or {}).items():
        if value is not None:
            layers.put(key, value, FLAG)
    try:
        config = to_config(layers.values)
        _check_paths(config)
    except InvalidConfig as error:
        raise layers.located(error) from None
    idle = without_effect(config, layers.origins)
    remarks = (*layers.remarks, *idle.values(), *without_models(config, layers.origins))
    return Settings(config, source, layers.origins, remarks, frozenset(idle))


def _check_paths(config: Config) -> None:
    if config.gateway.priorities:
        # Imported here: most settings have none, and commands should start at once.
        from oq.dialects import check_paths

        check_paths(config)


def variable(key: str) -> str | None:
    """The environment variable that sets `key`; None when none does."""
    section, _, name = key.partition(".")
    prefix = ENVIRONMENT.get(section)
    return f"{prefix}{name.upper()}" if prefix and name else None


def _search(environ: Mapping[str, str]) -> Path | None:
    candidates = [Path("config.yaml")]
    if home := environ.get("HOME"):
        candidates.append(Path(home, ".config/oq/config.yaml"))
    candidates.append(Path("/etc/oq/config.yaml"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _read_environment(environ: Mapping[str, str], layers: Layers) -> None:
    sections = fields(Config)
    for section in ENVIRONMENT:
        for name, kind in fields(sections[section]).items():
            if is_list(kind) and is_section(element(kind)):
                continue  # a variable cannot say a list of sections
            key = f"{section}.{name}"
            for origin in filter(None, (BORROWED.get(key), variable(key))):
                if text := read_variable(origin, environ):
                    layers.put(key, _from_text(text, kind, key, origin), origin)
    layers.remarks.extend(unread(environ, filter(None, map(variable, _keys()))))


def _keys() -> Iterator[str]:
    """Every key that may have a variable."""
    sections = fields(Config)
    for section in ENVIRONMENT:
        yield from (f"{section}.{name}" for name in fields(sections[section]))


def _from_text(text: str, kind: Any, key: str, origin: str) -> object:
    """A variable's text as what the YAML file would have given."""
    if is_list(kind):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is Duration:
        return text
    if choices(key):
        return text.lower()  # LOG_LEVEL=INFO is what other programs make people write
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidConfig(f"{origin}: {because(key, text, str(error))}") from None


def _leaves(value: Any, key: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Section):
        for name in value.__struct_fields__:
            yield from _leaves(getattr(value, name), f"{key}.{name}" if key else name)
    elif isinstance(value, tuple) and value and isinstance(value[0], Section):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{key}[{index}]")
    else:
        yield key, value


def _shown(key: str, value: object) -> str:
    match value:
        case None | ():
            return ""
        case _ if is_secret(key):
            return "***"
        case Duration():
            return format_duration(value)
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{name}: {one}" for name, one in value.items())
        case _:
            return str(value)
