"""Describes the calls for responses that are kept, for the document at /openapi.json.

OpenAI describes the bodies: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta

from oq.dialects import Endpoint
from oq.http import shapes
from oq.http.gateway.kept_responses import KeptResponses
from oq.http.route import Parameter, Route
from oq.http.streaming import EVENT_STREAM

_RESPONSE = {200: ("The response as it stands", dict[str, Any])}
_ID = "By its id, which the POST with `background` has answered."
Limit = Annotated[int, Meta(ge=1, le=100)]


def _route(
    call: Endpoint, method: str, rest: str, name: str, summary: str, text: str, **more: Any
) -> Route:
    return Route(
        method,
        call.path + "/{response_id}" + rest,
        KeptResponses.serve,
        summary,
        more.pop("answers", _RESPONSE),
        errors=(404, 503),
        name=name,
        description=f"{text} {_ID}",
        error=call.dialect.error_shape,
        **more,
    )


def kept_routes(call: Endpoint) -> Iterator[Route]:
    """The calls for the responses that this call makes in the background."""
    yield _route(
        call,
        "GET",
        "",
        "get_response",
        "Show a response in the background",
        "Its `status` is queued, in_progress, completed, failed, cancelled or incomplete. With"
        " `stream` its events come as server-sent events, those behind `starting_after` only.",
        query=(
            Parameter("stream", "true: the events of the response", Literal["true", "false"]),
            Parameter(
                "starting_after",
                "begin behind the event with this sequence_number",
                shapes.Seq,
            ),
        ),
        also_gives=(EVENT_STREAM,),
    )
    yield _route(
        call,
        "DELETE",
        "",
        "delete_response",
        "Delete a response in the background",
        "One that has not ended is cancelled before.",
        answers={200: ("It is deleted", dict[str, Any])},
    )
    yield _route(
        call,
        "POST",
        "/cancel",
        "cancel_response",
        "Cancel a response in the background",
        "One that has ended stays as it is, and is shown.",
    )
    yield _route(
        call,
        "GET",
        "/input_items",
        "list_input_items",
        "List what a response in the background was asked",
        "The items of its input, with ids.",
        answers={200: ("A page of the list", dict[str, Any])},
        query=(
            Parameter("order", "desc: the last item first, asc: the first", Literal["asc", "desc"]),
            Parameter("limit", "how many items a page has; 20 if it is not given", Limit),
            Parameter("after", "begin behind the item with this id"),
        ),
    )
