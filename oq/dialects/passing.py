"""A stream as it comes in: each frame is passed on as it came, and read beside that.

What nobody here can read passes all the same, and adds nothing to what is kept. There are two
exceptions. An error that the backend states is raised, with the frame that it came in: a caller who
has seen nothing yet gets it as an error. And what is not even framed as a stream, or is cut off,
waits for a frame that is: it may be a page of a proxy, behind which nothing comes. Then the answer
is none, and its caller gets an error that can be read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from oq.dialects.answer_errors import quoted
from oq.dialects.answer_limit import AnswerLimit
from oq.dialects.base import Emit
from oq.dialects.framing import End, Frames
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed

MAX_QUOTED_BYTES = 1000
"""Bytes that are kept of what could not be read."""


class Ending(Protocol):
    """Puts an answer together, and knows where it ends."""

    @property
    def done(self) -> bool:
        """Whether the frame that ends the answer has come."""
        ...

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if the stream ended before it was whole."""
        ...


class PassedFrames(ABC):
    """The frames of one answer; see `oq.dialects.base.Answer`. `limit` is in bytes of memory."""

    def __init__(self, end: End, fold: Ending, emit: Emit, limit: int) -> None:
        self._frames = Frames(end)
        self._limit = AnswerLimit(limit)
        self._ending = fold
        self._emit = emit
        self._waiting: list[bytes] = []
        self._passed = False
        self._read_all = True  # of the last frame
        self._odd = b""
        """The first frame that could not be read."""

    def feed(self, data: bytes) -> bool:
        """See `oq.dialects.base.Answer`."""
        for frame in self._frames.feed(data):
            if self._is_framed(frame) or not (self._waiting or frame.strip()):
                self._pass_on(frame)
            else:
                self._waiting.append(frame)
        return self._ending.done

    def completed(self) -> Completed:
        """See `oq.dialects.base.Answer`."""
        rest = self._frames.rest()
        if rest and self._is_framed(rest) and self._read_all:
            self._pass_on(rest)
            rest = b""
        if self._waiting and not self._passed:  # it may be one document
            self._add_document(b"".join([*self._waiting, rest]))
        try:
            done = self._ending.completed()
        except BackendFailure as error:
            if error.body is not None or not self._odd:
                raise
            odd = f"{error}: the backend sent something that is no answer: {quoted(self._odd)}"
            raise BackendFailure(odd) from None
        self._pass_on(rest)
        return done

    @abstractmethod
    def _add(self, frame: bytes) -> bool:
        """Fold one frame. Whether it is framed as this kind of stream is; False: not at all."""

    @abstractmethod
    def _add_document(self, document: bytes) -> None:
        """Fold an answer that came as one JSON document, if it is one."""

    def _is_framed(self, frame: bytes) -> bool:
        """Fold the frame, unless the answer is whole already. Whether it is one of the stream."""
        if self._ending.done:
            return True
        self._limit.take(frame)  # before it is taken apart: its lines may be millions
        self._read_all = True
        try:
            framed = self._add(frame)
        except RecursionError:
            framed = False
        if not framed:
            self._note_odd(frame)
        return framed

    def _note_odd(self, frame: bytes) -> None:
        """This frame could not be read; the first one of them is quoted if the answer is none."""
        self._read_all = False
        if not self._odd:
            self._odd = frame.strip()[:MAX_QUOTED_BYTES]

    def _pass_on(self, frame: bytes) -> None:
        waiting, self._waiting = self._waiting, []
        self._passed = self._passed or bool(waiting or frame.strip())
        for each in (*waiting, frame):
            if each:
                self._emit(each)
