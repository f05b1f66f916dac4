"""What the table of routes is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from oq.http import shapes
from oq.http.context import Context
from oq.http.query import Query
from oq.http.request import Request

Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Parameter:
    """A query parameter or a header. `type` is the type of one value. If `many` is true, the
    parameter may be repeated, and may have several values with commas between them.
    """

    name: str
    text: str
    type: Any = str
    many: bool = False


MAX_WAIT = Parameter(
    "X-OQ-Max-Wait",
    "the longest time in line that the client accepts: seconds, or a Go duration such as 30s. What"
    " is expected to wait for longer is refused at once, with 503 and Retry-After",
    shapes.Duration,
)


@dataclass(frozen=True)
class Route:
    """One call. `path` is in OpenAPI's notation. `answers` maps each good status to its meaning and
    the type of its body. `errors` are the statuses of its ``{"error": ...}`` answers.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answers: dict[int, tuple[str, Any]]
    errors: tuple[int, ...] = ()
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    body: Any = None
    media: str = "application/json"
    or_gives: Any = None
    """The type of a good answer in its other view."""
    also_gives: tuple[str, ...] = ()
    """Other media types of the answer, if the Accept header asks for them."""
    also_takes: dict[str, str] = field(default_factory=dict)
    """Other media types of the body, and what they are."""
    strict: bool = True
    """Whether an unknown parameter is refused."""
    websocket: bool = False
    fast_path: bool = False
    """Whether plain requests take the fast path; its handler then gives a `WholeResponse` or a
    `StreamedResponse`.
    """
    name: str = ""
    """The operationId, if it is not the name of the handler."""
    description: str = ""
    """What it does, if the docstring of the handler does not say it."""
    error: Any = None
    """The type of its errors, if it is not ErrorAnswer."""
    others: str = ""
    """What answers of other statuses are, if there may be any."""

    async def run(self, context: Context, request: Request, *given: Any, **parts: str) -> Any:
        """What the handler gives. InvalidTask if the request has a parameter that is unknown."""
        if self.strict and request.scope["query_string"]:
            Query(request.args).only([each.name for each in self.query])
        return await self.handler(context, request, *given, **parts)
