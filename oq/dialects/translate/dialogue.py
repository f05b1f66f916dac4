"""Puts the messages of a conversation together, in the form of chat completions.

What callers send as items of their own, such as thoughts and calls of tools, belongs to one message
here: servers expect the answer of a tool right behind the message that has its call.
"""

from __future__ import annotations

from typing import Any

from oq.dialects.translate.asked import Json

Content = str | list[Json]


def text_part(text: str) -> Json:
    """A part of a message that is text."""
    return {"type": "text", "text": text}


def image_part(url: str, **more: Any) -> Json:
    """A part of a message that is an image: at a URL, or in one."""
    return {"type": "image_url", "image_url": {"url": url, **more}}


def content_of(parts: list[Json]) -> Content:
    """Parts as the content of a message: one text where one suffices, since not every server takes
    parts.
    """
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


class Dialogue:
    """The messages so far, from the first one on."""

    def __init__(self) -> None:
        self.messages: list[Json] = []

    def system(self, content: Content) -> None:
        """Instructions. Those at the beginning are one message: templates of many models take one
        at the most, and only there.
        """
        last = self.messages[-1] if self.messages else None
        if len(self.messages) == 1 and last is not None and last["role"] == "system":
            last["content"] = _joined(last["content"], content, "\n\n")
        elif content:
            self.messages.append({"role": "system", "content": content})

    def user(self, content: Content) -> None:
        """What the user says."""
        self.messages.append({"role": "user", "content": content})

    def assistant(self, content: Content) -> None:
        """What the model has said."""
        message = self._of_model()
        if message.get("content") and not message.get("tool_calls"):
            self.messages.append({"role": "assistant", "content": content})
        else:
            message["content"] = _joined(message.get("content") or "", content, "\n")

    def thought(self, text: str) -> None:
        """What the model has thought."""
        if text:
            message = self._of_model()
            before = message.get("reasoning_content")
            message["reasoning_content"] = f"{before}\n{text}" if before else text

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """A tool that the model has called, with arguments in JSON."""
        function = {"name": name, "arguments": arguments}
        calls = self._of_model().setdefault("tool_calls", [])
        calls.append({"id": call_id, "type": "function", "function": function})

    def answer(self, call_id: str, content: Content) -> None:
        """What the tool has answered."""
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _of_model(self) -> Json:
        if not self.messages or self.messages[-1]["role"] != "assistant":
            self.messages.append({"role": "assistant", "content": ""})
        return self.messages[-1]


def _joined(before: Content, content: Content, between: str) -> Content:
    if not before or not content:
        return before or content
    if isinstance(before, str) and isinstance(content, str):
        return before + between + content
    return [*_parts(before), *_parts(content)]


def _parts(content: Content) -> list[Json]:
    return [text_part(content)] if isinstance(content, str) else content
