"""A model server, as far as time goes: how long it works on calls, and which it lets wait.

It does what Ollama, llama.cpp's router and llama-swap were seen to do. A call for a model that is
in memory passes the line of those that need a load. There is one load at a time, and the first in
that line blocks all behind it. A model leaves the memory when another one is wanted and none of its
own calls runs or waits. A call that is broken off while its prompt is read stops at the end of a
batch. Each call goes at its own speed, whatever runs beside it. A server may also have all models
in memory, as a cloud has.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import ceil, inf
from typing import Protocol

from msgspec import Struct

from oq.plan.agenda import Agenda

BATCH = 512
"""Tokens of a prompt that are read at once: Ollama's default."""


class Asked(Struct, frozen=True, gc=False):
    """A task of a trace: its number in order of submission, when it came, in seconds since the
    first one, what it is, and how many seconds its prompt and its answer usually take. `generated`
    are those of its `tokens` that are none of its prompt.
    """

    number: int
    at: float
    model: str
    priority: int
    tenant: str | None
    tokens: int
    generated: int
    reads: float
    writes: float


class Speed(Struct, frozen=True, gc=False):
    """How fast a server is with a model: how many times as long as usual it takes for a prompt and
    for an answer, and how many seconds for a load.
    """

    reads: float
    writes: float
    load: float


@dataclass(slots=True, eq=False)
class Call:
    """A task on its way. `sent`: handed to a server, to the one of this name. `began`: its model is
    in memory and the server begins to read its prompt. `answered` and `ended`: the times at which
    its first token is there and it has ended, or will be.
    """

    asked: Asked
    server: str = ""
    sent: float = inf
    began: float = inf
    answered: float = inf
    ended: float = inf
    broken_off: int = 0
    """How many times it was broken off, to be sent again."""

    @property
    def waited(self) -> float:
        """Seconds from its submission until somebody worked on it."""
        return self.began - self.asked.at


class Front(Protocol):
    """Who sends calls to machines. It is told what happens there."""

    def came(self, call: Call) -> None:
        """A task is submitted."""
        ...

    def loaded(self, machine: Machine, took: float) -> None:
        """A load is done, after so many seconds."""
        ...

    def answered(self, call: Call) -> None:
        """The first token is there."""
        ...

    def ended(self, call: Call) -> None:
        """The call has ended: its slot is free."""
        ...


@dataclass(slots=True, eq=False)
class _Model:
    ready_at: float
    running: int = 0
    waiting: deque[Call] = field(default_factory=deque)

    @property
    def idle(self) -> bool:
        return not self.running and not self.waiting


class Machine:
    """One server. It works on `slots` calls of a model at once, and holds `models` of them; None:
    it has all of them in memory. `speed` says how fast it is with a model.
    """

    def __init__(
        self,
        name: str,
        slots: int,
        models: int | None,
        speed: Callable[[str], Speed],
        agenda: Agenda,
        front: Front,
    ) -> None:
        self.name = name
        self.calls = 0
        """How many calls it has."""
        self.loads = 0
        self.swaps = 0
        """Loads for which another model had to leave."""
        self._slots = slots
        self._models = models
        self._speed = speed
        self._agenda = agenda
        self._front = front
        self._memory: OrderedDict[str, _Model] = OrderedDict()  # the one used last at the end
        self._loading = False
        self._line: deque[Call] = deque()  # of those that need a load

    @property
    def loaded(self) -> tuple[str, ...] | None:
        """The models in its memory; None if that is all of them."""
        if self._models is None:
            return None
        now = self._agenda.now
        return tuple(name for name, model in self._memory.items() if model.ready_at <= now)

    def send(self, call: Call) -> None:
        """Hand over a call, once."""
        assert call.sent == inf, f"task {call.asked.number} is handed over twice"
        call.server, call.sent = self.name, self._agenda.now
        self.calls += 1
        loaded = self.loaded
        if loaded is None:
            self._memory.setdefault(call.asked.model, _Model(0.0))
        if loaded is None or call.asked.model in loaded:
            self._join(call)
        else:
            self._line.append(call)
            self._go_on()

    def _join(self, call: Call) -> None:
        model = self._memory[call.asked.model]
        self._memory.move_to_end(call.asked.model)
        model.waiting.append(call)
        self._work_on(model)

    def _work_on(self, model: _Model) -> None:
        while model.waiting and model.running < self._slots:
            call = model.waiting.popleft()
            model.running += 1
            call.began = max(self._agenda.now, model.ready_at)
            speed = self._speed(call.asked.model)
            call.answered = call.began + call.asked.reads * speed.reads
            call.ended = call.answered + call.asked.writes * speed.writes
            turn = call.broken_off
            self._agenda.add(call.answered, partial(self._answer, call, turn))
            self._agenda.add(call.ended, partial(self._end, call, turn))

    def break_off(self, call: Call) -> None:
        """The call stops, wherever it is, and may be sent again. While its prompt is read its slot
        is not free before the end of a batch of it.
        """
        call.broken_off += 1
        if call.began == inf:
            waits_in = self._line if call in self._line else self._memory[call.asked.model].waiting
            waits_in.remove(call)
            self.calls -= 1
            call.sent = inf
            return
        stops = self._stops(call)
        call.sent = call.began = call.answered = call.ended = inf
        if stops > self._agenda.now:
            self._agenda.add(stops, partial(self._leave, call))
        else:
            self._leave(call)

    def _stops(self, call: Call) -> float:
        """When a call that is broken off leaves its slot."""
        now, read = self._agenda.now, call.answered
        if read <= now or now <= call.began:  # it has read all of it, or its model is being loaded
            return now
        batches = max(1.0, (call.asked.tokens - call.asked.generated) / BATCH)
        batch = (read - call.began) / batches
        return min(read, call.began + batch * ceil((now - call.began) / batch))

    def _answer(self, call: Call, turn: int) -> None:
        if call.broken_off == turn:
            self._front.answered(call)

    def _end(self, call: Call, turn: int) -> None:
        if call.broken_off == turn:
            self._leave(call)
            self._front.ended(call)

    def _leave(self, call: Call) -> None:
        """A slot is free."""
        self.calls -= 1
        model = self._memory[call.asked.model]
        model.running -= 1
        self._work_on(model)
        if model.idle:
            self._go_on()

    def _go_on(self) -> None:
        """Load what the first in line needs, if that can be done now."""
        while self._line and not self._loading:
            name = self._line[0].asked.model
            if name not in self._memory and not self._load(name):
                return
            self._join(self._line.popleft())

    def _load(self, name: str) -> bool:
        """Begin to load it; False if it has to wait."""
        assert self._models is not None, "nothing is loaded where all models are in memory"
        if len(self._memory) >= self._models:
            idle = next((one for one, model in self._memory.items() if model.idle), None)
            if idle is None:
                return False
            del self._memory[idle]
            self.swaps += 1
        took = self._speed(name).load
        self._memory[name] = _Model(self._agenda.now + took)
        self._loading = True
        self.loads += 1
        self._agenda.add(self._agenda.now + took, lambda: self._loaded(took))
        return True

    def _loaded(self, took: float) -> None:
        self._loading = False
        self._go_on()
        self._front.loaded(self, took)
