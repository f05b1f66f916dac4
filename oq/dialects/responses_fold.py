"""A stream of OpenAI's Responses API, folded into the response that is given without streaming.

https://platform.openai.com/docs/api-reference/responses-streaming: the last event, of the type
`response.completed`, `response.incomplete` or `response.failed`, has the whole response. Servers
leave its `output` empty now and then; then it is made of the items that were said to be done.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from oq.dialects.answer_errors import error_text, states_error
from oq.dialects.reading import Json, count, read_object, write
from oq.dialects.stated_errors import stated, stated_error, status_of
from oq.dialects.timings import llama_timings
from oq.words.errors import BackendFailure
from oq.words.from_json import NOT_READ
from oq.words.outcome import Completed, Timings
from oq.words.task import Usage

MAX_ITEMS = 4096
"""Items of its output that are kept of one response."""

FAILED = ("failed", "cancelled")
"""How the status of a response says that it is no answer."""

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class _Event(Struct):
    type: str = ""
    response: Raw = Raw(b"")
    item: Raw = Raw(b"")
    output_index: Any = None
    object: Any = None
    timings: Any = None
    """What llama.cpp says beside the response."""


_EVENT = msgspec.json.Decoder(_Event)
_EMPTY = _Event()


class ResponsesFold:
    """Takes the events of one stream; see `oq.dialects.events.EventFold`."""

    def __init__(self) -> None:
        self._response: Json = {}
        self._items: dict[int, Raw] = {}
        self._timings: Timings | None = None
        self.done = False
        """Whether the response is whole."""

    def add(self, data: bytes, frame: bytes) -> bool:
        """See `EventFold`."""
        event = _read(data)
        if event.type in _ENDS:
            self._timings = llama_timings(event.timings)
            self._end(read_object(event.response) or {}, frame)
        elif event.type == "response.output_item.done":
            self._item(event)
        elif event.object == "response":
            self._end(read_object(data) or {}, frame)
        elif not event.type or event.type == "error":
            said = read_object(data) or {}
            if event.type == "error" or states_error(said):
                raise stated(data, frame)
        return event is not _EMPTY

    def add_usual(self, frame: bytes) -> bool:
        """See `EventFold`: none is read in another way."""
        return False

    def completed(self) -> Completed:
        """The whole response. BackendFailure if the stream ended before it was whole."""
        if not self.done:
            raise BackendFailure("the stream ended before response.completed")
        response = self._response
        if not response.get("output") and self._items:
            response["output"] = [self._items[index] for index in sorted(self._items)]
        return Completed(write(response), response_usage(response), self._timings)

    def _item(self, event: _Event) -> None:
        index = event.output_index
        if isinstance(index, int) and bytes(event.item) and len(self._items) < MAX_ITEMS:
            self._items[index] = Raw(bytes(event.item))  # it would hold its whole event otherwise

    def _end(self, response: Json, frame: bytes) -> None:
        error = response.get("error")
        if response.get("status") in FAILED or isinstance(error, dict):
            inner = error if isinstance(error, dict) else {}
            body = write({"error": inner or "it does not say why"})
            raise stated_error(error_text(body), status_of(inner), frame, body)
        if response:
            self._response, self.done = response, True


def response_usage(response: Json) -> Usage | None:
    """The counts of a response."""
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return None
    return Usage(count(usage.get("input_tokens")), count(usage.get("output_tokens")))


def _read(data: bytes) -> _Event:
    try:
        return _EVENT.decode(data)
    except NOT_READ:
        said = read_object(data)
    if said is None:
        return _EMPTY
    kept = {key: said[key] for key in ("response", "item", "output_index", "object") if key in said}
    kind = said.get("type")
    return _EVENT.decode(write(kept | {"type": kind if isinstance(kind, str) else ""}))
