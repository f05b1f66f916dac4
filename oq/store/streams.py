"""What tasks have generated, on disk: a head and slices (see `oq.rules.slices`), and beside them
the parts of a long result.
"""

from __future__ import annotations

from io import BytesIO
from weakref import WeakValueDictionary

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from oq.rules.slices import PART, slice_number
from oq.rules.stream_log import StreamLog
from oq.store import keys
from oq.store.decoding import UNDECODABLE, read
from oq.store.engine import Engine, Put
from oq.words.errors import StoreCorrupt
from oq.words.head import Head
from oq.words.steps import Records


class _Head(Struct, frozen=True, array_like=True):
    """Of the first record of a stream only what says whether there are more."""

    attempt: int
    pieces: Raw
    frames: Raw = Raw(b"")
    first: int = 0
    more: bool = False
    starts: list[int] = []
    parts: int = 0
    call: Raw = Raw(b"")
    head: Head | None = None


_decode_head = msgspec.msgpack.Decoder(_Head).decode
_decode_slice = msgspec.msgpack.Decoder(StreamLog).decode


class StreamShelf:
    """The records of the family `stream`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # A slice may be of many megabytes, if one chunk is: those who read it share it.
        self._slices: WeakValueDictionary[tuple[str, int, int], StreamLog] = WeakValueDictionary()

    def slice(self, task_id: str, offset: int) -> StreamLog | None:
        """The slice in which this offset lies, or the last one; None if nothing was generated.
        StoreCorrupt.
        """
        key = keys.pack(task_id)
        value = self._engine.get("stream", key)
        if value is None:
            return None
        what = f"what task {task_id} generated"
        head = read(_decode_head, value, what)
        number = slice_number(head.starts, offset)
        name = task_id, head.attempt, number
        log = self._slices.get(name)
        if log is None:
            if head.starts:
                value = self._record(keys.slice_key(key, number), what)
            log = read(_decode_slice, value, what)
            if head.starts and head.head is not None:
                log = replace(log, head=head.head)
            self._slices[name] = log
        return log

    def result(self, task_id: str) -> bytes:
        """The result that lies in parts beside the log. StoreCorrupt."""
        key = keys.pack(task_id)
        what = f"the result of task {task_id}"
        head = read(_decode_head, self._record(key, what), what)
        whole = BytesIO()  # which gives its bytes away without a copy
        for number in range(head.parts):
            record = self._record(keys.slice_key(key, PART + number), what)
            for frame in read(_decode_slice, record, what).frames:
                whole.write(frame)
        return whole.getvalue()

    def _record(self, name: bytes, what: str) -> bytes:
        record = self._engine.get("stream", name)
        if record is None:
            raise StoreCorrupt(f"a part of {what} is gone")
        return record


def stream_puts(key: bytes, records: Records) -> list[Put]:
    """What stores these records of a task's log."""
    puts: list[Put] = [("stream", key, records.head)]
    puts += [("stream", keys.slice_key(key, number), one) for number, one in records.others]
    return puts


def stream_removal(engine: Engine, key: bytes) -> list[Put]:
    """What takes away all records of a task, if it has any."""
    numbers: list[int] = []
    try:
        value = engine.get("stream", key)
        if value is None:
            return []
        head = _decode_head(value)
        numbers = [*range(len(head.starts)), *range(PART, PART + head.parts)]
    except (StoreCorrupt, *UNDECODABLE):
        pass  # if there are any others they stay behind
    names = (key, *(keys.slice_key(key, number) for number in numbers))
    return [("stream", name, None) for name in names]
