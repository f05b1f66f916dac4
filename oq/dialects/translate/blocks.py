"""Reads the messages of Anthropic's API, which are made of blocks.

    text, search_result, documents of text   text; parts are joined by line breaks
    image                                    an image: its data, or its URL
    thinking                                 what the model has thought
    tool_use, tool_result                    a call in the model's message, and a tool's answer
    redacted_thinking, server_tool_use, ...  left out: only Anthropic can read or run them

Other documents, and what Anthropic keeps, cannot be translated.
"""

from __future__ import annotations

from typing import Any

import msgspec

from oq.dialects.translate.chat_request import (
    ChatRequest,
    Json,
    fields,
    objects,
    text,
    untranslatable,
)
from oq.dialects.translate.dialogue import Dialogue, content_of, image_part, text_part

_PAST = ("server_tool_use", "redacted_thinking", "mcp_tool_use", "mcp_tool_result", "fallback")


def add_message(message: Json, where: str, dialogue: Dialogue, asked: ChatRequest) -> None:
    """Add a message to the dialogue. InvalidTask names what cannot be translated."""
    role = message.get("role")
    content = message.get("content")
    blocks = (
        [text_part(content)] if isinstance(content, str) else objects(content, f"{where}.content")
    )
    _Message(f"{where}.content", dialogue, asked).add(role, blocks, where)


class _Message:
    def __init__(self, where: str, dialogue: Dialogue, asked: ChatRequest) -> None:
        self._where = where
        self._dialogue = dialogue
        self._asked = asked
        self._parts: list[Json] = []

    def add(self, role: Any, blocks: list[Json], where: str) -> None:
        if role not in ("user", "assistant", "system"):
            raise untranslatable(f"{where}.role", f"{role!r:.80} is not known")
        for index, block in enumerate(blocks):
            self._block(role, block, f"{self._where}[{index}]")
        self._say(role)

    def _say(self, role: str) -> None:
        if self._parts:
            say = {"user": self._dialogue.user, "system": self._dialogue.system}
            say.get(role, self._dialogue.assistant)(content_of(self._parts))
            self._parts = []

    def _block(self, role: str, block: Json, where: str) -> None:
        kind = block.get("type")
        if kind == "thinking":
            self._dialogue.thought(text(block.get("thinking"), f"{where}.thinking"))
        elif kind == "tool_use":
            self._say(role)
            arguments = msgspec.json.encode(fields(block.get("input"), f"{where}.input")).decode()
            name = text(block.get("name"), f"{where}.name")
            self._dialogue.call(text(block.get("id"), f"{where}.id"), name, arguments)
        elif kind == "tool_result":
            self._result(block, where)
        elif kind in _PAST or (isinstance(kind, str) and kind.endswith("_tool_result")):
            self._asked.leave_out(f"{where} ({kind})")
        else:
            self._parts += _parts(block, where)

    def _result(self, block: Json, where: str) -> None:
        content = block.get("content")
        parts: list[Json] = []
        if isinstance(content, str):
            parts.append(text_part(content))
        else:
            for index, part in enumerate(objects(content, f"{where}.content")):
                parts += _parts(part, f"{where}.content[{index}]")
        if block.get("is_error"):
            self._asked.leave_out(f"{where}.is_error")
        call = text(block.get("tool_use_id"), f"{where}.tool_use_id")
        self._dialogue.answer(call, content_of(parts))


def _parts(block: Json, where: str) -> list[Json]:
    match block.get("type"):
        case "text":
            return [text_part(text(block.get("text"), f"{where}.text"))]
        case "image":
            return [image_part(_image(fields(block.get("source"), f"{where}.source"), where))]
        case "document":
            return _document(fields(block.get("source"), f"{where}.source"), where)
        case "search_result":
            content = objects(block.get("content"), f"{where}.content")
            return _all_parts(content, f"{where}.content")
        case kind:
            raise untranslatable(f"{where}.type", f"{kind!r:.80} is no block that other APIs have")


def _all_parts(blocks: list[Json], where: str) -> list[Json]:
    return [p for i, block in enumerate(blocks) for p in _parts(block, f"{where}[{i}]")]


def _image(source: Json, where: str) -> str:
    match source:
        case {"type": "base64", "data": str(data)}:
            kind = source.get("media_type")
            return f"data:{kind if isinstance(kind, str) else 'image/jpeg'};base64,{data}"
        case {"type": "url", "url": str(url)}:
            return url
        case _:
            raise untranslatable(f"{where}.source", "an image must come as base64 or by its URL")


def _document(source: Json, where: str) -> list[Json]:
    match source:
        case {"type": "text", "data": str(data)}:
            return [text_part(data)]
        case {"type": "content", "content": str(content)}:
            return [text_part(content)]
        case {"type": "content", "content": list(content)}:
            return _all_parts(
                objects(content, f"{where}.source.content"), f"{where}.source.content"
            )
        case _:
            raise untranslatable(f"{where}.source", "only documents of text have a counterpart")
