"""A trace again, in virtual time, by the code that decides in a queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import inf

from msgspec import Struct

from oq.plan.agenda import Agenda
from oq.plan.machine import Asked, Call, Machine, Speed
from oq.plan.orders import Order
from oq.plan.passed import PassedOver
from oq.plan.rates import Rates
from oq.plan.servers import Server, Setup
from oq.plan.told import Told
from oq.rules.board import Board
from oq.rules.learnt import recall, record_of
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import ASK_AGAIN
from oq.words.messages import Ended
from oq.words.sample import Sample
from oq.words.task import Priority
from oq.words.views import BackendFacts


class Replayed(Struct, frozen=True):
    """What came of it. `servers` are their names. `late` counts the tasks that were passed over for
    longer than the policy promises; None if nothing is promised. `told` has what was told of those
    that had to wait when they came.
    """

    order: Order
    servers: tuple[str, ...]
    calls: list[Call]
    loads: int
    swaps: int
    late: int | None
    told: list[Told]


def replay(
    tasks: Sequence[Asked],
    order: Order,
    setup: Setup,
    rates: Mapping[str, Rates],
    restart_at: float | None = None,
) -> Replayed:
    """Run them all, each when it came. `rates` has each model: by these the tasks take what they
    take, but on servers that have their own. After `restart_at` seconds the queue starts anew, with
    what it keeps over a restart. NotServed if no server has the model of a task.
    """
    setup.check_models(task.model for task in tasks)
    agenda = Agenda()
    front = _Direct(setup) if order.name == "ollama" else _Queue(order, setup, agenda)
    for server in setup.servers:
        speed = _speed(server, rates)
        front.machines[server.name] = Machine(
            server.name, server.slots, server.models, speed, agenda, front
        )
    calls = [Call(task) for task in tasks]
    for call in calls:
        agenda.add(call.asked.at, lambda call=call: front.came(call))  # type: ignore[misc]
    if restart_at is not None and isinstance(front, _Queue):
        agenda.add(restart_at, front.restart)
    agenda.run()
    waiting = sum(call.ended == inf for call in calls)
    assert not waiting, f"{waiting} tasks never ran"
    return Replayed(
        order=order,
        servers=tuple(front.machines),
        calls=calls,
        loads=sum(machine.loads for machine in front.machines.values()),
        swaps=sum(machine.swaps for machine in front.machines.values()),
        late=front.late,
        told=front.told if isinstance(front, _Queue) else [],
    )


def _speed(server: Server, usual: Mapping[str, Rates]) -> Callable[[str], Speed]:
    """How fast this server is with each model, beside what is usual."""

    @cache
    def speed(model: str) -> Speed:
        known = usual[model]
        own = server.rates.get(model, known)
        return Speed(known.prompt / own.prompt, known.generated / own.generated, own.load)

    return speed


class _Direct:
    """No queue: each call goes at once to the machine that has the fewest, of those of the lowest
    tier that have its model.
    """

    def __init__(self, setup: Setup) -> None:
        self.machines: dict[str, Machine] = {}
        self.late: int | None = None  # nobody promises anything
        self._fleet = setup.fleet()

    def came(self, call: Call) -> None:
        able = self._fleet.able(call.asked.model, call.asked.at)
        machines = [self.machines[backend.name] for backend in able]
        min(machines, key=lambda machine: machine.calls).send(call)

    def loaded(self, machine: Machine, took: float) -> None:
        pass

    def answered(self, call: Call) -> None:
        pass

    def ended(self, call: Call) -> None:
        pass


class _Queue:
    """A queue: its board and its policy, which are told what a scheduler would tell them."""

    def __init__(self, order: Order, setup: Setup, agenda: Agenda) -> None:
        self.machines: dict[str, Machine] = {}
        self.told: list[Told] = []
        self._order = order
        self._setup = setup
        # Where servers differ, a task that waits for one is passed by those for the others.
        self._promises = order.passes is not None and setup.even
        self._agenda = agenda
        self._flat = order.name == "plain"
        self._calls: dict[str, Call] = {}
        self._late = 0  # before it was started anew
        self._start()

    @property
    def late(self) -> int | None:
        """How many tasks were passed over for too long; None if nothing is promised."""
        return self._late + self._passed.late if self._promises else None

    def _start(self) -> None:
        order, servers = self._order, self._setup.servers
        fleet = self._setup.fleet()
        self._policy = POLICIES[order.policy](fleet, order.settings, order.fairness)
        # There are more workers than slots, as by default: the servers are what tasks wait for.
        workers = self._setup.workers or sum(server.serves for server in servers) + 1
        preempts = order.settings.max_preemptions if order.settings.preempt else None
        bypass = order.settings.max_bypass if order.settings.affinity else None
        self._board = Board(
            workers, fleet, self._policy, paused=False, preempts=preempts, bypass=bypass
        )
        self._passed = PassedOver(order.passes or 0.0)
        self._due = inf  # when it is looked what may start, though nothing happens

    def restart(self) -> None:
        """It starts anew, as after a crash: what runs is broken off, and runs again."""
        learnt = self._board.forecast.record()
        backends = {backend.name: record_of(backend) for backend in self._board.backends}
        self._late += self._passed.late
        sent = [call for call in self._calls.values() if call.sent < inf]
        for call in sorted(sent, key=lambda call: -call.began):  # first those that wait inside
            self.machines[call.server].break_off(call)
        self._start()
        now = self._agenda.now
        self._board.forecast.restore(learnt)
        for backend in self._board.backends:
            recall(backend, backends[backend.name], now)
        self._board.load((_id(call), self._place(call)) for call in self._calls.values())
        for call in self._calls.values():
            self._passed.came(call, self._priority(call))
        for machine in self.machines.values():
            self._look(machine)

    def came(self, call: Call) -> None:
        task_id = _id(call)
        self._calls[task_id] = call
        self._board.place(task_id, self._place(call))
        if self._promises:
            self._passed.came(call, self._priority(call))
        self._dispatch()
        if call.sent == inf:
            now = self._agenda.now
            self.told.append(Told(call, self._board.forecast.of(task_id, now)))

    def loaded(self, machine: Machine, took: float) -> None:
        """A queue looks every ASK_AGAIN seconds what is in memory."""
        look = self._agenda.now + (-took) % ASK_AGAIN
        self._agenda.add(look, lambda: self._look(machine))

    def answered(self, call: Call) -> None:
        self._board.answered(_id(call), self._agenda.now)
        self._dispatch()

    def ended(self, call: Call) -> None:
        task_id, now = _id(call), self._agenda.now
        del self._calls[task_id]
        self._board.end(task_id)
        served = Sample(
            took=now - call.sent,
            first=call.answered - call.sent,
            load=call.began - call.sent,
            tokens=call.asked.tokens,
        )
        cost = call.asked.tokens + call.asked.generated
        self._board.free(task_id, now, Ended(served=True, sample=served, cost=cost))
        self._dispatch()

    def _look(self, machine: Machine) -> None:
        facts = BackendFacts(loaded=machine.loaded)
        self._board.note_facts(machine.name, facts, self._agenda.now)
        self._dispatch()

    def _dispatch(self) -> None:
        now = self._agenda.now
        while True:
            for job in self._board.starts(now):
                call = self._calls[job.task_id]
                self.machines[job.backend].send(call)
                if self._promises:
                    self._passed.started(call, self._priority(call), now)
            preempted = [one.task_id for one in self._board.recalls(now) if one.answered]
            if not preempted:
                break
            for task_id in preempted:
                self._put_back(task_id)
        self._board.forecast.settle(now)
        due = self._policy.due(now)
        if due < self._due or self._due <= now:
            self._due = due
            if due < inf:
                self._agenda.add(due, self._dispatch)

    def _put_back(self, task_id: str) -> None:
        """It is preempted, at once."""
        call = self._calls[task_id]
        self.machines[call.server].break_off(call)
        self._board.place(task_id, self._place(call))
        self._board.free(task_id, self._agenda.now, Ended())

    def _place(self, call: Call) -> Place:
        tenant = "" if self._flat else call.asked.tenant or ""
        return Place(self._priority(call), call.asked.model, tenant=tenant)

    def _priority(self, call: Call) -> int:
        return int(Priority.NORMAL) if self._flat else call.asked.priority


def _id(call: Call) -> str:
    """Ids grow in the order of submission."""
    return f"{call.asked.number:012d}"
