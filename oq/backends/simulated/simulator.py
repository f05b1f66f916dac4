"""The simulator: it has models, follows scripts and records the requests.

It decides each answer. `backend` (inside the process) and `server` (over HTTP) send it. All times
are those of trio's clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import trio

from oq.backends.simulated.ask import Ask
from oq.backends.simulated.forms import form_of
from oq.backends.simulated.loaded import OWN_CONTEXT, LoadedModels
from oq.backends.simulated.model_files import ModelFiles
from oq.backends.simulated.reading import Refused
from oq.backends.simulated.router import RouterModels
from oq.backends.simulated.runner import Hold
from oq.backends.simulated.script import Script
from oq.backends.simulated.spent import Spent
from oq.words.clock import Clock

_CALL_BYTES = 1000
"""What a call takes beside its body and its headers."""


@dataclass(slots=True)
class Call:
    """One request as it came. `at`, `ended_at` and `hung_up_at` are trio's time; `ended_at` stays
    None while it is being answered, `hung_up_at` unless the caller left before the end.
    """

    number: int
    at: float
    method: str
    path: str
    """Without its query."""
    headers: list[tuple[str, str]]
    body: bytes
    """As it came, byte for byte; of an upload, nothing."""
    model: str = ""
    query: str = ""
    received: int = 0
    """Bytes of an upload so far."""
    ended_at: float | None = None
    hung_up_at: float | None = None
    hung_up: trio.Event = field(default_factory=trio.Event, repr=False)
    """Set when the caller has left before the end, so that a test can wait for it."""

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return _CALL_BYTES + len(self.path) + len(self.body) + headers


class Simulator:
    """A simulated server with models.

    A request follows the script in its own body, or else the next script of `push`, or else
    `default`. `models` are the names of its models; None means that every name exists.

    It loads and runs them as Ollama does: loading takes `load` seconds, at most `max_models` are in
    memory, each answers `parallel` calls at once (None: any number), and at most `max_queue` calls
    wait for a load; see `loaded`. With `router` it is llama.cpp's router instead.

    The paths that it `lacks` are answered as paths that the real server does not know. It records
    the latest `keep` requests, up to `keep_bytes` in all. If `timed` is False, answers report
    durations of 0. With a fixed `clock` they are then always the same.
    """

    def __init__(
        self,
        default: Script | None = None,
        *,
        models: Collection[str] | None = None,
        load: float = 0,
        max_models: int = 3,
        parallel: int | None = None,
        max_queue: int = 512,
        keep_alive: float = 300,
        context: int = OWN_CONTEXT,
        router: bool = False,
        lacks: Collection[str] = (),
        keep: int = 10_000,
        keep_bytes: int = 32 << 20,
        clock: Clock | None = None,
        timed: bool = True,
    ) -> None:
        self.default = default or Script()
        self.model_files = ModelFiles(models)
        self.router = router
        self._memory: Callable[[], LoadedModels] = partial(
            RouterModels if router else LoadedModels,
            limit=max_models,
            cost=load,
            parallel=parallel,
            max_queue=max_queue,
            keep_alive=keep_alive,
            context=context,
            blob_of=lambda name: self.model_files.blob(name),
        )
        self.loaded = self._memory()
        self.lacks = frozenset(lacks)
        self.calls: deque[Call] = deque(maxlen=keep)
        self._keep_bytes = keep_bytes
        self._kept_bytes = 0
        self.running = 0
        self.max_running = 0
        """The most requests that were being answered at once."""
        self.scripts: deque[Script] = deque()
        """Those that wait for the next requests."""
        self._count = 0
        self._clock = clock or Clock()
        self._timed = timed

    def restart(self, **settings: int | float) -> None:
        """As if its server had ended and begun again: nothing is in memory. What runs goes on.
        `settings` are those of `LoadedModels` that have changed.
        """
        self._memory = partial(self._memory, **settings)
        self.loaded = self._memory()

    def push(self, *scripts: Script) -> None:
        """Let the next requests follow these scripts, one each, in order."""
        self.scripts.extend(scripts)

    def asked(self, path: str) -> list[Call]:
        """The calls of one path, in order."""
        return [call for call in self.calls if call.path == path]

    @property
    def listed(self) -> list[str]:
        """The names of its models; where every name is one, those that were heard of."""
        more = self.loaded.names if self.model_files.any_name else ()
        return sorted(self.model_files.names.union(more))

    def lacks_path(self, path: str) -> bool:
        """Whether it answers as if it did not know this path; the router has none of Ollama's."""
        return path in self.lacks or (self.router and not form_of(path).in_llama)

    def now(self) -> datetime:
        """The wall clock, for `created_at`."""
        return self._clock.now()

    def elapsed(self, call: Call) -> float:
        """Seconds since a request came, as its answer reports them."""
        return trio.current_time() - call.at if self._timed else 0

    @asynccontextmanager
    async def hold(self, ask: Ask, script: Script, *, slot: bool = True) -> AsyncIterator[Hold]:
        """Have the model loaded, and a slot of it, unless none is needed. The errors are those of
        `LoadedModels.use`.
        """
        needs_slot = slot and not ask.load and not ask.render_only
        async with self.loaded.use(
            ask.model, ask.options, script.load, shift=ask.shift, keep=ask.keep, slot=needs_slot
        ) as hold:
            hold.prompt, hold.batch = script.prompt, script.batch
            yield hold

    def spent(self, hold: Hold, script: Script) -> Spent:
        """Where the time before the first token goes, as an answer reports it."""
        return Spent(hold.load, hold.waited, script.first) if self._timed else Spent()

    def record(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes,
        model: str = "",
        query: str = "",
    ) -> Call:
        """Remember a request."""
        self._count += 1
        call = Call(self._count, trio.current_time(), method, path, headers, body, model, query)
        self._remember(call)
        return call

    def _remember(self, call: Call) -> None:
        """Forget the oldest calls until there is room for this one; the latest is always kept."""
        calls = self.calls
        while calls and (
            len(calls) == calls.maxlen or self._kept_bytes + call.size > self._keep_bytes
        ):
            self._kept_bytes -= calls.popleft().size
        calls.append(call)
        self._kept_bytes += call.size

    @contextmanager
    def answering(self, call: Call) -> Iterator[None]:
        """Count a call as running. One that is cancelled in here has been hung up on."""
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        try:
            yield
        except trio.Cancelled:
            self.hang_up(call)
            raise
        finally:
            self.running -= 1
            call.ended_at = trio.current_time()

    def hang_up(self, call: Call) -> None:
        """Note that the caller has left, unless that is known."""
        if call.hung_up_at is None:
            call.hung_up_at = trio.current_time()
            call.hung_up.set()

    def script_for(self, ask: Ask) -> Script:
        """What to do with a request; Refused when there is no such model."""
        if ask.model:
            self.check_model(ask.model)
        return self.next_script(ask.script)

    def next_script(self, script: Script | None = None) -> Script:
        """The script that comes along, else the one that waits, else the default."""
        if script is None:
            script = self.scripts.popleft() if self.scripts else self.default
        return script

    def check_model(self, model: str) -> None:
        """Refused with Ollama's 404 if there is no such model."""
        if not self.model_files.has(model):
            if self.router:
                raise Refused(400, f"model '{model}' not found")
            raise Refused(404, f'model "{model}" not found, try pulling it first')
