"""The models in the simulated machine's memory: what loading costs, and who waits for whom.

It follows Ollama's scheduler (server/sched.go):

- A call whose model is loaded passes by the line of those that need a load. So a model that is
  asked for all the time never leaves.
- Only the first in the line goes on: one load at a time. It waits until nothing runs on the model
  that must leave, and everybody behind it waits too, whatever they want.
- The model that must leave is the same one with other load options, or, where memory is full, an
  idle one: that with the shortest `keep_alive`, and of several the first by digest.
- A load ends with the call that loads: when its caller hangs up, the next in line begins anew.
  What a caller who has left was waiting to drive out leaves all the same.

`router` has the same for llama.cpp's router.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from oq.backends.simulated.load_group import load_group
from oq.backends.simulated.place import Place
from oq.backends.simulated.reading import Refused
from oq.backends.simulated.runner import Hold, Runner, RunnerKilled

FULL = "server busy, please try again.  maximum pending requests exceeded"
"""What Ollama says when its line is full; the two spaces are its own."""
OWN_CONTEXT: Final = 131_072


class LoadedModels:
    """At most `limit` models, of which each takes `cost` seconds to load.

    Each answers `parallel` calls at once, one that only embeds one; None is no limit. At most
    `max_queue` calls wait behind the one that is loading. A model stays for `keep_alive` seconds
    after its last call, unless that call says another time. `context` is the most tokens that any
    model knows. `blob_of` gives what is loaded for a name: two names may stand for the same.
    """

    runs_on = False
    """Whether a call that does not stream runs to its end when its caller has left."""

    def __init__(
        self,
        limit: int,
        cost: float,
        *,
        parallel: int | None = None,
        max_queue: int = 512,
        keep_alive: float = 300,
        context: int = OWN_CONTEXT,
        blob_of: Callable[[str], str] = str,
    ) -> None:
        self.limit = limit
        self.cost = cost
        self.parallel = parallel
        self.max_queue = max_queue
        self.keep_alive = keep_alive
        self._context = context
        self._blob_of = blob_of
        self._runners: dict[str, Runner] = {}
        """What is loaded, by blob; the one used longest ago first."""
        self._line: deque[Place] = deque()
        self._loading: Place | None = None
        self.loads: list[str] = []
        """The model of each load, in order."""

    @property
    def names(self) -> list[str]:
        """What is loaded, the one used longest ago first. What loads is not in it yet."""
        return [runner.name for runner in self.runners]

    @property
    def runners(self) -> list[Runner]:
        """As `names`, with all that is known of each."""
        self._expire()
        return list(self._runners.values())

    @property
    def loading(self) -> str | None:
        """The model that is being loaded."""
        return None if self._loading is None else self._loading.name

    @property
    def waiting(self) -> int:
        """Calls in the line of those that need a load, with the one that loads. Those whose callers
        have left count too, until they are reached.
        """
        return len(self._line)

    @asynccontextmanager
    async def use(
        self,
        model: str,
        options: Mapping[str, Any],
        cost: float | None = None,
        *,
        shift: bool | None = None,
        keep: float | None = None,
        slot: bool = True,
    ) -> AsyncIterator[Hold]:
        """Hold the model, loaded with these options, and one of its slots.

        It stays for `keep` seconds afterwards, if that is given. Refused if the line is full.
        RunnerKilled if the model's process dies before there is a slot; raised in here, it ends
        that process.
        """
        came = trio.current_time()
        group = load_group(options, shift, self._context)
        place = Place(self._blob_of(model), model, group, keep, slot)
        runner = await self._obtain(place, self.cost if cost is None else cost)
        try:
            loaded = trio.current_time()
            async with runner.slot_held(place.ticket) as hold:
                hold.load, hold.waited = loaded - came, hold.began - loaded
                yield hold
        except RunnerKilled:
            runner.kill()
            raise
        finally:
            self._release(runner)

    def unload(self, model: str) -> None:
        """Forget a model as soon as nobody uses it."""
        runner = self._runners.get(self._blob_of(model))
        if runner is not None:
            runner.keep = 0
            if not runner.users:
                self._remove(runner)

    def kill(self, model: str) -> None:
        """End a model's process, with all that runs on it. The next call loads it again; until then
        it counts as loaded.
        """
        runner = self._runners.get(self._blob_of(model))
        if runner is not None:
            runner.kill()

    # -- the line

    async def _obtain(self, place: Place, cost: float) -> Runner:
        """The model, with one use counted; it may have to be loaded."""
        self._expire()
        runner = self._fitting(place)
        if runner is not None:
            return self._start_use(runner, place)
        if len(self._line) > self.max_queue:
            raise Refused(503, FULL)
        self._line.append(place)
        self._advance()
        try:
            while place.let_in is None:
                if self._loading is place:
                    await trio.sleep(cost)
                    self._end_load(place)
                else:
                    await self._wait(place)
        except BaseException:
            self._leave(place)
            raise
        return place.let_in

    async def _wait(self, place: Place) -> None:
        """Wait until something has changed for it."""
        place.changed = trio.Event()
        with trio.CancelScope(deadline=self._due(place)):
            await place.changed.wait()
        self._expire()

    def _due(self, place: Place) -> float:
        """When a model leaves by itself: the first caller who is still there looks then."""
        first = next(one for one in self._line if not one.gone)
        return self._next_leave() if first is place else math.inf

    def _advance(self) -> None:
        """Let the first in line go on, and the next ones that need nothing more."""
        while self._line and self._loading is None:
            first = self._line[0]
            runner = self._fitting(first)
            if runner is not None:
                self._line.popleft()
                if not first.gone:
                    self._let_in(first, runner)
            elif first.gone and first.leaving is None:
                self._line.popleft()
            elif not self._make_room(first):
                # Somebody must be awake when what it waits for leaves by itself.
                self._wake_first()
                return
            elif first.gone:
                self._line.popleft()  # its load ends at once
            else:
                self._loading = first
                first.changed.set()

    def _make_room(self, first: Place) -> bool:
        """Whether its model can be loaded now. What must leave for it is made to leave."""
        if first.leaving is not None and self._runners.get(first.leaving.key) is first.leaving:
            return False
        first.leaving = self._runners.get(first.key)
        if first.leaving is None and len(self._runners) >= self.limit:
            first.leaving = self._victim()
        if first.leaving is None:
            return True
        first.leaving.keep = 0
        if not first.leaving.users:
            del self._runners[first.leaving.key]
            return self._make_room(first)
        return False

    def _victim(self) -> Runner:
        """The model that must leave where memory is full; it may be in use."""
        order = sorted(self._runners.values(), key=lambda runner: (runner.keep, runner.key))
        return next((runner for runner in order if not runner.users), order[0])

    def _next_leave(self) -> float:
        return min((runner.leaves_at for runner in self._runners.values()), default=math.inf)

    def _wake_first(self) -> None:
        first = next((one for one in self._line if not one.gone), None)
        if first is not None:
            first.changed.set()

    def _let_in(self, place: Place, runner: Runner) -> None:
        place.let_in = self._start_use(runner, place)
        place.changed.set()

    def _end_load(self, place: Place) -> None:
        self.loads.append(place.name)
        count = 1 if embeds(place.name) and self.parallel else self.parallel
        runner = Runner(place.key, place.name, place.group, count, self.keep_alive)
        self._runners[place.key] = runner
        self._loading = None
        self._line.popleft()
        self._let_in(place, runner)
        self._advance()

    def _leave(self, place: Place) -> None:
        """A caller has left the line, or has been let in at the same time."""
        place.gone = True
        if place.let_in is not None:
            if place.ticket is not None:
                place.let_in.slots.leave(place.ticket)
            self._release(place.let_in)
        elif self._loading is place:
            self._loading = None
            self._line.popleft()
        self._advance()

    # -- what is loaded

    def _fitting(self, place: Place) -> Runner | None:
        """The loaded model, if it will do for this call."""
        runner = self._runners.get(place.key)
        if runner is None or runner.died.is_set() or not place.group.fits(runner.group):
            return None
        return runner

    def _start_use(self, runner: Runner, place: Place) -> Runner:
        runner.users += 1
        if place.slot:  # at once: those that a load lets in together keep their order
            place.ticket = runner.slots.join()
        runner.leaves_at = math.inf
        if place.keep is not None:
            runner.keep = place.keep
        self._runners[runner.key] = self._runners.pop(runner.key)
        return runner

    def _release(self, runner: Runner) -> None:
        runner.users -= 1
        if runner.users or self._runners.get(runner.key) is not runner:
            return
        if runner.keep <= 0:
            self._remove(runner)
        else:
            runner.leaves_at = trio.current_time() + runner.keep
            self._advance()

    def _remove(self, runner: Runner) -> None:
        del self._runners[runner.key]
        self._advance()

    def _expire(self) -> None:
        """Let those leave whose time has come."""
        now = trio.current_time()
        for runner in [one for one in self._runners.values() if one.leaves_at <= now]:
            self._runners.pop(runner.key, None)
        self._advance()


def embeds(model: str) -> bool:
    """Whether a model of this name only embeds: those that do have it in their names."""
    return "embed" in model.lower()
