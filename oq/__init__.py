"""A durable priority queue in front of LLM servers: Ollama and OpenAI-compatible ones.

With a running server (`oq serve`):

    queue = oq.Client()                              # or oq.AsyncClient, for asyncio and trio
    task_id = queue.submit(oq.chat("llama3.2", "hello", priority="high"))
    answer = queue.result(task_id)["message"]["content"]

Without a server, the queue runs inside your program:

    with oq.BlockingQueue(max_workers=2) as queue: ...
    async with oq.open_queue(max_workers=2) as queue: ...            # under trio

`chat`, `generate` and `embed` make tasks; help(oq.chat) lists the arguments. The queues and the
clients have the same methods: submit, submit_many, run_batch, get, result, stream, list,
list_summaries, count, status, backends, cancel, set_priority, retry, delete, bulk, pause,
resume, subscribe. The clients also have stats. Errors of oq are subclasses of OqError.
`task.to_dict()` gives a dict for json.dumps.
"""

# The house, from the ground up; imports only go down:
#
#     words      what everything speaks: tasks, events, errors, settings, messages
#     rules      what is decided, as pure functions: order, lifecycle, retry, retention
#     store      RocksDB        backends   the servers that run models        settings   files
#     actors     writer, scheduler, retry timer, worker pool, event hub
#     queue      open_queue(): the nursery, the wiring, the verbs
#     http, blocking, client, cli   the faces
#
# Each public name is loaded when it is first used: a client does not wait for the queue, nor
# the command line for either.

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oq.blocking import BlockingQueue as BlockingQueue
    from oq.client import Client as Client
    from oq.client.aio import AsyncClient as AsyncClient
    from oq.client.watch import watch as watch
    from oq.queue import Queue as Queue
    from oq.queue import open_queue as open_queue
    from oq.words.config import Config as Config
    from oq.words.errors import BackendError as BackendError
    from oq.words.errors import Conflict as Conflict
    from oq.words.errors import InvalidBatch as InvalidBatch
    from oq.words.errors import InvalidConfig as InvalidConfig
    from oq.words.errors import InvalidTask as InvalidTask
    from oq.words.errors import NotFound as NotFound
    from oq.words.errors import OqError as OqError
    from oq.words.errors import PayloadTooLarge as PayloadTooLarge
    from oq.words.errors import QueueFull as QueueFull
    from oq.words.errors import Removed as Removed
    from oq.words.errors import ServerNotReached as ServerNotReached
    from oq.words.errors import StoreCorrupt as StoreCorrupt
    from oq.words.errors import StoreError as StoreError
    from oq.words.errors import StoreLocked as StoreLocked
    from oq.words.errors import TaskCancelled as TaskCancelled
    from oq.words.errors import TaskFailed as TaskFailed
    from oq.words.errors import Unavailable as Unavailable
    from oq.words.errors import WaitTooLong as WaitTooLong
    from oq.words.events import Event as Event
    from oq.words.events import EventType as EventType
    from oq.words.events import Lagged as Lagged
    from oq.words.new import NewTask as NewTask
    from oq.words.new import chat as chat
    from oq.words.new import embed as embed
    from oq.words.new import generate as generate
    from oq.words.stream import Chunk as Chunk
    from oq.words.task import Priority as Priority
    from oq.words.task import Status as Status
    from oq.words.task import Summary as Summary
    from oq.words.task import Task as Task
    from oq.words.task import TaskType as TaskType
    from oq.words.views import QueueStatus as QueueStatus

_HOMES = {
    "oq.blocking": ("BlockingQueue",),
    "oq.client": ("Client",),
    "oq.client.aio": ("AsyncClient",),
    "oq.client.watch": ("watch",),
    "oq.queue": ("Queue", "open_queue"),
    "oq.words.config": ("Config",),
    "oq.words.errors": (
        "BackendError", "Conflict", "InvalidBatch", "InvalidConfig", "InvalidTask", "NotFound",
        "OqError", "PayloadTooLarge", "QueueFull", "Removed", "ServerNotReached", "StoreCorrupt",
        "StoreError", "StoreLocked", "TaskCancelled", "TaskFailed", "Unavailable",
        "WaitTooLong",
    ),
    "oq.words.events": ("Event", "EventType", "Lagged"),
    "oq.words.new": ("NewTask", "chat", "embed", "generate"),
    "oq.words.views": ("QueueStatus",),
    "oq.words.stream": ("Chunk",),
    "oq.words.task": ("Priority", "Status", "Summary", "Task", "TaskType"),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'oq' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
