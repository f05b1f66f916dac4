"""What ended tasks have generated, on disk: a head and slices (see `oq.rules.slices`)."""

from __future__ import annotations

from weakref import WeakValueDictionary

import msgspec
from msgspec import Raw, Struct

from oq.rules import keys
from oq.rules.pieces import StreamLog
from oq.rules.slices import slice_number
from oq.store.batches import UNDECODABLE
from oq.store.decoding import read
from oq.store.engine import Engine, Put
from oq.words.errors import StoreCorrupt


class _Head(Struct, frozen=True, array_like=True):
    """Of the first record of a stream only what says whether there are more."""

    attempt: int
    pieces: Raw
    frames: Raw = Raw(b"")
    first: int = 0
    more: bool = False
    starts: list[int] = []


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
                value = self._engine.get("stream", keys.slice_key(key, number))
            if value is None:
                raise StoreCorrupt(f"a part of {what} is gone")
            log = self._slices[name] = read(_decode_slice, value, what)
        return log


def stream_puts(key: bytes, records: tuple[bytes, ...]) -> list[Put]:
    """What stores the records of a task's log."""
    names = (key, *(keys.slice_key(key, n) for n in range(len(records) - 1)))
    return [("stream", name, record) for name, record in zip(names, records, strict=True)]


def stream_removal(engine: Engine, key: bytes) -> list[Put]:
    """What takes away all records of a task, if it has any."""
    try:
        head = engine.get("stream", key)
        if head is None:
            return []
        slices = len(_decode_head(head).starts)
    except (StoreCorrupt, *UNDECODABLE):
        slices = 0  # if there are any they stay behind
    names = (key, *(keys.slice_key(key, n) for n in range(slices)))
    return [("stream", name, None) for name in names]
