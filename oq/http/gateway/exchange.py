"""One request of the gateway, from its body to its answer: what all handlers of it have around
them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from oq.dialects import Dialect
from oq.http.context import Context
from oq.http.gateway.errors import ErrorResponder
from oq.http.gateway.response import GatewayResponse
from oq.http.peer import ClientGone, Peer
from oq.http.request import Request
from oq.http.request_body import BodyReader


class Exchange:
    """A request, the reader of its body, and its response.

    There is one cancel scope around all of it. A handler may give it a deadline; `told` is then
    what the caller is told when that is over.
    """

    def __init__(
        self, request: Request, body: BodyReader, out: GatewayResponse, peer: Peer
    ) -> None:
        self.request = request
        self.body = body
        self.out = out
        self.scope = trio.CancelScope()
        self.told: Exception | None = None
        self._peer = peer

    def watch_caller(self) -> None:
        """To be called once the body has been read: from then on the answer stops when the caller
        leaves.
        """
        self._peer.watch(self.scope)


async def exchange(
    handle: Callable[[Exchange], Awaitable[None]],
    context: Context,
    dialect: Dialect,
    request: Request,
    peer: Peer,
    limit: int,
) -> None:
    """Let `handle` answer the request, unless its caller leaves before. What it raises is answered
    as an error of this dialect. `limit` is the most bytes of the body.
    """
    out = GatewayResponse(peer, partial(context.metrics.answered, dialect.name))
    with context.inflight.hold() as held:
        one = Exchange(request, BodyReader(request, peer, limit, held), out, peer)
        errors = ErrorResponder(request, one.body, out, dialect)
        with one.scope:
            try:
                await handle(one)
            except ClientGone:
                pass
            except Exception as error:
                await errors.refuse(error, peer)
        if one.scope.cancelled_caught and one.told is not None:
            await errors.refuse(one.told, peer)
