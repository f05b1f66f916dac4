"""Runs drop-in calls as tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from secrets import compare_digest

import msgspec
from msgspec import Struct

from oq.actors.hub import Watch
from oq.dialects import Endpoint, document_of
from oq.dialects.kept_response import Kept, KeptResponse, task_of
from oq.queue.admission import Accepted, Admission
from oq.queue.call_reader import CallReader
from oq.queue.callers import Callers, WaitingCaller
from oq.queue.frame_reader import FrameReader
from oq.queue.outlook import Outlook
from oq.queue.output_reader import Output
from oq.queue.wiring import Wiring
from oq.rules import scope, validation
from oq.store import Ledger
from oq.words.caller import LOCAL, Caller
from oq.words.errors import NotFound, StoreCorrupt
from oq.words.head import Headers
from oq.words.task import Body, Waiting


class NewCall(Struct, frozen=True, kw_only=True):
    """A call as its caller made it. `body` are its very bytes; `headers` and `target` are as in
    `oq.words.task.Body`. A `detached` one goes on without its caller. It is refused if it is
    expected to wait for longer than `max_wait`. `timeout` is for one attempt, or for all of the
    call if its caller is `impatient` and stays. `way`: see `oq.rules.via`. `load`: see
    `oq.rules.load_options`. `conversation`: see `oq.rules.conversations`. `kept`: its response is
    read later, by an id of its own. `measured`: what oq reads of the body was found to be within
    `queue.max_values`. The rest is for whoever looks at the task.
    """

    call: Endpoint
    body: bytes
    model: str
    priority: int
    load: str = ""
    timeout: float | str | None = None
    impatient: bool = False
    detached: bool = False
    caller: Caller = LOCAL
    user_agent: str | None = None
    tenant: str | None = None
    conversation: int = 0
    way: str = ""
    max_wait: float | str | None = None
    headers: Headers = ()
    target: str | None = None
    kept: Kept | None = None
    measured: bool = False


class _Metadata(Struct, omit_defaults=True):
    """What a call's task has as its metadata."""

    path: str = ""
    client: str | None = None
    user_agent: str | None = None
    tenant: str | None = None
    detached: bool = False
    response: str | None = None
    previous_response_id: str | None = None


_METADATA = msgspec.json.Decoder(_Metadata)


class GatewayCalls:
    """What the gateway asks of the queue."""

    def __init__(
        self,
        admission: Admission,
        wiring: Wiring,
        ledger: Ledger,
        check_open: Callable[[], None],
        callers: Callers,
        outlook: Outlook,
    ) -> None:
        self.mark = wiring.mark
        self._admission = admission
        self._hub = wiring.hub
        self._streams = wiring.streams
        self._ledger = ledger
        self._check_open = check_open
        self._callers = callers
        self._outlook = outlook

    async def accept(self, new: NewCall, key: str | None) -> Accepted:
        """Store the call and return once it is on disk; the same key with the same body gives the
        task that it gave before. Raises InvalidTask, Conflict, QueueFull, Unavailable.
        """
        body = Body(
            new.body, call=new.call.path, way=new.way, headers=new.headers, target=new.target
        )
        metadata = _Metadata(
            new.call.path, new.caller.address, new.user_agent, new.tenant, new.detached
        )
        if new.kept is not None:
            metadata.response = new.kept.response
            metadata.previous_response_id = new.kept.previous_response_id
        checked = validation.check_call(
            body,
            document=b"" if new.measured else document_of(body),
            kind=new.call.type,
            model=new.model,
            priority=new.priority,
            timeout=new.timeout,
            load=new.load,
            tenant=new.tenant or "",
            conversation=new.conversation,
            metadata=msgspec.json.encode(metadata),
            key=key,
            impatient=new.impatient and not new.detached,
            limits=self._admission.limits,
        )
        return await self._admission.accept_checked(checked, new.caller, new.max_wait)

    async def is_detached(self, task_id: str) -> bool:
        """Whether the first caller of the task wished that it goes on without a caller."""
        try:
            metadata = (await self._ledger.state(task_id)).terms.metadata
        except NotFound:
            return False
        return metadata is not None and _METADATA.decode(metadata).detached

    def attend(self, task_id: str, *, detach: bool, grace: float) -> WaitingCaller:
        """Wait for the task's answer, for a block: `grace` seconds after the last caller has left
        without one the task is cancelled, unless any of them wished it to be detached.
        """
        return self._callers.attend(task_id, detach=detach, grace=grace)

    @contextmanager
    def read_call(self, task_id: str) -> Iterator[CallReader]:
        """Follow what the backend says, byte for byte, to its end."""
        with self._hub.watch(task_id) as watch:
            yield CallReader(self._output(task_id, watch))

    async def response(self, name: str, caller: Caller) -> KeptResponse:
        """The response with this id, as it stands. NotFound, also for a task that is none."""
        task_id = task_of(name)
        if task_id is None:
            raise NotFound(name)
        found = await self.response_of(task_id)
        # A task can be guessed, the rest of the id not.
        if found is None or not compare_digest(found.id, name):
            raise NotFound(name)
        if not scope.may_see(scope.owner_of(found.state.terms), caller):
            raise NotFound(name)
        return found

    async def response_of(self, task_id: str) -> KeptResponse | None:
        """The response that this task makes; None if it is none to be kept. NotFound,
        StoreCorrupt.
        """
        self._check_open()
        record = await self._ledger.durable.record(task_id)
        if record.problems:
            raise StoreCorrupt(record.problems[0])
        stored = record.state.terms.metadata
        if record.body is None or record.body.call is None or stored is None:
            return None
        metadata = _METADATA.decode(stored)
        if metadata.response is None:
            return None
        return KeptResponse(
            kept=Kept(metadata.response, metadata.previous_response_id),
            state=record.state,
            request=record.body.payload,
            result=record.result,
            refusal=record.refusal,
        )

    @contextmanager
    def read_frames(self, task_id: str) -> Iterator[FrameReader]:
        """Follow what the backend says to a call that goes on without its caller."""
        with self._hub.watch(task_id) as watch:
            yield FrameReader(self._output(task_id, watch))

    def _output(self, task_id: str, watch: Watch) -> Output:
        return Output(self._ledger.durable, self._check_open, self._streams, watch, task_id)

    def waiting(self, task_id: str) -> Waiting:
        """Where the task stands; number 0 when it does not wait."""
        return self._outlook.waiting(task_id)

    def eta_header(self, task_id: str) -> str | None:
        """The value of the header X-OQ-ETA; None if there is none."""
        return self._outlook.header(task_id)
