"""Puts the messages of a conversation together, in the form of chat completions.

What callers send as items of their own, such as thoughts and calls of tools, belongs to one message
here: servers expect the answer of a tool right behind the message that has its call.
"""

from __future__ import annotations

from typing import Any

from oq.dialects.translate.chat_request import Json

Content = str | list[Json]

_BEGIN, _END = "<system-reminder>\n", "\n</system-reminder>"
"""How Claude Code says instructions where it cannot send a system message."""


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


class _Turn:
    """One message so far. It is put together once, at the end, however much comes to it."""

    def __init__(self, role: str, between: str = "\n") -> None:
        self.role = role
        self.contents: list[Content] = []
        self.thoughts: list[str] = []
        self.calls: list[Json] = []
        self._between = between

    def message(self) -> Json:
        message: Json = {"role": self.role, "content": self._content()}
        if self.thoughts:
            message["reasoning_content"] = "\n".join(self.thoughts)
        if self.calls:
            message["tool_calls"] = self.calls
        return message

    def _content(self) -> Content:
        texts = [content for content in self.contents if isinstance(content, str)]
        if len(texts) == len(self.contents):
            return self._between.join(texts)
        return [part for content in self.contents for part in _parts(content)]


class Dialogue:
    """The messages so far, from the first one on."""

    def __init__(self) -> None:
        self._turns: list[_Turn | Json] = []

    @property
    def messages(self) -> list[Json]:
        """The messages, in the form of chat completions."""
        return [turn.message() if isinstance(turn, _Turn) else turn for turn in self._turns]

    def system(self, content: Content) -> None:
        """Instructions. Those at the beginning are one message. Later ones are said by the user, in
        a form that models know: many templates take no other system message, and to move it to the
        front would change what the server has read already.
        """
        if not content:
            return
        last = self._turns[-1] if self._turns else None
        if last is None:
            self._turns.append(_Turn("system", "\n\n"))
        elif not (isinstance(last, _Turn) and last.role == "system"):
            self.user(_reminder(content))
            return
        self._add(content)

    def user(self, content: Content) -> None:
        """What the user says. What is said in a row is one message: many templates want turns."""
        last = self._turns[-1] if self._turns else None
        if not (isinstance(last, _Turn) and last.role == "user"):
            self._turns.append(_Turn("user", "\n\n"))
        self._add(content)

    def assistant(self, content: Content) -> None:
        """What the model has said. Behind a call it belongs to the message of that call."""
        turn = self._of_model()
        if turn.contents and not turn.calls:
            turn = self._new_of_model()
        if content:
            turn.contents.append(content)

    def thought(self, text: str) -> None:
        """What the model has thought."""
        if text:
            self._of_model().thoughts.append(text)

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """A tool that the model has called, with arguments in JSON."""
        function = {"name": name, "arguments": arguments}
        self._of_model().calls.append({"id": call_id, "type": "function", "function": function})

    def answer(self, call_id: str, content: Content) -> None:
        """What the tool has answered."""
        self._turns.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _add(self, content: Content) -> None:
        turn = self._turns[-1]
        assert isinstance(turn, _Turn)
        turn.contents.append(content)

    def _of_model(self) -> _Turn:
        last = self._turns[-1] if self._turns else None
        if isinstance(last, _Turn) and last.role == "assistant":
            return last
        return self._new_of_model()

    def _new_of_model(self) -> _Turn:
        turn = _Turn("assistant")
        self._turns.append(turn)
        return turn


def _reminder(content: Content) -> Content:
    if isinstance(content, str):
        return f"{_BEGIN}{content}{_END}"
    return [text_part(_BEGIN.rstrip()), *content, text_part(_END.lstrip())]


def _parts(content: Content) -> list[Json]:
    return [text_part(content)] if isinstance(content, str) else content
