"""Puts the blocks of an answer one behind the other, as callers' APIs have them.

Chat completions may tell several calls of tools at once, by their places. A block of an answer
cannot go on once the next one has begun. So the first call is told as it comes; the next one waits
until the arguments of the first are whole. Servers tell calls one after the other, so that it
hardly ever has to wait. Each byte is looked at a few times at most.
"""

from __future__ import annotations

import msgspec

from oq.dialects.growing_text import Halves
from oq.dialects.reading import whole_text
from oq.dialects.translate.bits import Bit, Kind, Writer
from oq.words.from_json import NOT_READ

_Place = tuple[Kind, int]


class Order:
    """Gives bits to a writer, block after block."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._open: _Place | None = None
        self._halves = Halves()
        self._arguments: list[str] = []
        """Those of the open call."""
        self._held: dict[_Place, list[Bit]] = {}
        """Blocks that wait for the open call."""

    def take(self, bits: list[Bit]) -> list[bytes]:
        """The frames for these bits."""
        return [frame for bit in bits for frame in self._take(bit)]

    def end(self, *, cut: bool) -> list[bytes]:
        """The frames for what still waits. `cut`: the last block would have gone on."""
        frames = self._close(cut=cut)
        held, self._held = self._held, {}
        for bits in held.values():
            frames += self._begin(bits[0])
            for bit in bits:
                frames += self._add(bit)
            frames += self._close(cut=cut)
        return frames

    def _take(self, bit: Bit) -> list[bytes]:
        place = (bit.kind, bit.place)
        if place == self._open:
            return self._add(bit)
        if self._held or (self._open is not None and not self._may_close()):
            if place in self._held or bit.name or bit.kind is not Kind.CALL:
                self._held.setdefault(place, []).append(bit)
            return []
        if bit.kind is Kind.CALL and not bit.name:
            return []  # it goes on with a call that was whole
        return self._close() + self._begin(bit) + self._add(bit)

    def _begin(self, bit: Bit) -> list[bytes]:
        self._open = (bit.kind, bit.place)
        named = bit._replace(call_id=whole_text(bit.call_id), name=whole_text(bit.name))
        return self._writer.open_block(named)

    def _add(self, bit: Bit) -> list[bytes]:
        """More of the open block. Half a character waits for its other half."""
        text = self._halves.join(bit.text)
        if bit.kind is Kind.CALL:
            self._arguments.append(text)
        return self._writer.add(text) if text else []

    def _close(self, *, cut: bool = False) -> list[bytes]:
        if self._open is None:
            return []
        rest = self._halves.rest()
        if self._open[0] is Kind.CALL and not any(self._arguments):
            rest = "{}"  # arguments are an object
        self._open, self._arguments = None, []
        return (self._writer.add(rest) if rest else []) + self._writer.close_block(cut=cut)

    def _may_close(self) -> bool:
        """Whether the open block is whole as far as anybody can tell. Asked once a block: while it
        is not, all that follows waits.
        """
        if self._open is None or self._open[0] is not Kind.CALL:
            return True
        try:
            msgspec.json.decode("".join(self._arguments))
        except NOT_READ:
            return False
        return True
