"""Where every live task is: the scheduler's memory. Which one runs next its policy says.

A live task is in exactly one of four places:

    ready      waits for a slot, in the order of the policy, which keeps it
    delayed    waits for its time: a delayed task, or a retry
    running    holds a slot of its backend
    settling   its next state is decided, and on its way to the disk
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain

from oq.rules.delayed import Delayed
from oq.rules.filters import LinePlace
from oq.rules.fleet import Fleet
from oq.rules.forecast import End, Forecast
from oq.rules.model_counts import ModelTasks, tasks_by_model
from oq.rules.place import Place
from oq.rules.policy import Choice, Policy
from oq.rules.recalls import Recalls, Run
from oq.rules.shown_slots import at_once, note_past
from oq.rules.slots import BackendSlots
from oq.rules.waiting import swap_on, why_in_line
from oq.words.messages import SERVED, Busy, Delay, Ended, Job, Look, Recall
from oq.words.task import Priority
from oq.words.views import BackendFacts


class Board:
    """Pure: it is told what happened, and says what runs next."""

    def __init__(
        self,
        slots: int,
        fleet: Fleet,
        policy: Policy,
        *,
        paused: bool,
        preempts: int | None = None,
        bypass: float | None = None,
    ) -> None:
        """`preempts` is as in `Recalls`, `bypass` as `max_bypass` in `Forecast`."""
        self.slots, self.paused, self.draining = slots, paused, False
        self._fleet = fleet
        fleet.workers = slots
        self._policy = policy  # it has the ready ones
        self._note_plain()
        self.forecast = Forecast(fleet, policy, bypass)
        policy.seconds_each = self.forecast.seconds_each
        self.delayed = Delayed()  # those that wait for their time
        self._running: dict[str, Run] = {}
        self._recalls = Recalls(fleet, policy, self._running, preempts)
        self._settling: set[str] = set()

    # -- what happened

    def load(self, tasks: Iterable[tuple[str, Place]]) -> None:
        """Take in what recovery found: pending tasks, in the order of submission."""
        delayed: list[tuple[str, Place]] = []

        def ready() -> Iterator[tuple[str, Place]]:
            for task_id, place in tasks:
                if place.run_at is None:
                    self.forecast.came.append(place)
                    yield task_id, place
                else:
                    delayed.append((task_id, place))

        self._policy.load(ready())
        self.delayed.load(delayed)

    def place(self, task_id: str, place: Place) -> None:
        """It is pending, and on disk as that."""
        run = self._running.get(task_id)
        if run is not None:
            run.ended, run.next = True, place
            return
        self._settling.discard(task_id)
        if place.run_at is None:
            self._policy.add(task_id, place)
            self.forecast.came.append(place)
            self.forecast.newest = task_id
        else:
            self.delayed.add(task_id, place)

    def end(self, task_id: str) -> None:
        """It has ended, or was removed, and is on disk as that."""
        run = self._running.get(task_id)
        if run is not None:
            run.ended = True
        self._settling.discard(task_id)
        self._recalls.forget(task_id)

    def ready(self, delays: Iterable[Delay]) -> None:
        """The time of these has come; one that no longer waits for just that is passed over."""
        for delay in delays:
            run = self._running.get(delay.task_id)
            if run is not None and run.next is not None and run.next.run_at == delay.run_at:
                run.next = run.next.when_due()
            place = self.delayed.place_of(delay.task_id)
            if place is not None and place.run_at == delay.run_at:
                self.delayed.discard(delay.task_id)
                self.place(delay.task_id, place.when_due())

    def settle(self, task_id: str) -> None:
        """Its next state is decided: nothing else happens to it until that is on disk."""
        self.delayed.discard(task_id)
        self.forecast.leaves(task_id)
        self._policy.remove(task_id)
        self._settling.add(task_id)

    def abort(self, task_id: str) -> bool:
        """It runs, and is to be stopped; False when it was told so before. KeyError when not."""
        run = self._running[task_id]
        news = not run.aborted
        run.aborted = True
        return news

    def stay(self, task_id: str) -> None:
        """It cannot be called back."""
        run = self._running.get(task_id)
        if run is not None:
            run.stays, run.goes_for = True, None

    def answered(self, task_id: str, now: float) -> None:
        """The answer to it has begun."""
        if (run := self._running.get(task_id)) is not None:
            quiet = run.backend.outages.quiet
            run.backend.answered(task_id, run.place, now)
            if not quiet:
                self._note_plain()

    def note_wedged(self, backend: str, model: str, task_id: str, now: float) -> None:
        """No task of this model produces anything there any more, such as this one."""
        canary = task_id if task_id in self._running else None
        slots = self._fleet.by_name[backend]
        slots.outages.wedged(slots.model(model), canary, now)
        self._note_plain()

    def free(self, task_id: str, now: float, ended: Ended = SERVED) -> BackendSlots | None:
        """It has stopped running, in this way: its slot is free. The backend, if something was
        learnt of it from the sample. KeyError when the task held no slot.
        """
        run = self._running.pop(task_id)
        place, backend, forecast = run.place, run.backend, self.forecast
        if place.priority >= Priority.CRITICAL:
            self._recalls.critical -= 1
        learnt = backend.give_back(task_id, now, ended.sample)
        if not backend.running:
            forecast.empties(backend, now)
        if not (ended.served and backend.outages.quiet):
            self._note_end(task_id, run, ended, now)
        self._policy.ended(task_id, place, backend, now, ended.cost)
        end = End(task_id, place.model, backend.name, now - run.at, now, ended.served)
        forecast.ends.append(end)
        if not run.ended:
            self._settling.add(task_id)
        elif run.next is not None:
            self.place(task_id, run.next)
        return backend if learnt else None

    def _note_end(self, task_id: str, run: Run, ended: Ended, now: float) -> None:
        """It says something of the backend how it ended."""
        if ended.lacks and self._fleet.several:
            self._fleet.note_lack(run.backend, run.place.model, now)
        if not (ended.served or run.aborted):
            self._fleet.conversations.failed(run.place, run.backend)
        run.backend.note_end(task_id, run.place, ended, now)
        self._note_plain()

    def mark_down(self, backend: str, reason: str, at: datetime) -> bool:
        """The backend does not answer; True when that is news."""
        slots = self._fleet.by_name[backend]
        news = slots.down is None
        slots.down = reason
        if news:
            slots.down_since = at
            self._note_fleet()
        return news

    def mark_up(self, backend: str, now: float) -> None:
        """It answers again. It may have lost its memory meanwhile."""
        slots = self._fleet.by_name[backend]
        slots.down = slots.down_since = slots.held = None
        slots.restarted(now)
        self._note_fleet()

    def hold(
        self, backend: str, busy: Busy, now: float, delay: Callable[[int, float | None], float]
    ) -> None:
        """The backend is busy: it gets nothing for a while. `delay` says how many seconds, for the
        number of times in a row that it was busy and for what it asked for.
        """
        self._fleet.by_name[backend].hold(busy, now, delay)
        self._note_plain()

    def pause_model(self, model: str, *, paused: bool) -> None:
        """No task of this model starts from now on, or they do again."""
        self._fleet.pause(model, paused=paused)
        self.forecast.interrupt()

    def note_facts(
        self, backend: str, facts: BackendFacts, now: float, asked_at: float | None = None,
        *, full: bool = False,
    ) -> BackendSlots | None:  # fmt: skip
        """What a backend says of itself, to a question of that time, or just now: `full` if it was
        asked for its models, too. The backend, if something was learnt of it.
        """
        learnt = self._fleet.note_facts(backend, facts, now, asked_at, full=full)
        self._note_fleet() if learnt else self._note_plain()
        return self._fleet.by_name[backend] if learnt else None

    def ask_again(self, now: float, changed: str | None) -> set[str]:
        """Have backends asked which models they have; see `Fleet.ask_again`."""
        return self._fleet.ask_again(now, changed)

    # -- what is next

    def starts(self, now: float) -> Iterator[Job]:
        """All that can start now, each in a slot by then. `now` is in seconds of a clock that never
        goes back: what is due by then is done first, holds end, and loads have no room after all.
        """
        if self._fleet.settle_at <= now:
            self._fleet.settle_time(now)
        if not self._all_plain:
            for backend in self._fleet.backends:
                if backend.held or ((memory := backend.residency) and memory.load):
                    backend.settle_time(now)
        if self.paused or self.draining:
            self.forecast.interrupt()
            return
        while len(self._running) < self.slots:
            choice = self._policy.next(now)
            if choice is None:
                return
            yield self._start(choice, now)
        self._policy.look(now)

    def _start(self, choice: Choice, now: float) -> Job:
        task_id, place, fleet = choice.task_id, choice.place, self._fleet
        backend = fleet.by_name[choice.backend]
        watched = backend.take(task_id, place, now)
        canary = not backend.outages.quiet and backend.try_out(task_id, place, now)
        run = self._running[task_id] = Run(task_id, backend, place, now)
        self.forecast.starts.append(run)
        if place.priority >= Priority.CRITICAL:
            self._recalls.critical += 1
        elsewhere = fleet.several and fleet.elsewhere(place.model, backend, now)
        counted = self._policy.counts_tokens
        suspect = task_id in backend.outages.suspects
        return Job(task_id, choice.backend, watched or canary, elsewhere, canary, counted, suspect)

    def recalls(self, now: float) -> list[Recall]:
        """Tasks to be called back, for nothing more starts now: see `oq.rules.recalls`."""
        if self.paused or self.draining:
            return []
        return self._recalls.find(now, plain=self._all_plain)

    def due(self, now: float) -> float:
        """When something will be due that nobody tells of; inf if nothing will."""
        fleet, due = self._fleet, min(self._fleet.settle_at, self._policy.due(now))
        if self._recalls.critical:
            due = min(due, self._recalls.due(now))
        if self._all_plain and not fleet.lists_wanted:
            return due
        waits = bool(self._policy) and not (self.paused or self.draining)
        due = min(due, *(min(each.due(now), fleet.list_due(each, waits=waits)) for each in fleet))
        due = min(due, *(each.look_at(waits=waits) for each in fleet))
        return min(due, *(each.try_at(now) for each in fleet)) if waits else due

    @property
    def calm(self) -> bool:
        """Whether tasks start and end, and there is nothing else to be seen to."""
        return self._calm and not (self._fleet.lists_wanted or self._recalls.may_preempt)

    def looks(self, now: float) -> list[Look]:
        """The backends that are to be asked something now; see `Fleet.looks`."""
        if self._all_plain and not self._fleet.lists_wanted:
            return []
        return self._fleet.looks(now, waits=bool(self._policy))

    # -- why it waits

    def waits_for(self, task_id: str, now: float) -> str | None:
        """Why this task does not run yet, in a few words; None if it does not wait for a slot."""
        place = self._policy.place_of(task_id)
        if place is None:
            return None
        if self.paused or self.draining:
            return "the queue is paused" if self.paused else "oq is shutting down"
        taken = self.slots if len(self._running) >= self.slots else 0
        return why_in_line(self._policy, self._fleet, task_id, place, now, workers_taken=taken)

    def swap_on(self, backend: BackendSlots, now: float) -> str | None:
        """What the backend loads, or what has to end there before it can load what comes next."""
        _, place = self._policy.first() or ("", None)
        if place is not None and (
            backend not in self._fleet.able(place.model, now) or self._policy.holds_back(place, now)
        ):
            place = None
        return swap_on(backend, place, now, self._policy.is_passed)

    # -- what is where

    def is_waiting(self, task_id: str) -> bool:
        return task_id in self._policy or task_id in self.delayed

    def is_running(self, task_id: str) -> bool:
        return task_id in self._running

    def is_settling(self, task_id: str) -> bool:
        return task_id in self._settling

    def position(self, task_id: str) -> int | None:
        """How many-th it is in line among the ready tasks, 1 being the first."""
        return self._policy.position(task_id)

    def in_line(self, after: LinePlace | None = None) -> Iterator[str]:
        """The pending tasks in the order of the policy's line, those that wait for their time last;
        with `after`, those behind that place. Without a time it is one among the ready tasks.
        """
        if after is None:
            yield from self._policy.in_line()
        elif after.run_at is None:
            yield from self._policy.in_line((after.priority, after.task_id))
        else:
            yield from self.delayed.in_line((after.run_at, after.task_id))
            return
        yield from self.delayed.in_line()

    def oldest_ready(self) -> str | None:
        """Of the tasks that wait for a slot the one that was submitted first."""
        return self._policy.oldest()

    @property
    def at_once(self) -> int:
        """How many tasks the backends serve at once, as far as is known."""
        return min(self.slots, sum(at_once(backend) for backend in self._fleet))

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def paused_models(self) -> frozenset[str]:
        """The models whose tasks do not start, by `one_name`."""
        return self._fleet.paused

    @property
    def backends(self) -> Sequence[BackendSlots]:
        return self._fleet.backends

    def likely(self, model: str) -> Sequence[BackendSlots]:
        """The backends that have this model, as far as is known now; see `Fleet.likely`."""
        return self._fleet.likely(model)

    def by_model(self, now: float) -> dict[str, ModelTasks]:
        """How many tasks of each model wait and run now; see `tasks_by_model`."""
        delayed = self.delayed.by_model().items()
        return tasks_by_model(
            chain(self.forecast.ready_by_model(), delayed),
            len(self._policy) + len(self.delayed),
            (run.place.model for run in self._running.values()),
        )

    def by_priority(self) -> dict[int, int]:
        """Pending tasks at each priority, delayed ones included."""
        return dict(Counter(self._policy.by_priority()) + Counter(self.delayed.by_priority()))

    def waits(self, delay: Delay) -> bool:
        """Whether it still waits for just this time."""
        place = self.delayed.place_of(delay.task_id)
        if place is None and (run := self._running.get(delay.task_id)) is not None:
            place = run.next
        return place is not None and place.run_at == delay.run_at

    def _note_fleet(self) -> None:
        """It may be that others can run a model now, or that something depends on time."""
        self._fleet.changed()
        self.forecast.interrupt()
        self._note_plain()

    def note_past(self, now: float) -> None:
        """Keep how each backend is now, when all has been done that can be."""
        self._calm = note_past(self._fleet, now) and self._all_plain

    def _note_plain(self) -> None:
        for backend in self._fleet:
            backend.known.forget()
        settled = not (self._fleet.several and self._fleet.some_down)
        self._all_plain, self._calm = settled and all(one.plain for one in self._fleet), False
