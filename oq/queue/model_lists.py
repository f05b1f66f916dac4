"""Asks all backends that are up for their lists of models, and makes one list of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import trio

from oq.backends.base import Backend, Passage, Reply
from oq.backends.reading_thread import apart
from oq.backends.transport import MAX_LIST
from oq.dialects.documents import MAX_GLANCE
from oq.dialects.model_lists import ListForm, merge
from oq.queue.catalogue import TIMEOUT
from oq.rules.slots import BackendSlots
from oq.words.errors import BackendDown, BackendError, BackendFailure

_NOT_UP = frozenset({b"range"})
"""A part of a list is no list."""


async def pass_on_list(
    form: ListForm,
    json_type: bytes,
    passage: Passage,
    backends: Sequence[tuple[BackendSlots, Backend]],
    reply: Reply,
    tell_down: Callable[[str, str], None],
) -> None:
    """Answer with one list of what these backends list. One that does not answer in time, or with
    no list, is left out. If all are, the first one's own answer is the answer, or its BackendError
    is raised. `tell_down` is called with each that cannot be reached, and why.
    """
    headers = [item for item in passage.headers if item[0].lower() not in _NOT_UP]
    asked = Passage("GET", passage.target, headers, b"")
    heard = [(slots, _Heard(backend)) for slots, backend in backends]
    async with trio.open_nursery() as nursery:
        for _, each in heard:
            nursery.start_soon(each.ask, asked)
    for slots, each in heard:
        if isinstance(each.error, BackendDown):
            tell_down(slots.name, str(each.error))
    bodies = [
        (bytes(each.body), slots.models.offers)
        for slots, each in heard
        if each.error is None and each.status == 200
    ]
    work = partial(merge, bodies, form)
    small = sum(len(body) for body, _ in bodies) <= MAX_GLANCE
    body = work() if small else await apart(work)
    with_body = passage.method != "HEAD"
    if body is None:
        await heard[0][1].repeat(reply, with_body=with_body)
    else:
        length = (b"content-length", b"%d" % len(body))
        await reply.begin(200, [(b"content-type", json_type), length])
        if with_body:
            await reply.piece(body)


class _Heard:
    """What one backend answers, as a `Reply`. `error`: why that is not a whole answer."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._headers: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.body = bytearray()
        self.error: BackendError | None = None

    async def ask(self, passage: Passage) -> None:
        """Take its answer, within the time for it."""
        late = f"{self._backend.url} did not list its models within {TIMEOUT:g} s"
        self.error = BackendFailure(late)
        with trio.move_on_after(TIMEOUT):
            try:
                await self._backend.pass_on(passage, self)
                self.error = None
            except BackendError as error:
                self.error = error

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """See `oq.backends.base.Reply`."""
        self.status, self._headers = status, headers

    async def piece(self, data: bytes) -> None:
        """See `oq.backends.base.Reply`."""
        self.body += data
        if len(self.body) > MAX_LIST:
            raise BackendFailure(
                f"{self._backend.url} lists its models with more than {MAX_LIST} bytes"
            )

    async def repeat(self, reply: Reply, *, with_body: bool) -> None:
        """Give the answer to somebody else, or raise the error."""
        if self.error is not None:
            raise self.error
        await reply.begin(self.status, self._headers)
        if with_body:
            await reply.piece(bytes(self.body))
