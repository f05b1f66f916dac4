"""Makes the keys under which tasks are on disk: the layout of the store.

Ids are 16 bytes, big-endian and time-ordered, so key order is the order of creation. The families:

    state    id -> TaskState         small, rewritten at each step
    body     id -> Body              payload and options, written once
    result   id -> JSON              the backend's answer; of a failed task its Refusal
    stream   id, n -> StreamLog      what its last attempt generated: the head, slice by slice;
                                     from n = PART on, the parts of a result that is long
    status   status, id -> Place     changed in the same batch as the state
    ended    completed_at, id -> UNREAD or ""    which ended task is the oldest
    keys     name of an idempotency key -> id, fingerprint    the name: rules/scope.py
    meta     "meta" -> Meta          in every batch, so that its commit number grows with each
             0, id -> when retention removed it     so that who asks for the task is told
             253, name -> a record of what happened lately    see Ledger.kept
             254, backend -> what oq has learnt of it    see Ledger.learnt
             255, outbox, 0, number -> row          for the actor of that outbox
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from oq.rules.facts import Facts
from oq.words.task import Status, TaskState

FAMILIES = ("state", "body", "result", "stream", "status", "ended", "keys", "meta")
META_KEY = b"meta"
GONE = b"\0"
KEPT = b"\xfd"
LEARNT = b"\xfe"
OUTBOX = b"\xff"
FORMAT = 2
"""The layout's version. A store of an older one is migrated (`oq.store.migration`), one of a newer
one is not opened.
"""

IN_PARTS = b"parts"
"""The record of a result that lies in parts beside the task's log. No JSON begins like this."""

UNREAD = b"u"
"""The mark of an ended task whose result is kept until somebody has read it."""

ID_BYTES = 16
ROW_NUMBER_BYTES = 12
"""Of the number of a row: eight for that of its commit, four for its place in there."""
ROWS_OF_A_COMMIT = 1 << 32

_LETTER = {
    Status.PENDING: b"p",
    Status.RUNNING: b"r",
    Status.COMPLETED: b"c",
    Status.FAILED: b"f",
    Status.CANCELLED: b"x",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Meta(Facts, kw_only=True):
    """The store's own record. `oq` is the version of oq that gave it this format; a store from
    before that was noted does not say. While it is `migrating`, some records are of the format
    before. `commit` is the number of the last batch. `simulated` says that the tasks' answers are
    made up; a store from before that was noted holds real ones. `recounted`: what only bounds how
    much is kept was counted anew; an earlier version has counted some reads twice.
    """

    format: int = FORMAT
    oq: str = ""
    migrating: bool = False
    commit: int = 0
    simulated: bool = False
    recounted: bool = False


def pack(task_id: str) -> bytes:
    return bytes.fromhex(task_id.replace("-", ""))


def slice_key(key: bytes, number: int) -> bytes:
    """The record of a slice of a task's stream; the head has the task's own key."""
    return key + number.to_bytes(4, "big")


def unpack(key: bytes) -> str:
    digits = key.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def status_prefix(status: Status) -> bytes:
    return _LETTER[status]


def status_key(status: Status, key: bytes) -> bytes:
    return _LETTER[status] + key


def ended_key(state: TaskState, key: bytes) -> bytes:
    ended = state.completed_at
    assert ended is not None, f"task {state.id} is {state.status} without an end"
    return pack_time(ended) + key


def gone_key(key: bytes) -> bytes:
    return GONE + key


def is_gone_key(key: bytes) -> bool:
    return key[:1] == GONE and len(key) == ID_BYTES + 1


def kept_key(name: str) -> bytes:
    return KEPT + name.encode()


def kept_name(key: bytes) -> str:
    """The name that has this key."""
    return key[1:].decode()


def learnt_key(backend: str) -> bytes:
    return LEARNT + backend.encode()


def backend_learnt(key: bytes) -> str:
    """The backend that has this key."""
    return key[1:].decode()


def row_key(outbox: str, number: int) -> bytes:
    return OUTBOX + outbox.encode("ascii") + b"\0" + number.to_bytes(ROW_NUMBER_BYTES, "big")


def past_rows(outbox: str) -> bytes:
    """The key behind all rows of this outbox."""
    return OUTBOX + outbox.encode("ascii") + b"\1"


def row_number(key: bytes) -> int:
    return int.from_bytes(key[-ROW_NUMBER_BYTES:], "big")


def pack_time(time: datetime) -> bytes:
    return ((time - _EPOCH) // _MICROSECOND).to_bytes(8, "big")


def unpack_time(eight: bytes) -> datetime:
    return _EPOCH + int.from_bytes(eight, "big") * _MICROSECOND
