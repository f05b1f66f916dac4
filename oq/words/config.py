"""Every setting, its default and its bounds. `oq.settings` reads files and the environment.

The sections and keys are those of ollama-queue's YAML. Settings that oq adds are marked (+).
Durations are in seconds here.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from oq.words.durations import Duration, parse_duration
from oq.words.errors import InvalidConfig
from oq.words.task import MAX_PRIORITY, MAX_RETRIES, MIN_PRIORITY, Priority

_WHOLE = re.compile(r"[0-9]{1,9}")
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Limit = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
Port = Annotated[int, Meta(ge=0, le=65535)]
_MORE_THAN_0 = (
    "ollama.timeout",
    "ollama.connect_timeout",
    "ollama.first_token_timeout",
    "ollama.idle_timeout",
    "gateway.timeout",
    "queue.cleanup_interval",
    "queue.probe_interval",
)
_LEVELS = {
    **dict.fromkeys(("trace", "verbose", "silly", "all", "10"), "debug"),
    **dict.fromkeys(("information", "informational", "notice", "20"), "info"),
    **dict.fromkeys(("warn", "30"), "warning"),
    **dict.fromkeys(
        ("err", "fatal", "critical", "crit", "alert", "emerg", "emergency", "panic", "40", "50"),
        "error",
    ),
}
"""What other programs call the levels of a log: LOG_LEVEL is often set for all of them."""
BackendKind = Literal["ollama", "openai", "simulated"]
PolicyName = Literal["fifo"]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; a key that it does not have is an error."""


class OllamaConfig(Section, frozen=True):
    """`ollama`: the one backend when `backends` names none, and what bounds all of them."""

    host: str = "http://localhost:11434"
    timeout: Duration = Duration(300)
    """The whole attempt, when the task sets none."""
    connect_timeout: Duration = Duration(5)  # (+)
    first_token_timeout: Duration = Duration(300)  # (+) loading a large model counts into it
    idle_timeout: Duration = Duration(120)  # (+) between two chunks; Ollama holds tool calls back
    max_answer: Annotated[int, Meta(ge=1024, le=1 << 34)] = 256 * 1024 * 1024
    """(+) Bytes of memory that one answer may take while it comes; one that takes more fails."""


class BackendConfig(Section, frozen=True):
    """`backends[]` (+): one server that runs models."""

    name: str
    kind: BackendKind
    url: str = ""
    """Where it listens; a simulated backend needs none."""
    api_key: str | None = None
    max_concurrency: Count | None = None
    """Tasks that it may run at once; at most `queue.max_workers` run in all."""


class SimulatedConfig(Section, frozen=True):
    """`simulated` (+): the pace of backends of kind simulated, which make their answers up. By
    default that of a small model, so that there is something to see. A task's own
    ``options.simulate`` comes first.
    """

    delay: Duration = Duration(0.3)
    """Before the first token."""
    tokens_per_second: Annotated[float, Meta(ge=0, le=1_000_000)] = 20.0
    """0: all at once."""


class QueueConfig(Section, frozen=True):
    """`queue`: the work, where it is kept, and how much of it there may be."""

    max_workers: Annotated[int, Meta(ge=1, le=10_000)] = 4
    storage_path: Annotated[str, Meta(min_length=1)] = "./data"
    cleanup_interval: Duration = Duration(3600)
    max_completed_tasks: Limit = 100_000
    """Ended tasks that are kept, the latest first; 0: any number. The default is two nights'
    batches. Unread results (see `max_unread_tasks`) are not counted here."""
    keep_completed: Duration = Duration(7 * 86400)
    """(+) How long an ended task is kept at most; 0: for any time. After a week nobody comes back
    for it, and what people asked should not lie around for ever."""
    max_unread_tasks: Limit = 1_000_000
    """(+) Ended tasks that are kept because nobody has read their result yet: those of a batch, and
    those with an idempotency key, for who sends them means to come back. 0: any number."""
    max_removed_ids: Limit = 100_000
    """(+) Removed tasks of which it is still told that retention has removed them; 0: none."""
    keep_removed_ids: Duration = Duration(30 * 86400)  # (+) how long that is told; 0: for any time
    max_pending: Count = 1_000_000  # (+) beyond it a submit is answered with 429
    max_payload: Annotated[int, Meta(ge=1024, le=1 << 30)] = 16 * 1024 * 1024  # (+) bytes of a body
    max_values: Annotated[int, Meta(ge=1000, le=1_000_000_000)] = 500_000
    """(+) Numbers, texts, lists and objects in the JSON of one task: decoded, each takes some 80
    bytes of memory, and time."""
    max_metadata: Annotated[int, Meta(ge=2, le=1 << 20)] = 4096  # (+) bytes of a task's metadata
    max_batch: Count = 10_000  # (+) tasks in one batch request
    max_bulk: Count = 100_000  # (+) tasks that one bulk request changes
    read_cache: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 8 * 1024 * 1024
    """(+) Bytes of memory for what was read from the disk, in case it is read again. It is full
    after some ten thousand tasks; the kernel keeps the files in memory that it has to spare too."""
    drain_timeout: Duration = Duration(30)  # (+) what running tasks get at shutdown
    probe_interval: Duration = Duration(2)  # (+) between two looks at a backend that is down


class SchedulerConfig(Section, frozen=True):
    """`scheduler`: which task runs next. oq starts tasks when something happens, not on a tick: the
    tick's settings, `batch_size` and `scheduling_interval`, are taken from files of ollama-queue,
    and change nothing.
    """

    policy: PolicyName = "fifo"
    """(+) How the next task is chosen. fifo: strictly by priority, inside one in the order of
    submission."""
    batch_size: Count = 10
    scheduling_interval: Duration = Duration(1)


class RetryConfig(Section, frozen=True):
    """`retry_config`: how often, and after how long, a failed attempt is tried again."""

    max_retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] = 3
    initial_delay: Duration = Duration(1)
    max_delay: Duration = Duration(30)
    backoff_factor: Annotated[float, Meta(ge=1, le=100)] = 2.0
    jitter: bool = True  # (+) full jitter: a delay is drawn between 0 and the curve
    zero_is_default: bool = False
    """(+) Whether a task that asks for 0 retries gets `max_retries`: for ollama-queue's Go client,
    which sends 0 for what was not set."""


class LoggingConfig(Section, frozen=True):
    """`logging`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str | None = None
    """Where the log goes; the standard error when there is none."""
    format: Literal["console", "json"] = "console"  # (+)


class ServerConfig(Section, frozen=True):
    """`server` (+): where `oq serve` listens and whom it answers."""

    host: str = "127.0.0.1"
    port: Port = 7125
    allowed_hosts: tuple[str, ...] = ()
    """Names that a Host header may carry, besides those that the address it listens on has."""
    allowed_origins: tuple[str, ...] = ()
    """Origins besides its own whose pages may call it."""
    max_connections: Count = 1000
    max_client_connections: Count | None = None
    """Of those, from one address; by default three quarters, so that one program, or one machine
    with all its programs, leaves room for others."""
    max_inflight_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 * 1024 * 1024
    """Bytes of all bodies that are held at once, while they come in and until they are stored."""
    max_wait: Duration = Duration(300)
    """The longest that `?wait=` holds a request."""


class EventsConfig(Section, frozen=True):
    """`events` (+): what subscribers may cost."""

    ring: Count = 20_000
    """Events that are kept in memory to resume from."""
    mailbox: Count = 20_000
    """Events that a subscriber may fall behind before it is told that it lagged."""
    max_subscribers: Count = 500
    """Fewer than the connections that one client may have: listeners alone lock nobody out."""


class ListenConfig(Section, frozen=True):
    """`gateway.listen[]` (+): one more port, on `server.host`, whose calls have this priority."""

    port: Port
    priority: int | str


class PathConfig(Section, frozen=True):
    """`gateway.priorities[]` (+): the priority of the calls to one path, such as /api/embed."""

    path: str
    priority: int | str


class GatewayConfig(Section, frozen=True):
    """`gateway` (+): clients of Ollama and OpenAI that call oq instead."""

    allow_admin: bool = False
    """Whether they may change the models there are: pull, push, create, copy, delete."""
    priority: int | str = "high"
    """Of calls that nothing else gives one. An X-OQ-Priority header comes first, then the port on
    which a call came, then its path."""
    listen: tuple[ListenConfig, ...] = ()
    priorities: tuple[PathConfig, ...] = ()
    timeout: Duration = Duration(3600)
    """The whole attempt of a call without an X-OQ-Timeout. Its caller sees what comes, and can stop
    it; `ollama.timeout` would cut long answers short that a direct call gives."""
    reconnect_grace: Duration = Duration(30)
    """How long a call with an Idempotency-Key goes on for its caller to come back."""


class Config(Section, frozen=True):
    """All settings, in sections. ``oq.Config()`` has the defaults.

    Programs usually give settings as keywords of `oq.open_queue` or `oq.BlockingQueue` instead.
    """

    ollama: OllamaConfig = field(default_factory=OllamaConfig)
    queue: QueueConfig = field(default_factory=QueueConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    retry_config: RetryConfig = field(default_factory=RetryConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    events: EventsConfig = field(default_factory=EventsConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    simulated: SimulatedConfig = field(default_factory=SimulatedConfig)
    backends: tuple[BackendConfig, ...] = ()

    def backend_list(self) -> tuple[BackendConfig, ...]:
        """The backends in the order of preference. If `backends` is empty, it is one backend: the
        Ollama at `ollama.host`.
        """
        if self.backends:
            return self.backends
        return (BackendConfig(name="ollama", kind="ollama", url=self.ollama.host),)


def to_config(values: dict[str, Any]) -> Config:
    """The settings in `values` (sections of keys) over the defaults.

    InvalidConfig names the key that is wrong, as ``queue.max_workers``.
    """
    values = _known_level(values)
    try:
        config = msgspec.convert(values, Config, dec_hook=_duration, strict=True)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        key = where.rstrip("`")
        raise InvalidConfig(f"{key}: {what}" if key else what) from None
    _cross_check(config)
    return config


def _known_level(values: dict[str, Any]) -> dict[str, Any]:
    logging = values.get("logging")
    if not isinstance(logging, dict) or "level" not in logging:
        return values
    level = logging["level"]
    known = _LEVELS.get(str(level).strip().lower(), level)
    return {**values, "logging": {**logging, "level": known}}


def _duration(kind: type, value: object) -> Duration:
    if kind is Duration:
        return parse_duration(value)
    raise NotImplementedError(kind)


def _cross_check(config: Config) -> None:
    _check_positive(config)
    _check_retries(config.retry_config)
    _check_backends(config)
    _check_gateway(config)


def _check_positive(config: Config) -> None:
    """Without a pause the loops would never rest, and without any time nothing could succeed."""
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
    """Urls are shown in logs, errors and statuses. This error does not show it."""
    if "@" in url:
        raise InvalidConfig(f"{key}: it must not contain a user or password; use api_key instead")
