"""Taking tasks in: the checks before, the bounds, and the idempotency keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import trio
from msgspec import Struct
from msgspec.structs import replace

from oq.actors.writer import Writer
from oq.queue.claims import Claim, Claims, used_otherwise
from oq.queue.outlook import Outlook
from oq.rules import lifecycle, scope, validation
from oq.rules.fingerprint import fingerprint
from oq.rules.ids import IdSource
from oq.rules.limits import Limits
from oq.rules.validation import Checked
from oq.store import Ledger
from oq.words.caller import Caller
from oq.words.channels import put
from oq.words.clock import Clock
from oq.words.config import Config
from oq.words.durations import Time
from oq.words.errors import Conflict, InvalidBatch, InvalidTask, NotFound, QueueFull, Unavailable
from oq.words.messages import Commit
from oq.words.receipts import PendingReceipts, Receipt
from oq.words.steps import Change
from oq.words.task import Status, Submission


class Accepted(Struct, frozen=True, gc=False):
    """A submitted task. `created` is False when its idempotency key had been used for it before."""

    task_id: str
    status: Status
    created: bool = True


class _Asked(Struct, frozen=True, gc=False):
    """A task that somebody wants in, its fingerprint if it has a key, and what that stands for.
    Its result is `awaited` if it is one of a batch, or if its caller will come back by its key.
    """

    task: Checked
    mark: bytes | None
    known: Claim | None
    awaited: bool


class _Taking(Struct, frozen=True, gc=False):
    """Tasks that are taken in: the answers, the receipts that these wait for, and what is to be
    written, if any of the tasks is new.
    """

    answers: list[Accepted]
    receipts: set[Receipt]
    commit: Commit | None


class Admission:
    """The door of the queue. `close` shuts it: nobody is taken in any more."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        clock: Clock,
        writer: Writer,
        to_writer: trio.MemorySendChannel[Commit],
        answers: PendingReceipts,
        outlook: Outlook,
        *,
        several: bool,
    ) -> None:
        """`several`: there is more than one backend."""
        self.limits = Limits(
            max_payload=config.queue.max_payload,
            max_metadata=config.queue.max_metadata,
            max_batch=config.queue.max_batch,
            max_retries=config.retry_config.max_retries,
            max_values=config.queue.max_values,
            zero_is_default=config.retry_config.zero_is_default,
            tenant_by=config.fairness.by if config.fairness.enabled else None,
            conversations=several and config.scheduler.max_conversations > 0,
        )
        self.closed = False
        self._max_pending = config.queue.max_pending
        self._ledger = ledger
        self._clock = clock
        self._writer = writer
        self._to_writer = to_writer
        self._answers = answers
        self._ids = IdSource(ledger.facts.last_id)
        self._in_flight = 0  # tasks on their way to the disk
        self._claims = Claims(ledger)
        self._outlook = outlook

    def check_open(self) -> None:
        """Return if tasks can be submitted; Unavailable says why they cannot."""
        if self.closed:
            raise Unavailable("oq is shutting down; submit to it again when it is back")
        if self._writer.problem is not None:
            raise Unavailable(self._writer.problem)

    async def accept(
        self, task: Submission, key: str | None, caller: Caller, max_wait: Time | None = None
    ) -> Accepted:
        """One task; see `RawQueue.submit`."""
        if key is not None:
            task = replace(task, idempotency_key=key)
        return await self.accept_checked(validation.check(task, self.limits), caller, max_wait)

    async def accept_checked(
        self, checked: Checked, caller: Caller, max_wait: Time | None = None
    ) -> Accepted:
        """One task that has been checked already."""
        checked = _owned(checked, caller)
        mark = _mark(checked)
        # The caller of a call has its answer as it is made.
        awaited = mark is not None and checked.body.call is None
        with self._claims:
            asked = _Asked(checked, mark, await self._known(checked, mark), awaited)
            taking = self._take([asked], max_wait)
        (accepted,) = await self._stored(taking)
        return accepted if accepted.created else await self._as_it_stands(accepted)

    async def accept_many(
        self, tasks: Sequence[Submission], caller: Caller, max_wait: Time | None = None
    ) -> list[str]:
        """Several, in one commit; see `RawQueue.submit_many`."""
        if len(tasks) > self.limits.max_batch:
            raise InvalidTask(
                "", f"{len(tasks)} tasks at once, at most {self.limits.max_batch} (queue.max_batch)"
            )
        checked = [_owned(one, caller) for one in validation.check_batch(tasks, self.limits)]
        with self._claims:
            taking = self._take(await self._look_up(checked), max_wait)
        return [accepted.task_id for accepted in await self._stored(taking)]

    def _admit(self, count: int) -> None:
        self.check_open()
        limit = self._max_pending
        pending = self._ledger.durable.facts.counts[Status.PENDING]
        excess = pending + self._in_flight + count - limit
        if excess > 0:
            raise QueueFull(limit, self._outlook.retry_after(excess))

    async def _known(self, task: Checked, mark: bytes | None) -> Claim | None:
        """The task that its idempotency key stands for, if it does. Conflict: for another one."""
        return None if mark is None else await self._claims.look_up(task.terms, mark)

    async def _look_up(self, tasks: Sequence[Checked]) -> list[_Asked]:
        """Each with the task that its key stands for; InvalidBatch names all whose keys were used
        otherwise.
        """
        asked: list[_Asked] = []
        problems: dict[int, str] = {}
        marks: dict[str, bytes] = {}
        for index, task in enumerate(tasks):
            mark = _mark(task)
            if mark is None:
                asked.append(_Asked(task, None, None, awaited=True))
                continue
            try:
                known = await self._claims.look_up(task.terms, mark)
                asked.append(_Asked(task, mark, known, awaited=True))
                name = scope.claim_name(task.terms)
                if name is not None and marks.setdefault(name, mark) != mark:
                    raise used_otherwise(task.terms)
            except Conflict as error:
                problems[index] = str(error)
        if problems:
            raise InvalidBatch(problems)
        return asked

    def _take(self, tasks: Sequence[_Asked], max_wait: Time | None) -> _Taking:
        """Decide, at once, which of the tasks are new, and have these count from now on."""
        fresh = [asked.task.terms for asked in tasks if asked.known is None]
        if fresh:
            self._admit(len(fresh))
        if max_wait is not None:
            self._outlook.check(fresh, max_wait)
        changes: list[Change] = []
        receipt = Receipt(
            on_written=lambda: self._count_off(changes),
            on_settled=lambda: self._claims.settle(changes),
        )
        try:
            answers, receipts = self._sort(tasks, changes, receipt)
        except BaseException:
            receipt.settle(_not_taken())
            raise
        return _Taking(answers, receipts, Commit(list(changes), receipt) if changes else None)

    async def _stored(self, taking: _Taking) -> list[Accepted]:
        """The answers, when all of their tasks are on disk."""
        if taking.commit is not None:
            try:
                await put(self._to_writer, taking.commit)
            except BaseException:
                assert taking.commit.receipt is not None
                taking.commit.receipt.settle(_not_taken())
                raise
        for receipt in taking.receipts:
            await self._answers.wait(receipt)
        return taking.answers

    async def _as_it_stands(self, accepted: Accepted) -> Accepted:
        """The answer for a task that was there already: with its state, when that is on disk."""
        task_id = accepted.task_id
        try:
            state = await self._ledger.durable.state(task_id)
        except NotFound:
            raise Unavailable(
                f"task {task_id}, which had this key, has just been deleted; try again"
            ) from None
        return replace(accepted, status=state.status)

    def _sort(
        self,
        tasks: Sequence[_Asked],
        changes: list[Change],
        receipt: Receipt,
    ) -> tuple[list[Accepted], set[Receipt]]:
        """The answers, and the receipts that they wait for; the new tasks are put to `changes`."""
        answers: list[Accepted] = []
        receipts: set[Receipt] = set()
        now = self._clock.now()
        for asked in tasks:
            # A key may also have been used by a task further up in the same batch.
            claim = asked.known
            if claim is None and asked.mark is not None:
                claim = self._claims.current(asked.task.terms, asked.mark)
            if claim is None:
                change = self._submitted(asked, now, receipt)
                changes.append(change)
                receipts.add(receipt)
                answers.append(Accepted(change.state.id, Status.PENDING))
                continue
            if claim.receipt is not None:
                receipts.add(claim.receipt)
            answers.append(Accepted(claim.task_id, Status.PENDING, created=False))
        return answers, receipts

    def _submitted(self, asked: _Asked, now: datetime, receipt: Receipt) -> Change:
        """A new task, which counts from now on and has claimed its idempotency key."""
        task_id, mark = self._ids.next(now), asked.mark
        change = lifecycle.submitted(asked.task, task_id, now, mark, awaited=asked.awaited)
        self._in_flight += 1
        if mark is not None:
            self._claims.take(asked.task.terms, Claim(task_id, mark, receipt))
        return change

    def _count_off(self, changes: list[Change]) -> None:
        """The ledger counts them from here on, or nobody does."""
        self._in_flight -= len(changes)


def _owned(checked: Checked, caller: Caller) -> Checked:
    """The same as a task of this caller."""
    terms = scope.mark_owner(checked.terms, caller)
    return checked if terms is checked.terms else replace(checked, terms=terms)


def _mark(task: Checked) -> bytes | None:
    return None if task.terms.idempotency_key is None else fingerprint(task)


def _not_taken() -> Unavailable:
    return Unavailable("the caller left before the queue had the task; try again")
