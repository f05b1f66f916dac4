"""Taking tasks in: the checks before, the bounds, and the idempotency keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import trio
from msgspec import Struct

from oq.actors.writer import Writer
from oq.rules import lifecycle, validation
from oq.rules.drain_rate import DrainRate
from oq.rules.ids import IdSource
from oq.rules.validation import Checked, Limits
from oq.store import Store
from oq.words.clock import Clock
from oq.words.config import Config
from oq.words.errors import Conflict, InvalidTask, QueueFull, Unavailable
from oq.words.messages import Change, Commit, Committed, Receipt, put
from oq.words.task import Status, Submission


class Accepted(Struct, frozen=True):
    """A submitted task. `created` is False when its idempotency key had been used for it before."""

    task_id: str
    status: Status
    created: bool = True


class _Claim(Struct, frozen=True):
    """An idempotency key whose task is on its way to the disk."""

    task_id: str
    fingerprint: bytes
    receipt: Receipt


class Admission:
    """The door of the queue. `close` shuts it: nobody is taken in any more."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        writer: Writer,
        to_writer: trio.MemorySendChannel[Commit],
    ) -> None:
        self.limits = Limits(
            max_payload=config.queue.max_payload,
            max_metadata=config.queue.max_metadata,
            max_batch=config.queue.max_batch,
            max_retries=config.retry_config.max_retries,
        )
        self.closed = False
        self._max_pending = config.queue.max_pending
        self._store = store
        self._clock = clock
        self._writer = writer
        self._to_writer = to_writer
        self._ids = IdSource(store.last_id)
        self._in_flight = 0  # tasks on their way to the disk
        self._claims: dict[str, _Claim] = {}
        self._drain_rate = DrainRate()

    def check_open(self) -> None:
        """Return if tasks can be submitted; Unavailable says why they cannot."""
        if self.closed:
            raise Unavailable("oq is shutting down; submit to it again when it is back")
        if self._writer.problem is not None:
            raise Unavailable(self._writer.problem)

    async def accept(self, task: Submission, key: str | None) -> Accepted:
        """One task; see `Core.accept`."""
        checked = validation.check(task, self.limits)
        if key is not None:
            return await self._accept_once(checked, validation.check_idempotency_key(key))
        self._admit(1)
        change = self._submitted(checked)
        await self._store_new([change])
        return Accepted(change.state.id, change.state.status)

    async def accept_many(self, tasks: Sequence[Submission]) -> list[str]:
        """Several, in one commit; see `Core.accept_many`."""
        if len(tasks) > self.limits.max_batch:
            raise InvalidTask(
                "", f"{len(tasks)} tasks at once, at most {self.limits.max_batch} (queue.max_batch)"
            )
        checked = validation.check_batch(tasks, self.limits)
        self._admit(len(checked))
        changes = [self._submitted(task) for task in checked]
        if changes:
            await self._store_new(changes)
        return [change.state.id for change in changes]

    def observe_ends(self, committed: Committed) -> None:
        """Note how fast tasks end, for those who are told when to come back."""
        ended = sum(
            1 for step in committed.steps if isinstance(step, Change) and step.state.status.ended
        )
        if ended:
            self._drain_rate.observe(ended, trio.current_time())

    def _admit(self, count: int) -> None:
        self.check_open()
        limit = self._max_pending
        excess = self._store.count(Status.PENDING) + self._in_flight + count - limit
        if excess > 0:
            raise QueueFull(limit, self._drain_rate.retry_after(excess, trio.current_time()))

    def _submitted(
        self, checked: Checked, key: str | None = None, mark: bytes | None = None
    ) -> Change:
        now = self._clock.now()
        return lifecycle.submitted(checked, self._ids.next(now), now, key, mark)

    async def _store_new(self, changes: Sequence[Change], key: str | None = None) -> None:
        """Return when the new tasks are on disk. Who leaves earlier leaves them in good order:
        until then they count as pending, and their idempotency key as used.
        """

        def settled() -> None:
            self._in_flight -= len(changes)
            if key is not None:
                del self._claims[key]

        receipt = Receipt(settled)
        self._in_flight += len(changes)
        if key is not None:
            state, mark = changes[0].state, changes[0].fingerprint
            assert mark is not None
            self._claims[key] = _Claim(state.id, mark, receipt)
        try:
            await put(self._to_writer, Commit(list(changes), receipt))
        except trio.Cancelled:
            receipt.settle(Unavailable("the caller left before the queue had the task; try again"))
            raise
        await receipt.wait()

    async def _accept_once(self, checked: Checked, key: str) -> Accepted:
        mark = fingerprint(checked)
        claim = self._claims.get(key)
        if claim is not None:
            _check_same(key, claim.fingerprint, mark)
            await claim.receipt.wait()
            return Accepted(claim.task_id, Status.PENDING, created=False)
        stored = self._store.claim(key)
        if stored is not None:
            _check_same(key, stored.fingerprint, mark)
            state = self._store.state(stored.task_id)
            if state is not None:
                return Accepted(stored.task_id, state.status, created=False)
        self._admit(1)
        change = self._submitted(checked, key, mark)
        await self._store_new([change], key)
        return Accepted(change.state.id, change.state.status)


def fingerprint(checked: Checked) -> bytes:
    """What an idempotency key stands for: a digest of all that the task asks for."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (
        checked.type, checked.model, checked.priority, checked.max_retries, checked.run_at,
        checked.timeout, checked.metadata, checked.body.payload, checked.body.options,
    ):  # fmt: skip
        text = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(b"%d:" % len(text) + text)
    return digest.digest()


def _check_same(key: str, before: bytes, now: bytes) -> None:
    if before != now:
        raise Conflict(f"the idempotency key {key!r} was used for another task")
