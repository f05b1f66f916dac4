"""What the backends that are servers have in common: an address, connections, and calls."""

from __future__ import annotations

from abc import ABC, abstractmethod

from oq.backends.address import base_url
from oq.backends.base import Request
from oq.backends.served_calls import ServedCalls
from oq.backends.transport import Timeouts, Transport
from oq.dialects import Dialect
from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.base import Emit
from oq.words.clock import Clock
from oq.words.outcome import Completed


class ServerBackend(ABC):
    """A server at `url`. Each kind is a class of its own, which says the five things below.

    Timeouts are in seconds. InvalidConfig if the url or the key cannot be one.
    """

    speaks: tuple[Dialect, ...]
    """The dialects of the calls that it answers."""
    default_port: int
    """The port of a url that names neither a port nor a scheme."""
    below: str
    """What its url ends with, whether it was written or not. The paths of calls have it too."""
    hint: str
    """What is said to whom finds nobody there, with the ``{name}`` of the backend."""
    probed: str
    """A path that it answers at once, whatever it does."""
    measures: bool = False
    """Whether its answers say how long a call waited inside it."""

    def __init__(
        self,
        name: str,
        url: str,
        api_key: str | None = None,
        connect_timeout: float = 5,
        silence: float = 60,
        *,
        max_answer: int = MAX_ANSWER,
        pass_authorization: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.url = base_url(url, default_port=self.default_port).removesuffix(self.below)
        self.url += self.below
        self._clock = clock or Clock()
        self._transport = Transport(
            self.url.removesuffix(self.below),
            api_key=api_key,
            timeouts=Timeouts(connect_timeout, silence),
            probed=self.probed,
            hint=self.hint.format(name=repr(name)),
            clock=self._clock,
            max_answer=max_answer,
            pass_authorization=pass_authorization,
        )
        self._calls = ServedCalls(self._transport, self.speaks, self._clock)

    async def run(self, request: Request, emit: Emit) -> Completed:
        """Run the task; the errors are those of `oq.backends.base.Backend.run`."""
        with self._transport.secret.kept_from_errors():
            return await self._run(request, emit)

    @abstractmethod
    async def _run(self, request: Request, emit: Emit) -> Completed:
        """The same. What its errors say may show the key."""

    async def probe(self) -> None:
        """Return if the server answers; BackendDown if it does not."""
        with self._transport.secret.kept_from_errors():
            await self._transport.probe()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()
