"""Passes requests that are no tasks to a backend: one that has the model that they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus

import trio

from oq.backends.base import Backend, Passage, Reply, way
from oq.dialects import Dialect, dialect_at
from oq.dialects.model_lists import ListForm
from oq.queue.model_lists import pass_on_list
from oq.queue.wiring import Wiring
from oq.rules.headers import Headers
from oq.rules.model_list import LATE
from oq.rules.slots import BackendSlots
from oq.rules.via import add_mark
from oq.words.channels import put
from oq.words.errors import BackendDown
from oq.words.messages import AskAgain
from oq.words.receipts import Receipt


class Passages:
    """`tell_down` is called with the name of a backend that cannot be reached, and why: it is down
    from then on, for tasks as well. `mark` identifies what this queue sends.
    """

    def __init__(
        self,
        wiring: Wiring,
        backends: Mapping[str, Backend],
        tell_down: Callable[[str, str], None],
    ) -> None:
        self.mark = wiring.mark
        self._board = wiring.board
        self._backends = backends
        self._tell_down = tell_down
        self._to_scheduler = wiring.to_scheduler

    @property
    def several(self) -> bool:
        """Whether it matters which model a request names."""
        return len(self._backends) > 1

    async def pass_on(
        self,
        passage: Passage,
        reply: Reply,
        come: str = "",
        *,
        model: str = "",
        changes: bool = False,
    ) -> None:
        """Let a backend answer: one that has this model, if the request names one, among those one
        that is up, and among those one that speaks its dialect. Then the first in the order of the
        settings. If that cannot be reached, or answers 404, the next one that has the model is
        asked. `come` is its way so far. If it `changes` the backend, that is asked afterwards which
        models it has. Raises BackendError.
        """
        way.set(add_mark(come, self.mark))
        rank = partial(self._rank, dialect_at(passage.path))
        if not (model and self.several):
            first = min(self._board.backends, key=rank)
            await self._ask(first.name, passage, reply, last=True)
        else:
            first, *others = sorted(await self._able(model), key=rank)
            others = [one for one in others if one.down is None and one.models.has(model)]
            while not await self._ask(first.name, passage, reply, last=not others):
                if first.models.has(model):
                    await self._ask_again()
                if not others:
                    break
                first, *others = others
        if changes and self.several:
            await self._ask_again(first.name)

    async def pass_on_list(
        self, form: ListForm, dialect: Dialect, passage: Passage, reply: Reply, come: str = ""
    ) -> None:
        """Answer a request for a list of models: where there are several backends, with one list
        of all that are up; see `oq.queue.model_lists`. Raises BackendError.
        """
        up = [slots for slots in self._board.backends if slots.down is None]
        if not (self.several and up):
            await self.pass_on(passage, reply, come)
            return
        way.set(add_mark(come, self.mark))
        backends = [(slots, self._backends[slots.name]) for slots in up]
        await pass_on_list(form, dialect.json_type, passage, backends, reply, self._tell_down)

    def reaches(self, path: str) -> bool:
        """Whether a backend that is up speaks the dialect that this path belongs to."""
        dialect = dialect_at(path)
        up = (slots.name for slots in self._board.backends if slots.down is None)
        return any(dialect in self._backends[name].speaks for name in up)

    async def _ask(self, name: str, passage: Passage, reply: Reply, *, last: bool) -> bool:
        """Let this backend answer; False if it cannot be reached or answers 404. If it is not the
        `last` one to be asked, nobody is told of that.
        """
        answer = _Answer(reply, last=last)
        try:
            await self._backends[name].pass_on(passage, answer)
        except BackendDown as error:
            self._tell_down(name, str(error))
            if last or answer.begun:
                raise
            return False
        return not answer.lacked

    def _rank(self, dialect: Dialect | None, slots: BackendSlots) -> tuple[bool, bool]:
        return slots.down is not None, dialect not in self._backends[slots.name].speaks

    async def _able(self, model: str) -> Sequence[BackendSlots]:
        """The backends that have this model. If none is known to, those that are up are asked
        anew, but not again and again: it may have been pulled without oq.
        """
        if not any(one.models.has(model) for one in self._board.backends):
            await self._ask_again()
        return self._board.likely(model)

    async def _ask_again(self, changed: str | None = None) -> None:
        """Return when it is known anew which models all backends have, or this one, of which they
        have changed; or when that takes too long.
        """
        receipt = Receipt()
        with trio.move_on_after(LATE), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await put(self._to_scheduler, AskAgain(receipt, changed))
            await receipt.wait()


class _Answer:
    """Passes an answer on, unless it is 404 and not the `last` that can be had."""

    def __init__(self, reply: Reply, *, last: bool) -> None:
        self._reply = reply
        self._last = last
        self.lacked = False
        self.begun = False

    async def begin(self, status: int, headers: Headers) -> None:
        """See `oq.backends.base.Reply`."""
        self.lacked = status == HTTPStatus.NOT_FOUND
        self.begun = self._last or not self.lacked
        if self.begun:
            await self._reply.begin(status, headers)

    async def piece(self, data: bytes) -> None:
        """See `oq.backends.base.Reply`."""
        if self.begun:
            await self._reply.piece(data)
