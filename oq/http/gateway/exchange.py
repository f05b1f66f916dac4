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
    """A request, the reader of its body, and its response."""

    def __init__(
        self,
        request: Request,
        body: BodyReader,
        out: GatewayResponse,
        watch_caller: Callable[[], None],
    ) -> None:
        self.request = request
        self.body = body
        self.out = out
        self.watch_caller = watch_caller
        """To be called once the body has been read: from then on the answer stops when the caller
        leaves."""


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
    with context.inflight.hold() as held, trio.CancelScope() as answering:
        body = BodyReader(request, peer, limit, held)
        try:
            await handle(Exchange(request, body, out, partial(peer.watch, answering)))
        except ClientGone:
            pass
        except Exception as error:
            await ErrorResponder(request, body, out, dialect).refuse(error, peer)
