"""The scheduler: it owns the board, and is woken by what happens, never by a tick.

It never waits for another actor, and asks the ledger only for what users want of single tasks. What
it sends fits by construction (the pool's and the timer's
mailboxes hold what slots and admission allow) or, to the writer, is refused to the one who asked.
So the circle writer, scheduler, pool, writer cannot lock up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from math import inf
from typing import TypeGuard

import structlog
import trio

from oq.rules import lifecycle
from oq.rules.board import Board
from oq.rules.learnt import record_of
from oq.rules.place import place_of
from oq.store import Ledger
from oq.words.channels import take
from oq.words.clock import Clock
from oq.words.errors import Busy, Conflict, NotFound, OqError
from oq.words.messages import (
    Abort,
    Answered,
    AskAgain,
    BackendDown,
    BackendSays,
    BackendUp,
    BulkCommand,
    Command,
    Commit,
    Committed,
    Delay,
    Dispatch,
    Drain,
    Due,
    Freed,
    Look,
    Pause,
    Recall,
    Stays,
    Verb,
    Wedged,
)
from oq.words.receipts import Receipt
from oq.words.steps import (
    MAX_PAUSED,
    OF_ONE_TASK,
    Change,
    Kept,
    Learnt,
    Removal,
    SetModelPaused,
    SetPaused,
    Step,
)
from oq.words.task import Status, TaskState

log = structlog.get_logger("oq.scheduler")

_RUNNING = Status.RUNNING  # a look-up less for each task

OtherMessage = (
    Committed | Answered | Stays | Wedged | Due | Command | BulkCommand | Pause | Drain
    | BackendUp | BackendDown | BackendSays | AskAgain
)  # fmt: skip
Message = Freed | OtherMessage


class Scheduler:
    """Decides what runs next, and carries out what users ask of single tasks."""

    def __init__(
        self,
        board: Board,
        ledger: Ledger,
        clock: Clock,
        inbox: trio.MemoryReceiveChannel[Message],
        to_writer: trio.MemorySendChannel[Commit],
        to_pool: trio.MemorySendChannel[Dispatch | Abort | Recall],
        to_timer: trio.MemorySendChannel[list[Delay]],
        to_monitor: trio.MemorySendChannel[Look],
        busy_delay: Callable[[int, float | None], float],
    ) -> None:
        self._board = board
        self._ledger = ledger
        self._clock = clock
        self._inbox = inbox
        self._to_writer = to_writer
        self._to_pool = to_pool
        self._to_timer = to_timer
        self._to_monitor = to_monitor
        self._busy_delay = busy_delay
        # Commands on tasks that run or settle, until these have come to rest.
        self._deferred: dict[str, deque[Command]] = {}
        # What is to be answered when the step of this task has reached the disk, and the pauses.
        self._answers: dict[str, Callable[[], None]] = {}
        self._pauses: deque[Pause] = deque()
        self._drains: list[Drain] = []
        # Who waits to know what these backends have.
        self._asked: list[tuple[set[str], Receipt]] = []
        self._delays: list[Delay] = []  # for the timer, in one message a turn

    async def run(self) -> None:
        """Decide until every sender has closed."""
        with self._to_writer, self._to_pool, self._to_timer, self._to_monitor:
            due = self._dispatch(trio.current_time())
            while messages := await (take(self._inbox) if due == inf else self._take_until(due)):
                now = trio.current_time()
                await self._handle_all(messages, now)
                del messages  # they have results, which may be large: not to be kept
                due = self._dispatch(now)

    async def _handle_all(self, messages: list[Message], now: float) -> None:
        for message in messages:
            if isinstance(message, Freed):  # of all messages most
                self._free(message, now)
                if self._deferred:
                    await self._resume(message.task_id)
            else:
                await self._handle(message, now)
        if self._drains:
            self._settle_drains()
        if self._delays:
            self._to_timer.send_nowait(self._delays)
            self._delays = []

    def _free(self, freed: Freed, now: float) -> None:
        ended = freed.ended
        learnt = self._board.free(freed.task_id, now, ended)
        if learnt is not None:
            self._keep(Learnt(learnt.name, record_of(learnt)))
        if ended.served:
            return
        if ended.down is not None:
            self._mark_down(freed.backend, ended.down)
        elif ended.busy is not None:
            self._board.hold(freed.backend, ended.busy, now, self._busy_delay)

    async def _take_until(self, due: float) -> list[Message]:
        """The same as `take`, but until then, when something is due."""
        while True:
            with trio.move_on_at(due):
                return await take(self._inbox)
            due = self._dispatch(trio.current_time())

    async def _handle(self, message: OtherMessage, now: float) -> None:
        match message:
            case Committed(steps, receipts=receipts):
                asked = bool(self._answers or self._deferred)
                for step in steps:
                    if self._settled(step) and asked:
                        await self._answer(step.state.id)
                for receipt in receipts:
                    receipt.settle()
            case Stays(task_id):
                self._board.stay(task_id)
            case Answered(task_id):
                self._board.answered(task_id, now)
            case Wedged(backend, model, task_id):
                self._board.note_wedged(backend, model, task_id, now)
                log.warning("backend is wedged; its tasks wait", backend=backend, model=model)
            case Due(delays):
                self._board.ready(delays)
            case Command():
                await self._command(message)
            case BulkCommand():
                await self._bulk_command(message)
            case Pause():
                self._pause(message)
            case Drain():
                self._board.draining = True
                self._drains.append(message)
            case BackendUp(backend):
                self._board.mark_up(backend, now)
                log.info("backend is up", backend=backend)
            case BackendDown(backend, reason):
                self._mark_down(backend, reason)
            case BackendSays(backend, facts, asked_at, full):
                learnt = self._board.note_facts(backend, facts, now, asked_at, full=full)
                if learnt is not None:
                    self._keep(Learnt(learnt.name, record_of(learnt)))
                if full:
                    self._note_said(backend)
            case AskAgain(receipt, changed):
                self._asked.append((self._board.ask_again(now, changed), receipt))
                self._note_said(None)

    def _note_said(self, backend: str | None) -> None:
        """This backend has said which models it has, or is down."""
        for names, receipt in self._asked:
            names.discard(backend or "")
            if not names:
                receipt.settle()
        self._asked = [one for one in self._asked if one[0]]

    def _settle_drains(self) -> None:
        """A drain is over when nothing runs any more."""
        if not self._board.running:
            self._keep(self._board.forecast.step(trio.current_time()))
            for drain in self._drains:
                drain.receipt.settle()
            self._drains.clear()

    def _dispatch(self, now: float) -> float:
        """Start what can start. When something is due that no message will tell of."""
        board = self._board
        jobs = [*board.starts(now)]
        if jobs:
            dispatch = Dispatch(jobs)
            for _ in jobs:
                self._to_pool.send_nowait(dispatch)
        if not board.calm:
            for recall in board.recalls(now):
                self._to_pool.send_nowait(recall)
            for look in board.looks(now):
                self._to_monitor.send_nowait(look)
            board.note_past(now)
        # What starts now waits for nothing more; that it has started is on disk soon.
        if board.forecast.settle(now, again=bool(jobs)):
            self._keep(board.forecast.step(now))
        return board.due(now)

    def _mark_down(self, backend: str, reason: str) -> None:
        if self._board.mark_down(backend, reason, self._clock.now()):
            log.warning("backend is down; its tasks wait", backend=backend, reason=reason)
            self._to_monitor.send_nowait(Look(backend, down=True))
        self._note_said(backend)

    def _keep(self, learnt: Learnt | Kept) -> None:
        """Have on disk what was learnt; if the writer has no room, another time."""
        with suppress(trio.WouldBlock):
            self._to_writer.send_nowait(Commit([learnt], patient=True))

    # -- what is on disk

    def _settled(self, step: Step) -> TypeGuard[Change | Removal]:
        """Take in what is on disk; whether a task has come to rest by it."""
        if isinstance(step, OF_ONE_TASK):
            state = step.state
            status = state.status
            if status is _RUNNING:
                return False
            if status.ended:  # as it is of each that is removed
                self._board.end(state.id)
                return True
            if status is Status.PENDING:
                place = place_of(state)
                self._board.place(state.id, place)
                if place.run_at is not None:
                    self._delays.append(Delay(state.id, place.run_at, place.retrying))
                return True
        elif isinstance(step, SetPaused):
            self._board.paused = step.paused
            self._pauses.popleft().receipt.settle()
        elif isinstance(step, SetModelPaused):
            self._board.pause_model(step.model, paused=step.paused)
            self._pauses.popleft().receipt.settle()
        return False

    async def _answer(self, task_id: str) -> None:
        """What was asked of this task is on disk; what was asked of it meanwhile can be done."""
        answer = self._answers.pop(task_id, None)
        if answer is not None:
            answer()
        await self._resume(task_id)

    async def _resume(self, task_id: str) -> None:
        """If the task has come to rest, carry out what was asked of it meanwhile."""
        deferred = self._deferred.get(task_id)
        while deferred and not self._must_wait(task_id):
            await self._command(deferred.popleft())
        if deferred is not None and not deferred:
            del self._deferred[task_id]

    # -- what users ask for

    async def _command(self, command: Command) -> None:
        task_id = command.task_id
        if self._must_wait(task_id):
            self._defer(command)
            return
        try:
            state = await self._ledger.state(task_id)
            if command.stopped_it and state.status is Status.CANCELLED:
                command.receipt.settle()
                return
            self._to_writer.send_nowait(Commit([self._decide(command, state, self._clock.now())]))
        except trio.WouldBlock:
            command.receipt.settle(Busy())
        except OqError as error:
            command.receipt.settle(error)
        else:
            self._board.settle(task_id)
            self._answers[task_id] = command.receipt.settle

    async def _bulk_command(self, bulk: BulkCommand) -> None:
        """The same for many, in one commit. Those that have to wait go their way one by one."""
        steps: list[Change | Removal] = []
        settling: list[str] = []
        now = self._clock.now()
        for task_id in bulk.left:
            if self._must_wait(task_id):
                self._defer(bulk.of(task_id))
            else:
                settling.append(task_id)
        for task_id, state in (await self._ledger.states(settling)).items():
            if isinstance(state, NotFound):
                bulk.answer(task_id, state)
                continue
            try:
                steps.append(self._decide(bulk, state, now))
            except OqError as error:
                bulk.answer(task_id, error)
        settling = [step.state.id for step in steps]
        if not steps:
            return
        try:
            self._to_writer.send_nowait(Commit([*steps]))
        except trio.WouldBlock:
            for task_id in settling:
                bulk.answer(task_id, Busy())
            return
        for task_id in settling:
            self._board.settle(task_id)
            self._answers[task_id] = partial(bulk.answer, task_id)

    def _must_wait(self, task_id: str) -> bool:
        return self._board.is_running(task_id) or self._board.is_settling(task_id)

    def _defer(self, command: Command) -> None:
        """A running task is stopped first, and a settling one is let come to rest."""
        task_id = command.task_id
        running = self._board.is_running(task_id)
        if running and command.verb is not Verb.CANCEL:
            command.receipt.settle(Conflict(f"task {task_id} is running; cancel it first"))
            return
        if running:
            command.stopped_it = True
            if self._board.abort(task_id):
                self._to_pool.send_nowait(Abort(task_id))
        self._deferred.setdefault(task_id, deque()).append(command)

    def _decide(
        self, command: Command | BulkCommand, state: TaskState, now: datetime
    ) -> Change | Removal:
        match command.verb:
            case Verb.CANCEL:
                if state.status.ended:
                    raise Conflict(f"task {state.id} is {state.status} already")
                return lifecycle.cancelled(state, now)
            case Verb.PRIORITY:
                return lifecycle.reprioritised(state, command.priority)
            case Verb.RETRY:
                return lifecycle.requeued(state)
            case Verb.DELETE:
                if not state.status.ended:
                    raise Conflict(f"task {state.id} is {state.status}; cancel it first")
                return Removal(state, now if command.retired else None)

    def _pause(self, pause: Pause) -> None:
        model = pause.model
        if pause.paused and model is not None and self._is_one_too_many(model):
            pause.receipt.settle(Conflict(f"{MAX_PAUSED} models are paused already; resume some"))
            return
        step = SetPaused(pause.paused) if model is None else SetModelPaused(model, pause.paused)
        try:
            self._to_writer.send_nowait(Commit([step]))
        except trio.WouldBlock:
            pause.receipt.settle(Busy())
        else:
            self._pauses.append(pause)

    def _is_one_too_many(self, model: str) -> bool:
        paused = self._board.paused_models
        return model not in paused and len(paused) + len(self._pauses) >= MAX_PAUSED
