"""Writes an answer of Anthropic's Messages API, as events and as one object.

https://docs.anthropic.com/en/api/messages-streaming. A block of content is begun, grows, and is
stopped, before the next one begins. Why the message ends and what it has cost comes behind the last
block; what the prompt has cost is not known at the beginning, where Anthropic says it too.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from oq.dialects.growing_text import GrowingText
from oq.dialects.reading import said_arguments
from oq.dialects.responses import event
from oq.dialects.translate.bits import Bit, Counts, Finish, Kind
from oq.dialects.translate.chat_request import Json
from oq.words.from_json import NOT_READ

_REASONS = {"length": "max_tokens", "content_filter": "refusal"}
_DELTAS = {
    "thinking": ("thinking_delta", "thinking"),
    "text": ("text_delta", "text"),
    "tool_use": ("input_json_delta", "partial_json"),
}
_OBJECT = msgspec.json.Decoder(Json)


class MessagesWriter:
    """See `oq.dialects.translate.bits.Writer`. `answer_id` makes the ids of all that it writes.

    `keeps`: the answer is wanted as one object, too. Without that no block is held in memory.
    """

    def __init__(self, body: Json, answer_id: str, *, keeps: bool) -> None:
        self._model = body.get("model")
        self._id = answer_id
        self._keeps = keeps
        self._index = -1
        self._block: Json = {}
        self._said = GrowingText()
        self._content: list[Json] = []
        self._called = self._refused = False
        self._end: Json = {}

    def begin(self) -> list[bytes]:
        """See `Writer`."""
        return [_event("message_start", message=self._message(_usage(Counts()), {}))]

    def open_block(self, first: Bit) -> list[bytes]:
        """See `Writer`."""
        self._index += 1
        self._said = GrowingText()
        match first.kind:
            case Kind.CALL:
                self._called = True
                call_id = first.call_id or f"toolu_{self._id}_{self._index}"
                about = {"id": call_id, "name": first.name, "input": {}}
                self._block = {"type": "tool_use", **about}
            case Kind.THOUGHT:
                self._block = {"type": "thinking", "thinking": "", "signature": ""}
            case _:
                self._refused = self._refused or first.kind is Kind.REFUSAL
                self._block = {"type": "text", "text": ""}
        return [_event("content_block_start", index=self._index, content_block=self._block)]

    def add(self, text: str) -> list[bytes]:
        """See `Writer`."""
        if self._keeps:
            self._said.add(text)
        kind, key = _DELTAS[self._block["type"]]
        return [_event("content_block_delta", index=self._index, delta={"type": kind, key: text})]

    def close_block(self, *, cut: bool) -> list[bytes]:
        """See `Writer`."""
        if self._keeps:
            self._content.append(self._block | self._grown())
        return [_event("content_block_stop", index=self._index)]

    def finish(self, finish: Finish, counts: Counts | None) -> list[bytes]:
        """See `Writer`."""
        reason = _REASONS.get(finish.reason, "end_turn")
        if finish.stopped_by is not None:
            reason = "stop_sequence"
        if self._called and reason == "end_turn":
            reason = "tool_use"
        if self._refused:
            reason = "refusal"
        end = {"stop_reason": reason, "stop_sequence": finish.stopped_by}
        usage = _usage(counts or Counts())
        self._end = self._message(usage, end)
        return [_event("message_delta", delta=end, usage=usage), _event("message_stop")]

    def fail(self, text: str) -> bytes:
        """See `Writer`."""
        return _event("error", error={"type": "api_error", "message": text})

    def whole(self) -> bytes:
        """See `Writer`."""
        return msgspec.json.encode({**self._end, "content": self._content})

    def _message(self, usage: Json, end: Json) -> Json:
        about = {"id": f"msg_{self._id}", "type": "message", "role": "assistant"}
        unsaid = {"stop_reason": None, "stop_sequence": None}
        return {**about, "model": self._model, "content": [], **unsaid, **end, "usage": usage}

    def _grown(self) -> Json:
        said = self._said.raw()
        if self._block["type"] != "tool_use":
            return {self._block["type"]: said}
        text = said_arguments(msgspec.json.decode(said, type=str))
        try:
            _OBJECT.decode(text)
        except NOT_READ:
            return {"input": {"arguments": text}}
        return {"input": Raw(text.encode())}


def _event(name: str, /, **said: object) -> bytes:
    return event(name, {"type": name, **said})


def _usage(counts: Counts) -> Json:
    """Here the tokens of the prompt that a cache had are counted apart."""
    return {
        "input_tokens": max(0, counts.prompt - counts.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counts.cached,
        "output_tokens": counts.completion,
    }
