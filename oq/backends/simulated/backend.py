"""The simulator as a backend inside the process. It has no sockets and uses only trio's clock."""

from __future__ import annotations

from datetime import datetime
from http.client import responses

import trio

from oq.backends.base import Passage, Reply, Request
from oq.backends.failures import status_error
from oq.backends.ollama import ollama_body
from oq.backends.pouring import Feed
from oq.backends.simulated.forms import error_body
from oq.backends.simulated.inside import answer_inside
from oq.backends.simulated.pieces import Piece, pieces
from oq.backends.simulated.reading import Refused
from oq.backends.simulated.refusals import check_refusal
from oq.backends.simulated.runner import RunnerKilled
from oq.backends.simulated.running import RUNS, instant
from oq.backends.simulated.script import Fault, Script
from oq.backends.simulated.simulator import Call, Simulator
from oq.backends.simulated.spent import Spent
from oq.backends.verbatim import CallAnswer, asks_stream, call_of, not_spoken
from oq.dialects import DIALECTS, ENDPOINTS, Dialect
from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.base import Emit
from oq.rules.headers import down
from oq.words.config import BackendKind
from oq.words.errors import BackendDown, BackendError, BackendFailure
from oq.words.head import Head
from oq.words.outcome import Completed
from oq.words.task import TaskType, Usage
from oq.words.views import BackendFacts, Model, Models

UNLIMITED = 1_000_000
"""Slots of a backend that takes all that comes."""


class SimulatedBackend:
    """A backend that gets its answers from a `Simulator`. It behaves like `OllamaBackend`.

    If `down` is set to a reason, new requests fail as if the server were down, until `down` is None
    again. Running requests go on. `simulator` has the scripts, the recorded requests and
    `max_running`.
    """

    kind: BackendKind = "simulated"
    speaks = DIALECTS

    def __init__(self, name: str = "simulated", simulator: Simulator | None = None) -> None:
        self.name = name
        self.url = f"simulated://{name}"
        self.simulator = simulator or Simulator()
        self.down: str | None = None

    @property
    def measures(self) -> bool:
        """Whether a call may wait inside it; then its answers say how long, as Ollama's do."""
        return self.simulator.loaded.parallel is not None

    async def run(self, request: Request, emit: Emit) -> Completed:
        """Run the task; the errors are those of `oq.backends.base.Backend.run`."""
        await trio.lowlevel.checkpoint()
        self._refuse_if_down()
        if request.call is not None:
            return await self._call(request, emit)
        path, body = f"/api/{request.type}", ollama_body(request)
        call = self.simulator.record("POST", path, [], body, request.model)
        with self.simulator.answering(call):
            try:
                return await self._answer(call, emit)
            except Refused as refused:
                raise self._error(path, refused) from None

    async def pass_on(self, passage: Passage, reply: Reply) -> None:
        """See `oq.backends.base.Backend.pass_on`."""
        await trio.lowlevel.checkpoint()
        self._refuse_if_down()
        await answer_inside(self.simulator, passage, reply)

    async def probe(self) -> None:
        """Return unless `down` is set; BackendDown if it is."""
        await trio.lowlevel.checkpoint()
        self._refuse_if_down()

    async def models(self) -> Models:
        """The models of the simulator, and those that it has loaded."""
        await trio.lowlevel.checkpoint()
        self._refuse_if_down()
        return Models(
            tuple(map(Model, self.simulator.listed)),
            tuple(map(Model, self.simulator.loaded.names)),
        )

    async def facts(self, *, full: bool = True) -> BackendFacts:
        """With slots, as Ollama: which models are loaded, but not how many slots there are.
        Without, any number of calls run at once, of any models.
        """
        await trio.lowlevel.checkpoint()
        self._refuse_if_down()
        # Where every name is a model, the list does not say which ones there are.
        says = full and not self.simulator.model_files.any_name
        models = tuple(self.simulator.listed) if says else None
        if not self.measures:
            return BackendFacts(UNLIMITED, models=models)
        loaded = self.simulator.loaded.names
        named = {*loaded, *(self.simulator.listed if full else ())}
        digests = {name: self.simulator.model_files.digest(name) for name in named}
        return BackendFacts(None, tuple(loaded), digests, models=models)

    async def aclose(self) -> None:
        """Nothing to close."""
        await trio.lowlevel.checkpoint()

    async def _call(self, request: Request, emit: Emit) -> Completed:
        """Run a call as the simulated server would."""
        call = call_of(request)
        if call.dialect not in self.speaks:
            raise not_spoken(self, call)
        answer = CallAnswer(call, await asks_stream(request), emit, MAX_ANSWER)
        reply = _CallReply(answer)
        passage = Passage("POST", request.target or call.path, request.headers, request.payload)
        await answer_inside(self.simulator, passage, reply)
        reply.check(self.simulator.now())
        return answer.completed()

    async def _answer(self, call: Call, emit: Emit) -> Completed:
        simulator, run = self.simulator, RUNS[call.path]
        ask = run.ask(call.body)
        script = simulator.script_for(ask)
        check_refusal(script, call.body)
        if script.fault == "reset":
            raise _broken("reset", script)
        asked = ENDPOINTS[call.path]
        answer = asked.dialect.streamed(asked, emit)
        begun = False

        def say(piece: Piece) -> None:
            nonlocal begun
            if piece.fault is not None:
                raise _broken(piece.fault, script, encoder.error(script.error, script.error_fields))
            answer.feed(encoder.piece(piece, simulator.elapsed(call)))
            begun = True

        if ask.unload:
            simulator.loaded.unload(ask.model)
            encoder = run.encoder(ask, simulator.now(), Spent(), script)
            say(pieces(ask, script)[0])
            return answer.completed()
        try:
            async with simulator.hold(ask, script) as hold:
                spent = simulator.spent(hold, script)
                encoder = run.encoder(ask, simulator.now(), spent, script)
                if ask.kind is TaskType.EMBED:
                    [end] = instant(script)
                    await hold.wait(end.due, killed=end.fault == "killed")
                    if end.fault is not None:
                        raise _broken(end.fault, script)
                    whole = encoder.whole([], simulator.elapsed(call))
                    return asked.dialect.whole(asked, whole)
                for piece in pieces(ask, script):
                    await hold.wait(piece.due, killed=piece.fault == "killed")
                    say(piece)
        except RunnerKilled as killed:
            if not begun:
                raise Refused(500, str(killed)) from None
            answer.feed(encoder.killed())
        return answer.completed()

    def _refuse_if_down(self) -> None:
        if self.down is not None:
            raise BackendDown(f"cannot reach {self.url}: {self.down}")

    def _error(self, path: str, refused: Refused) -> BackendError:
        body = error_body(path, refused.status, refused.message, refused.fields)
        now = self.simulator.now()
        return status_error(refused.status, body, retry_after=refused.retry_after, now=now)


class _CallReply:
    """Takes the answer to a call."""

    def __init__(self, answer: CallAnswer) -> None:
        self._answer = answer
        self._head = Head()
        self._feed: Feed = self._refused
        self._body = b""
        self._whole = False

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        reason = responses.get(status, "").encode()
        self._head = Head(status, reason, tuple(down(headers)))
        if status < 300:
            self._feed = self._answer.begin(self._head)

    async def piece(self, data: bytes) -> None:
        self._whole = self._whole or self._feed(data)

    def _refused(self, data: bytes) -> bool:
        self._body += data
        return False

    def check(self, now: datetime) -> None:
        """Raise the error that the answer is, if it is one."""
        if self._head.status >= 300:
            retry_after = self._head.header(b"retry-after").decode() or None
            error = status_error(self._head.status, self._body, retry_after=retry_after, now=now)
            error.head = self._head
            raise error


class NoopBackend:
    """Gives every task the same result at once: for benchmarks of the rest of oq."""

    kind: BackendKind = "simulated"
    measures = False
    speaks: tuple[Dialect, ...] = DIALECTS
    url = "simulated://noop"

    def __init__(self, name: str = "noop", result: bytes = b'{"response":"","done":true}') -> None:
        self.name = name
        self._completed = Completed(result, Usage(0, 0))

    async def run(self, request: Request, emit: Emit) -> Completed:
        """The result, after one checkpoint and without a chunk."""
        await trio.lowlevel.checkpoint()
        return self._completed

    async def pass_on(self, passage: Passage, reply: Reply) -> None:
        """Answer 404 to every request."""
        await reply.begin(404, [])

    async def probe(self) -> None:
        """It is never down."""
        await trio.lowlevel.checkpoint()

    async def models(self) -> Models:
        """It has none."""
        await trio.lowlevel.checkpoint()
        return Models()

    async def facts(self, *, full: bool = True) -> BackendFacts:
        """It takes any number of tasks at once."""
        await trio.lowlevel.checkpoint()
        return BackendFacts(UNLIMITED)

    async def aclose(self) -> None:
        """Nothing to close."""
        await trio.lowlevel.checkpoint()


def _broken(fault: Fault, script: Script, body: bytes | None = None) -> BackendFailure:
    """The error that a client of the real server would raise. `body` is what that server sends."""
    match fault:
        case "error":
            text = f"the backend broke off with an error: {script.error}"
            return BackendFailure(text, body=body)
        case "garbage" | "half_line":
            return BackendFailure("the backend sent something that is no answer")
        case "cut" | "cut_between" | "reset":
            return BackendFailure("the connection to the simulated backend was lost")
        case _:
            return BackendFailure("the stream ended before done")
