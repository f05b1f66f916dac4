"""A stream as it comes in: each frame is passed on as it came, and read beside that.

What nobody here can read passes all the same, and adds nothing to what is kept. There are two
exceptions. An error that the backend states is raised, with the frame that it came in: a caller who
has seen nothing yet gets it as an error. And what is not even framed as a stream, or is cut off,
waits for a frame that is: it may be a page of a proxy, behind which nothing comes. Then the answer
is none, and its caller gets an error that can be read.

A backend may write a key that it refuses where no model generates anything: in a comment, in the
name of an event, in what cannot be read, behind the end. Only from there the keys are taken out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Protocol

from oq.dialects.answer_errors import quoted
from oq.dialects.answer_limit import AnswerLimit
from oq.dialects.base import EmitFrame, Scrub
from oq.dialects.framing import End, Frames
from oq.dialects.reading import MARK
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed

MAX_QUOTED_BYTES = 1000
"""Bytes that are kept of what could not be read."""


class Found(Enum):
    """What a frame turned out to be: no part of such a stream, a frame in which nothing could be
    read, or a part of the answer.
    """

    FOREIGN = 0
    FRAME = 1
    PART = 2


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
    """The frames of one answer; see `oq.dialects.base.Answer`. `limit` is in bytes of memory.
    `scrub` is for what no model has generated.
    """

    def __init__(
        self, end: End, fold: Ending, emit: EmitFrame, limit: int, scrub: Scrub = bytes
    ) -> None:
        self._frames = Frames(end)
        self._limit = AnswerLimit(limit)
        self._ending = fold
        self._emit = emit
        self._scrub = scrub
        self._waiting: list[bytes] = []
        self._passed = False
        self._closed = False  # nothing more passes behind the end
        self._first = True  # the next frame is the first
        self._odd = b""
        """The first frame that could not be read."""

    def feed(self, data: bytes) -> bool:
        """See `oq.dialects.base.Answer`."""
        try:
            frames = self._frames.feed(data)
        except BackendFailure:
            if not self._ending.done:
                raise
            self._closed, frames = True, []
        for frame in frames:
            self._take(frame)
        return self._ending.done

    def completed(self) -> Completed:
        """See `oq.dialects.base.Answer`."""
        rest = self._frames.rest()
        if self._ending.done:
            self._pass_behind(rest)
            return self._ending.completed()
        if rest and self._look(rest) is Found.PART:
            self._pass_on(self._scrubbed_part(rest))
            rest = b""
        if self._waiting and not self._passed:  # it may be one document
            if self._add_document(b"".join([*self._waiting, rest])):
                self._scrub = bytes  # all of it is the answer
        try:
            done = self._ending.completed()
        except BackendFailure as error:
            if error.body is not None or not self._odd:
                raise
            odd = f"{error}: the backend sent something that is no answer: {quoted(self._odd)}"
            raise BackendFailure(odd) from None
        self._pass_on(self._scrub(rest))
        return done

    @abstractmethod
    def _add(self, frame: bytes) -> Found:
        """Fold one frame."""

    @abstractmethod
    def _add_usual(self, frame: bytes) -> bool:
        """Fold a frame that differs from the one before in little, if it is one: it has a known
        form, no error, and does not end the answer. It is read once, and far more quickly.
        """

    @abstractmethod
    def _add_document(self, document: bytes) -> bool:
        """Fold an answer that came as one JSON document. Whether it is one."""

    @abstractmethod
    def _scrubbed_part(self, frame: bytes) -> bytes:
        """A frame that is a part of the answer, without the keys in what else stands in it."""

    @abstractmethod
    def _is_framed(self, frame: bytes) -> bool:
        """Whether it may be a part of such a stream, whatever it says."""

    def _take(self, frame: bytes) -> None:
        if self._ending.done:
            self._pass_behind(frame)
            return
        if self._passed and not self._waiting and self._add_usual(frame):
            self._limit.take_usual(frame)
            self._emit(frame)
            return
        found = self._look(frame)
        if found is Found.PART:
            self._pass_on(self._scrubbed_part(frame))
        elif found is Found.FRAME or not (self._waiting or frame.strip()):
            self._pass_on(self._scrub(frame))
        else:
            self._waiting.append(frame)

    def _look(self, frame: bytes) -> Found:
        """Fold the frame."""
        self._limit.take(frame)  # before it is taken apart: its lines may be millions
        if self._first:
            self._first, frame = False, frame.removeprefix(MARK)
        try:
            found = self._add(frame)
        except RecursionError:  # pragma: no cover - today each dialect bounds how deep it reads
            found = Found.FRAME
        if found is not Found.PART and not self._odd and not self._is_silent(frame):
            self._odd = frame.strip()[:MAX_QUOTED_BYTES]
        return found

    def _is_silent(self, frame: bytes) -> bool:
        """Whether there is nothing to be read in the frame."""
        return not frame.strip()

    def _pass_behind(self, frame: bytes) -> None:
        """What comes behind the end of the answer passes too, up to the first that is no frame of
        such a stream: no model has generated that, and nobody waits for it.
        """
        try:
            self._limit.take(frame)
        except BackendFailure:
            self._closed = True
        self._closed = self._closed or not (self._is_silent(frame) or self._is_framed(frame))
        if not self._closed:
            self._pass_on(self._scrub(frame))

    def _pass_on(self, frame: bytes) -> None:
        """Emit what waits, and this frame, from which the keys have been taken."""
        waiting, self._waiting = self._waiting, []
        self._passed = self._passed or bool(waiting or frame.strip())
        for each in (*map(self._scrub, waiting), frame):
            if each:
                self._emit(each)
