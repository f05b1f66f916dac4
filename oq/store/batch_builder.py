"""Builds the next batch out of steps: of several of one task what they come to, and the others."""

from __future__ import annotations

from collections.abc import Container, Iterable

import msgspec
from msgspec.structs import replace

from oq.rules.outbox import Outbox
from oq.store import keys
from oq.store.engine import Engine, Put
from oq.store.keys import Meta
from oq.store.projections import Batch, check_counts, forget_id, note_read, project
from oq.store.streams import stream_puts
from oq.words.steps import (
    MAX_KEPT,
    MAX_LEARNT,
    OF_ONE_TASK,
    Ahead,
    Change,
    IdsForgotten,
    Kept,
    Learnt,
    Removal,
    ResultsRead,
    RowsSettled,
    SetModelPaused,
    SetPaused,
    Step,
)

_encode = msgspec.msgpack.Encoder().encode

Other = (
    Ahead | SetPaused | SetModelPaused | Learnt | Kept | ResultsRead | IdsForgotten | RowsSettled
)
"""The steps that do not change the state of a task."""


class BatchBuilder:
    """Builds the batch that follows the one that `meta` is from."""

    def __init__(self, engine: Engine, meta: Meta, event_seq: int) -> None:
        self.meta = replace(
            meta, commit=meta.commit + 1, event_seq=event_seq, counts=dict(meta.counts)
        )
        """The store's record after this batch."""
        self._batch = Batch(engine, self.meta)

    def put(self, steps: Iterable[Change | Removal]) -> None:
        """Add what these steps write; no more than one step of each task."""
        project(steps, self._batch)

    def put_other(self, step: Other, changed: Container[str]) -> None:
        """The same for a step of which there may be several; `changed` are the tasks that have
        another one.
        """
        match step:
            case Ahead():
                self._batch.puts.extend(stream_puts(keys.pack(step.task_id), step.records))
            case SetPaused():
                self.meta.paused = step.paused
            case SetModelPaused():
                others = (model for model in self.meta.paused_models if model != step.model)
                self.meta.paused_models = (*others, step.model) if step.paused else (*others,)
            case Learnt():
                self._put_learnt(step)
            case Kept():
                self._put_kept(step)
            case ResultsRead():
                for task_id in step.task_ids:
                    if task_id not in changed:
                        note_read(keys.pack(task_id), self._batch)
            case IdsForgotten():
                for task_id in step.task_ids:
                    forget_id(keys.pack(task_id), self._batch)
            case RowsSettled():
                for number in step.numbers:
                    self._batch.puts.append(("meta", keys.row_key(step.outbox, number), None))

    def put_rows(self, outbox: Outbox, steps: Iterable[Step]) -> None:
        """Add what these steps leave in the outbox: each of them, also where those of one task are
        written as one.
        """
        rows = (row for step in steps for row in outbox.rows(step))
        for number, row in enumerate(rows, self.meta.commit * keys.ROWS_OF_A_COMMIT):
            self._batch.puts.append(("meta", keys.row_key(outbox.name, number), row))

    def _put_learnt(self, step: Learnt) -> None:
        record = step.record
        assert record is None or len(record) <= MAX_LEARNT, f"{step.backend}: {len(record)} bytes"
        self._batch.puts.append(("meta", keys.learnt_key(step.backend), record))

    def _put_kept(self, step: Kept) -> None:
        assert len(step.record) <= MAX_KEPT, f"{step.name}: {len(step.record)} bytes"
        self._batch.puts.append(("meta", keys.kept_key(step.name), step.record))

    def whole(self) -> list[Put]:
        """The batch, once all is in it."""
        check_counts(self.meta)
        return [*self._batch.puts, ("meta", keys.META_KEY, _encode(self.meta))]


def merge(steps: Iterable[Step]) -> tuple[dict[str, Change | Removal], list[Other]]:
    """The steps by task, those of one task made one: what lies between is never seen on disk. And
    those that do not change the state of a task.
    """
    merged: dict[str, Change | Removal] = {}
    others: list[Other] = []
    for step in steps:
        if not isinstance(step, OF_ONE_TASK):
            others.append(step)
            continue
        earlier = merged.setdefault(step.state.id, step)
        if earlier is not step:
            merged[step.state.id] = _joined(earlier, step)
    return merged, others


def _joined(earlier: Change | Removal, later: Change | Removal) -> Change:
    assert isinstance(earlier, Change), f"task {later.state.id} changes when it has gone"
    assert isinstance(later, Change), f"task {later.state.id} changes as it goes"
    return replace(
        later,
        before=earlier.before,
        body=later.body or earlier.body,
        result=later.result or earlier.result,
        refusal=later.refusal or earlier.refusal,
        stream=later.stream or earlier.stream,
        fingerprint=later.fingerprint or earlier.fingerprint,
    )
