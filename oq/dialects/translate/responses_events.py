"""Writes an answer of OpenAI's Responses API, as events and as one object.

https://platform.openai.com/docs/api-reference/responses-streaming. A block is an item of the
output: it is added, grows, and is done, and each event says its number. Thoughts are told as the
summary of a reasoning item, as Ollama does. The response says again what it was asked, and the last
event has all of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from oq.dialects.growing_text import GrowingText
from oq.dialects.response_object import said_again
from oq.dialects.responses import event
from oq.dialects.translate.bits import Bit, Counts, Finish, Kind
from oq.dialects.translate.chat_request import Json
from oq.dialects.translate.from_responses import wants_thoughts_back
from oq.dialects.translate.offered import Offered, Tool, custom_input

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesWriter:
    """See `oq.dialects.translate.bits.Writer`. `answer_id` makes the ids of all that it writes."""

    def __init__(self, body: Json, offered: Offered, answer_id: str, now: datetime) -> None:
        self._asked = Raw(msgspec.json.encode(said_again(body)))
        self._model = body.get("model")
        self._offered = offered
        self._thoughts_back = wants_thoughts_back(body)
        self._id = answer_id
        self._created = int(now.timestamp())
        self._number = 0
        self._items: list[Raw] = []
        self._item: _Item | None = None
        self._last: bytes = b""

    def begin(self) -> list[bytes]:
        """See `Writer`."""
        response = self._response("in_progress", None, None)
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
        ]

    def open_block(self, first: Bit) -> list[bytes]:
        """See `Writer`."""
        index = len(self._items)
        kinds: dict[Kind, type[_Item]] = {Kind.THOUGHT: _Thought, Kind.CALL: _Call}
        tool = self._offered.known(first.name)
        kind = kinds.get(first.kind, _Message)
        if first.kind is Kind.CALL and tool.custom:
            kind = _CustomCall
        self._item = kind(f"{self._id}_{index}", first, tool, self._thoughts_back)
        added = self._event(
            "response.output_item.added", output_index=index, item=self._item.begun()
        )
        return [added, *self._about(self._item.opened())]

    def add(self, text: str) -> list[bytes]:
        """See `Writer`."""
        assert self._item is not None
        return self._about(self._item.grown(text))

    def close_block(self, *, cut: bool) -> list[bytes]:
        """See `Writer`."""
        item = self._item
        assert item is not None
        item.end = "incomplete" if cut else "completed"
        frames = self._about(item.closed())
        whole = Raw(msgspec.json.encode(item.whole()))
        index = len(self._items)
        self._items.append(whole)
        self._item = None
        return [*frames, self._event("response.output_item.done", output_index=index, item=whole)]

    def finish(self, finish: Finish, counts: Counts | None) -> list[bytes]:
        """See `Writer`."""
        why = _INCOMPLETE.get(finish.reason)
        status = "completed" if why is None else "incomplete"
        response = Raw(msgspec.json.encode(self._response(status, why, counts)))
        self._last = bytes(response)
        return [self._event(f"response.{status}", response=response)]

    def fail(self, text: str) -> bytes:
        """See `Writer`. Some clients look for the error in the response, others beside it."""
        error = {"code": "server_error", "message": text}
        response = {**self._response("failed", None, None), "error": error}
        return self._event("response.failed", response=response, error=error)

    def whole(self) -> bytes:
        """See `Writer`."""
        return self._last

    def _about(self, events: list[tuple[str, Json]]) -> list[bytes]:
        assert self._item is not None
        where = {"item_id": self._item.item_id, "output_index": len(self._items)}
        return [self._event(f"response.{name}", **where, **said) for name, said in events]

    def _event(self, name: str, /, **said: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return event(name, {"type": name, "sequence_number": number, **said})

    def _response(self, status: str, why: str | None, counts: Counts | None) -> Json:
        again = msgspec.json.decode(self._asked, type=dict[str, Raw])
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None if why is None else {"reason": why},
            "model": self._model,
            "output": self._items,
            **again,
            "usage": None if counts is None else _usage(counts),
        }


_Events = list[tuple[str, Json]]


class _Item:
    """The open item. Each method gives the events of its step, without ids and numbers."""

    prefix = "msg"

    def __init__(self, name: str, first: Bit, tool: Tool, thoughts_back: bool) -> None:
        self.item_id = f"{self.prefix}_{name}"
        self.first = first
        self.tool = tool
        self.call_id = first.call_id or f"call_{name}"
        self.thoughts_back = thoughts_back
        self.said = GrowingText()
        self.end = "completed"
        """Its status once it is whole."""
        self._text: Raw | None = None

    def text(self) -> Raw:
        """All that was said, once nothing more is."""
        if self._text is None:
            self._text = self.said.raw()
        return self._text

    def begun(self) -> Json:
        raise NotImplementedError

    def opened(self) -> _Events:
        return []

    def grown(self, text: str) -> _Events:
        raise NotImplementedError

    def closed(self) -> _Events:
        raise NotImplementedError

    def whole(self) -> Json:
        raise NotImplementedError


class _Message(_Item):
    def begun(self) -> Json:
        return self._item("in_progress", [])

    def opened(self) -> _Events:
        return [("content_part.added", {"content_index": 0, "part": self._part("")})]

    def grown(self, text: str) -> _Events:
        self.said.add(text)
        return [(f"{self._name}.delta", {"content_index": 0, "delta": text, **self._more()})]

    def closed(self) -> _Events:
        text = self.text()
        key = "refusal" if self._refuses else "text"
        return [
            (f"{self._name}.done", {"content_index": 0, key: text, **self._more()}),
            ("content_part.done", {"content_index": 0, "part": self._part(text)}),
        ]

    def whole(self) -> Json:
        return self._item(self.end, [self._part(self.text())])

    @property
    def _refuses(self) -> bool:
        return self.first.kind is Kind.REFUSAL

    @property
    def _name(self) -> str:
        return "refusal" if self._refuses else "output_text"

    def _more(self) -> Json:
        return {} if self._refuses else {"logprobs": []}

    def _part(self, text: str | Raw) -> Json:
        if self._refuses:
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _item(self, status: str, content: list[Json]) -> Json:
        about = {"id": self.item_id, "type": "message", "status": status, "role": "assistant"}
        return {**about, "content": content}


class _Thought(_Item):
    prefix = "rs"

    def begun(self) -> Json:
        return {"id": self.item_id, "type": "reasoning", "summary": []}

    def opened(self) -> _Events:
        return [("reasoning_summary_part.added", {"summary_index": 0, "part": _summary("")})]

    def grown(self, text: str) -> _Events:
        self.said.add(text)
        return [("reasoning_summary_text.delta", {"summary_index": 0, "delta": text})]

    def closed(self) -> _Events:
        text = self.text()
        return [
            ("reasoning_summary_text.done", {"summary_index": 0, "text": text}),
            ("reasoning_summary_part.done", {"summary_index": 0, "part": _summary(text)}),
        ]

    def whole(self) -> Json:
        # Not encrypted: oq has nothing to hide it with, and reads the summary when it comes back.
        back = {"encrypted_content": self.text()} if self.thoughts_back else {}
        return {**self.begun(), "summary": [_summary(self.text())], **back}


class _Call(_Item):
    prefix = "fc"

    def begun(self) -> Json:
        return self._item("in_progress", "")

    def grown(self, text: str) -> _Events:
        self.said.add(text)
        return [("function_call_arguments.delta", {"delta": text})]

    def closed(self) -> _Events:
        about = {"name": self.tool.name, "arguments": self.text()}
        return [("function_call_arguments.done", about)]

    def whole(self) -> Json:
        return self._item(self.end, self.text())

    def _item(self, status: str, arguments: str | Raw) -> Json:
        about = {"id": self.item_id, "type": "function_call", "status": status}
        named = {"call_id": self.call_id, "name": self.tool.name, "arguments": arguments}
        space = {} if self.tool.namespace is None else {"namespace": self.tool.namespace}
        return {**about, **named, **space}


class _CustomCall(_Item):
    """Its input is within the JSON that the model says, so it is told when that is whole."""

    prefix = "ctc"

    def begun(self) -> Json:
        return self._item("in_progress", "")

    def grown(self, text: str) -> _Events:
        self.said.add(text)
        return []

    def closed(self) -> _Events:
        said = self._input()
        return [
            ("custom_tool_call_input.delta", {"delta": said}),
            ("custom_tool_call_input.done", {"input": said}),
        ]

    def whole(self) -> Json:
        return self._item(self.end, self._input())

    def _input(self) -> str:
        return custom_input(msgspec.json.decode(self.text(), type=str))

    def _item(self, status: str, said: str) -> Json:
        about = {"id": self.item_id, "type": "custom_tool_call", "status": status}
        space = {} if self.tool.namespace is None else {"namespace": self.tool.namespace}
        return {**about, "call_id": self.call_id, "name": self.tool.name, "input": said, **space}


def _summary(text: str | Raw) -> Json:
    return {"type": "summary_text", "text": text}


def _usage(counts: Counts) -> Json:
    return {
        "input_tokens": counts.prompt,
        "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": 0},
        "output_tokens": counts.completion,
        "output_tokens_details": {"reasoning_tokens": counts.thoughts},
        "total_tokens": counts.prompt + counts.completion,
    }
