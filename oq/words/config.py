"""Every setting, its default and its bounds. `oq.settings` reads files and the environment.

The sections and keys are those of ollama-queue's YAML. Settings that oq adds are marked (+).
Durations are in seconds here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from oq.words.config_checks import NUMBERS_OF_TASKS, check, wrong_key, wrong_number_of_tasks
from oq.words.durations import Duration, parse_duration
from oq.words.errors import InvalidConfig
from oq.words.task import MAX_RETRIES

Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Limit = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
ModelPattern = Annotated[str, Meta(min_length=1, max_length=200)]
Port = Annotated[int, Meta(ge=0, le=65535)]
_LEVELS = {
    **dict.fromkeys(("trace", "verbose", "silly", "all", "10"), "debug"),
    **dict.fromkeys(("information", "informational", "notice", "20"), "info"),
    **dict.fromkeys(("warn", "30"), "warning"),
    **dict.fromkeys(
        ("err", "fatal", "critical", "crit", "alert", "emerg", "emergency", "panic", "40", "50"),
        "error",
    ),
}
"""Names of log levels in other programs. LOG_LEVEL is often set for several programs."""
BackendKind = Literal["ollama", "openai", "simulated"]
PolicyName = Literal["fifo", "affinity"]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings. An unknown key is an error."""


class OllamaConfig(Section, frozen=True):
    """`ollama`: the backend if `backends` is empty, and the timeouts and limits of all backends.
    `first_token_timeout` and `idle_timeout` have no effect any more: see `health.silence`.
    """

    host: str = "http://localhost:11434"
    timeout: Duration = Duration(300)
    """For one whole attempt, if the task has no timeout."""
    connect_timeout: Duration = Duration(5)  # (+)
    first_token_timeout: Duration = Duration(300)  # (+)
    idle_timeout: Duration = Duration(120)  # (+)
    max_answer: Annotated[int, Meta(ge=1024, le=1 << 34)] = 256 * 1024 * 1024
    """(+) Bytes of memory for one answer while it is received. An answer that needs more fails."""


class BackendConfig(Section, frozen=True):
    """`backends[]` (+): one server that runs models."""

    name: str
    kind: BackendKind
    url: str = ""
    """Its address. A simulated backend needs none."""
    api_key: str | None = None
    pass_authorization: bool = False
    """Whether a call takes the Authorization header of its caller along, in place of `api_key`. The
    header is then stored with the task."""
    max_concurrency: Count | Literal["auto"] = "auto"
    """How many tasks it gets at once. `auto`: as many as it serves at once, which it says, or which
    oq measures. All backends together run up to `queue.max_workers`."""
    model_limits: dict[str, Count | Literal["auto"]] = {}
    """How many tasks of a model it gets at once, by the name of the model, which may have `*` and
    `?`. The first name that fits counts. All its tasks together are bound by `max_concurrency`.
    `auto`: the model has no limit of its own."""
    max_models: Count | None = None
    """How many models it has room for in memory. If this is not set, oq learns it."""
    models: Annotated[tuple[ModelPattern, ...], Meta(max_length=1000)] | None = None
    """The models that it has, as names with `*` and `?`. If this is not set, oq asks it. It counts
    where there are several backends: a task goes to one that has its model."""
    tier: Annotated[int, Meta(ge=0, le=9)] = 0
    """A backend of a higher tier gets a task only if those of lower ones that have its model are
    down, or if it would wait for them for longer than `overflow_after`."""
    overflow_after: Duration = Duration(60)


class HealthConfig(Section, frozen=True):
    """`health` (+): when a backend counts as down."""

    silence: Duration = Duration(60)
    """When a backend has said nothing for so long to a task that it runs, it is asked for something
    small on another connection, and again each time that this time has passed. If it leaves three
    of these requests in a row unanswered, it is down and the task waits. A server that cannot
    answer while it generates needs a longer time here than its longest answer takes."""
    hold_after: Count = 3
    """If so many tasks of a model fail in a row, it is held: one at a time is tried."""
    wedged_after: Duration = Duration(600)
    """If no task of a model produces anything for so long, though others did before and the backend
    answers probes, the model is held as well."""
    canary: Duration = Duration(20)  # until the next one is tried


class SimulatedConfig(Section, frozen=True):
    """`simulated` (+): how fast backends of kind simulated invent their answers, load models and
    line up calls. The defaults are those of a small model and of Ollama. ``options.simulate`` of a
    task replaces the first three."""

    delay: Duration = Duration(0.3)
    """Before the first token."""
    tokens_per_second: Annotated[float, Meta(ge=0, le=1_000_000)] = 20.0
    """0 means that all tokens come at once."""
    load: Duration = Duration(0.5)
    """For loading a model."""
    parallel: Limit = 1
    """The calls that a loaded model answers at once, as OLLAMA_NUM_PARALLEL; the others wait. A
    model whose name has `embed` in it answers one. 0 means no limit."""
    max_models: Count = 3
    """The most models in memory, as OLLAMA_MAX_LOADED_MODELS."""
    max_queue: Limit = 512
    """The most calls that wait for a load, as OLLAMA_MAX_QUEUE. Another one is answered 503."""
    keep_alive: Duration = Duration(300)
    """How long a model stays in memory when nobody uses it, as OLLAMA_KEEP_ALIVE."""


class QueueConfig(Section, frozen=True):
    """`queue`: how many tasks run, where they are stored, and how many may be stored."""

    max_workers: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """The most tasks that run at once, on all backends together. If it is not set, that is what the
    backends serve at once, and at most 64. A backend inside the process gets 4 at once then."""
    storage_path: Annotated[str, Meta(min_length=1)] = "./data"
    cleanup_interval: Duration = Duration(3600)
    max_completed_tasks: Limit = 100_000
    """The most ended tasks that are kept; the oldest are removed. 0 means no limit. Tasks with
    unread results (see `max_unread_tasks`) do not count here."""
    keep_completed: Duration = Duration(7 * 86400)
    """(+) The longest time that an ended task is kept. 0 means no limit."""
    max_unread_tasks: Limit = 1_000_000
    """(+) The most ended tasks that are kept because nobody has read their result yet: tasks of a
    batch, and tasks with an idempotency key. 0 means no limit."""
    max_removed_ids: Limit = 100_000
    """(+) The most ids of removed tasks that are kept. Requests for these tasks are answered with
    410 instead of 404. 0 means none."""
    keep_removed_ids: Duration = Duration(30 * 86400)  # (+) how long they are kept; 0: no limit
    max_pending: Count = 1_000_000  # (+) if so many tasks are pending, a submit is answered 429
    max_payload: Annotated[int, Meta(ge=1024, le=1 << 30)] = 64 * 1024 * 1024
    """(+) Bytes of the body of a request: of a task, of a batch of tasks, of a call. Five photos of
    a phone are 20 MB. All bodies in memory together have `server.max_inflight_bytes`."""
    max_values: Annotated[int, Meta(ge=1000, le=1_000_000_000)] = 500_000
    """(+) The most numbers, texts, lists and objects in the JSON of one task. Each of them takes
    about 80 bytes of memory when it is decoded."""
    max_metadata: Annotated[int, Meta(ge=2, le=1 << 20)] = 4096  # (+) bytes of a task's metadata
    max_batch: Count = 10_000  # (+) tasks in one batch request
    max_bulk: Count = 100_000  # (+) tasks that one bulk request changes
    read_cache: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 8 * 1024 * 1024
    """(+) Bytes of memory for a cache of what was read from the disk. The kernel has a cache of the
    files too."""
    drain_timeout: Duration = Duration(30)  # (+) how long a shutdown waits for running tasks
    probe_interval: Duration = Duration(2)  # (+) between two checks of a backend that is down


class ReserveConfig(Section, frozen=True):
    """`scheduler.reserve[]` (+): slots for tasks of a priority, and of higher ones."""

    priority: int | str
    slots: Count
    """How many of those that a backend has for a model are kept free of lower tasks. One is left to
    them at least."""


class SchedulerConfig(Section, frozen=True):
    """`scheduler`: which task runs next: the highest priority first, and tasks of the same priority
    in the order of submission. `batch_size` and `scheduling_interval` have no effect: they are
    settings of ollama-queue, whose files oq reads. oq has no scheduling interval.
    """

    affinity: bool = False
    """(+) Whether, among tasks of the same priority, those go first whose model is in memory."""
    max_bypass: Duration = Duration(30)
    """(+) The longest time that `affinity` lets later tasks pass the oldest one."""
    reserve: tuple[ReserveConfig, ...] = ()
    """(+) Slots that tasks of lower priorities do not get."""
    idle_after: Duration = Duration(0)
    """(+) Tasks of priority 0 start when nothing of a higher priority has run for so long. 0: they
    are the lowest priority, and no more."""
    preempt: bool = False
    """(+) Whether a critical task that finds no slot makes a running task of priority 1 or lower go
    back to its place, if nobody has seen anything of its answer."""
    max_preemptions: Count = 3
    """(+) How many times that may happen to a task while oq runs."""
    max_conversations: Limit = 10_000
    """(+) Of so many conversations it is remembered which backend served them last, where there are
    several: their next tasks go to the same one. 0: of none."""
    batch_size: Count = 10
    scheduling_interval: Duration = Duration(1)

    @property
    def policy(self) -> PolicyName:
        """The policy by its name."""
        return "affinity" if self.affinity else "fifo"


class WeightConfig(Section, frozen=True):
    """`fairness.weights[]` (+): a tenant that gets more than others, or less."""

    tenant: str
    weight: Annotated[float, Meta(gt=0, le=1000)]
    """How many times as much. All others have 1."""


class FairnessConfig(Section, frozen=True):
    """`fairness` (+): tenants that have tasks of the same priority get the same service, counted in
    tokens: those of a prompt once, generated ones twice.
    """

    enabled: bool = False
    by: Annotated[str, Meta(min_length=1, max_length=64)] = "tenant"
    """The field of a task's metadata that names its tenant. Calls name it in X-OQ-Tenant. Tasks
    without one are one tenant."""
    quantum: Limit = 2000
    """Tokens. Tenants whose service differs by less are equals: their tasks are in one line."""
    max_tenants: Limit = 256
    """Of so many tenants with waiting tasks of one priority the service is compared, and of those
    in `weights`. Any more are one, together with the tasks without a tenant."""
    weights: tuple[WeightConfig, ...] = ()


class RetryConfig(Section, frozen=True):
    """`retry_config`: how many times a failed attempt is repeated, and after which delay."""

    max_retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] = 3
    initial_delay: Duration = Duration(1)
    max_delay: Duration = Duration(30)
    backoff_factor: Annotated[float, Meta(ge=1, le=100)] = 2.0
    jitter: bool = True  # (+) full jitter: each delay is random, from 0 to the computed delay
    zero_is_default: bool = False
    """(+) Whether a task with 0 retries gets `max_retries`: for ollama-queue's Go client, which
    sends 0 if the number is not set."""


class LoggingConfig(Section, frozen=True):
    """`logging`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str | None = None
    """The log file. If there is none, the log goes to the standard error."""
    format: Literal["console", "json"] = "console"  # (+)


class ServerConfig(Section, frozen=True):
    """`server` (+): the address of `oq serve`, and the limits of its connections."""

    host: str = "127.0.0.1"
    port: Port = 7125
    allowed_hosts: tuple[str, ...] = ()
    """Names that are accepted in a Host header, besides the names of the server's own address,
    localhost, private addresses, and names that end in .localhost, .local or .internal."""
    allowed_origins: tuple[str, ...] = ()
    """Other origins whose web pages may send every request to the server: they may read and change
    the queue. One `*` in an origin stands for any text, as in https://*.example.com."""
    max_connections: Count = 1000
    max_client_connections: Count | None = None
    """The most connections from one address. The default is three quarters of `max_connections`, so
    that one machine leaves room for others."""
    max_inflight_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 * 1024 * 1024
    """The most bytes of request bodies in memory at once: bodies that are received or stored. A
    compressed call counts together with what it says, which oq reads."""
    max_unsent_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 * 1024 * 1024
    """The most bytes of long answers in memory that clients have asked for and do not read. Beyond
    that the connections are cut whose clients have taken nothing for the longest time."""
    max_wait: Duration = Duration(300)
    """The longest time that a request with `?wait=` may wait."""


class EventsConfig(Section, frozen=True):
    """`events` (+): the limits of subscribers."""

    ring: Count = 20_000
    """The number of latest events in memory, from which a subscriber can resume."""
    mailbox: Count = 20_000
    """The most unread events of a subscriber. If there are more, they are dropped, and it receives
    their number."""
    max_subscribers: Count = 500
    """Fewer than the connections of one client, so that subscribers do not use up all of them."""


class ListenConfig(Section, frozen=True):
    """`gateway.listen[]` (+): another port on `server.host`. Calls to it get this priority."""

    port: Port
    priority: int | str


class PathConfig(Section, frozen=True):
    """`gateway.priorities[]` (+): the priority of the calls to one path, such as /api/embed."""

    path: str
    priority: int | str


class GatewayConfig(Section, frozen=True):
    """`gateway` (+): drop-in calls."""

    allow_admin: bool = False
    """Whether calls may change the models of a backend: pull, push, create, copy, delete."""
    priority: int | str = "high"
    """The default priority of calls. The X-OQ-Priority header counts first, then the priority of
    the port (`listen`), then that of the path (`priorities`), then this one."""
    listen: tuple[ListenConfig, ...] = ()
    priorities: tuple[PathConfig, ...] = ()
    timeout: Duration = Duration(3600)
    """For one whole attempt of a call without X-OQ-Timeout; its time in line does not count. It is
    longer than `ollama.timeout`, because the caller sees the answer grow and can stop it."""
    allowed_origins: tuple[str, ...] = ()
    """Other origins whose web pages may make calls, but not use oq's own API. Pages of localhost
    and of desktop programs may do so by default, as at Ollama. The variable is OLLAMA_ORIGINS."""
    reconnect_grace: Duration = Duration(30)
    """How long a call with an Idempotency-Key goes on after its client has disconnected."""


class Config(Section, frozen=True):
    """All settings, in sections. ``oq.Config()`` has the defaults.

    Programs usually give settings as keywords of `oq.open_queue` or `oq.BlockingQueue` instead.
    """

    ollama: OllamaConfig = field(default_factory=OllamaConfig)
    queue: QueueConfig = field(default_factory=QueueConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    fairness: FairnessConfig = field(default_factory=FairnessConfig)
    retry_config: RetryConfig = field(default_factory=RetryConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    events: EventsConfig = field(default_factory=EventsConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    simulated: SimulatedConfig = field(default_factory=SimulatedConfig)
    backends: tuple[BackendConfig, ...] = ()

    def backend_list(self) -> tuple[BackendConfig, ...]:
        """The backends in the order of preference. If `backends` is empty, it is one backend: the
        Ollama at `ollama.host`.
        """
        if self.backends:
            return self.backends
        return (BackendConfig(name="ollama", kind="ollama", url=self.ollama.host),)


MOST_WORKERS = 64
"""The most tasks that run at once if `queue.max_workers` is not set."""


def to_config(values: dict[str, Any]) -> Config:
    """The settings in `values` (a dict of sections), and the defaults for the rest.

    InvalidConfig names the key that is wrong, such as ``queue.max_workers``.
    """
    if not isinstance(values, dict):
        raise InvalidConfig(
            f"{repr(values)[:64]} is no dict of sections, such as {{'queue': {{}}}}"
        )
    values = _known_level(values)
    try:
        config = msgspec.convert(values, Config, dec_hook=_duration, strict=True)
    except msgspec.ValidationError as error:
        if wrong := wrong_key(values):
            raise InvalidConfig(wrong) from None
        what, _, where = str(error).replace(" | null", "").partition(" - at `$.")
        key = where.rstrip("`")
        if key.endswith(NUMBERS_OF_TASKS):
            raise InvalidConfig(wrong_number_of_tasks(values, key)) from None
        raise InvalidConfig(f"{key}: {what}" if key else what) from None
    check(config)
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
