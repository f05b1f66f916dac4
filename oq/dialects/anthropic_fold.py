"""A stream in Anthropic's form, folded into the message that the same call gives without streaming.

https://docs.anthropic.com/en/api/messages-streaming: `message_start` has the message without its
content. Each block of content begins with `content_block_start`, grows with `content_block_delta`,
and has an index. `message_delta` says why the message ended, and counts its tokens.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from oq.dialects.answer_errors import states_error
from oq.dialects.growing_text import GrowingText
from oq.dialects.reading import Json, count, read_object, write
from oq.dialects.stated_errors import stated
from oq.words.errors import BackendFailure
from oq.words.from_json import NOT_READ
from oq.words.outcome import Completed
from oq.words.task import Usage

MAX_BLOCKS = 4096
"""Blocks of content that are kept of one message."""

_OBJECT = msgspec.json.Decoder(Json)
_NOTHING = ("", "null")
_GROWS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
    "signature_delta": "signature",
}
"""Which field a delta of this type has; the block has one of the same name, or `input`."""


class AnthropicFold:
    """Takes the events of one stream; see `oq.dialects.events.EventFold`."""

    def __init__(self) -> None:
        self._message: Json = {}
        self._blocks: dict[int, Json] = {}
        self.done = False
        """Whether the message is whole."""

    def add(self, data: bytes, frame: bytes) -> bool:
        """See `EventFold`."""
        said = read_object(data)
        if said is None:
            return False
        match said.get("type"):
            case "message_start":
                self._message = _object(said.get("message"))
            case "content_block_start":
                self._begin(said.get("index"), _object(said.get("content_block")))
            case "content_block_delta":
                self._grow(said.get("index"), _object(said.get("delta")))
            case "message_delta":
                self._end(said)
            case "message_stop":
                self.done = True
            case "message":
                self._message, self.done = said, True
            case "error":
                raise stated(data, frame)
            case _:
                if states_error(said):
                    raise stated(data, frame)
        return True

    def add_usual(self, frame: bytes) -> bool:
        """See `EventFold`: none is read in another way."""
        return False

    def completed(self) -> Completed:
        """The whole message. BackendFailure if the stream ended before it was whole."""
        message = self._message
        if not message or not (self.done or message.get("stop_reason")):
            raise BackendFailure("the stream ended before message_stop")
        if not (self._blocks or message.get("content") or message.get("stop_reason")):
            raise BackendFailure("the backend's answer has no content, and does not say why")
        if self._blocks:
            message["content"] = [_whole(block) for block in self._blocks.values()]
        return Completed(write(message), message_usage(message))

    def _begin(self, index: Any, block: Json) -> None:
        if not isinstance(index, int) or not block or len(self._blocks) >= MAX_BLOCKS:
            return
        for key in ("text", "thinking"):
            if isinstance(block.get(key), str):
                _add(block, key, block.pop(key))
        self._blocks[index] = block

    def _grow(self, index: Any, delta: Json) -> None:
        block = self._blocks.get(index) if isinstance(index, int) else None
        key = _GROWS.get(str(delta.get("type")))
        if block is None or key is None or not isinstance(bit := delta.get(key), str):
            return
        _add(block, key, bit)

    def _end(self, said: Json) -> None:
        self._message |= _object(said.get("delta"))
        usage = {
            key: value for key, value in _object(said.get("usage")).items() if value is not None
        }
        self._message["usage"] = _object(self._message.get("usage")) | usage


def message_usage(message: Json) -> Usage | None:
    """The counts of a message. Tokens that a cache had count as tokens of the prompt."""
    usage = _object(message.get("usage"))
    if "input_tokens" not in usage and "output_tokens" not in usage:
        return None
    keys = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return Usage(sum(count(usage.get(key)) for key in keys), count(usage.get("output_tokens")))


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _add(block: Json, key: str, bit: str) -> None:
    before = block.get(key)
    if not isinstance(before, GrowingText):
        before = block[key] = GrowingText()
    before.add(bit)


def _whole(block: Json) -> Json:
    """The block with its texts put together. The input of a tool comes as bits of JSON; if they are
    none, it is kept as the text that they are. Where they say nothing, the call has no arguments,
    and the input is the one that the block began with.
    """
    whole = {k: v.raw() if isinstance(v, GrowingText) else v for k, v in block.items()}
    bits = whole.pop("partial_json", None)
    if bits is not None:
        text = msgspec.json.decode(bits, type=str)
        whole["input"] = _input(text) if text.strip() not in _NOTHING else whole.get("input") or {}
    return whole


def _input(text: str) -> Raw | str:
    try:
        _OBJECT.decode(text)
    except NOT_READ:
        return text
    return Raw(text.encode())
