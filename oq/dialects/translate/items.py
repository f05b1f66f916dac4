"""Reads the items of an input of OpenAI's Responses API into messages.

    message                       a message; `developer` is `system`
    reasoning                     what the model has thought, in the message that follows
    function_call, custom_...     a call in the model's message
    function_call_output, ...     the answer of a tool
    additional_tools              more tools
    web_search_call and others    left out: OpenAI has run them, and what follows has used them

Texts in several parts are joined by line breaks. Files, and references to what OpenAI keeps, cannot
be translated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from oq.dialects.translate.chat_request import ChatRequest, Json, objects, text, untranslatable
from oq.dialects.translate.dialogue import Content, Dialogue, content_of, image_part, text_part
from oq.dialects.translate.offered import Offered

_PAST = frozenset(
    {"code_interpreter_call", "file_search_call", "image_generation_call", "mcp_call"}
    | {"mcp_list_tools", "tool_search_call", "tool_search_output", "web_search_call"}
)
_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


class _Items:
    def __init__(self, dialogue: Dialogue, asked: ChatRequest, offered: Offered) -> None:
        self._dialogue = dialogue
        self._asked = asked
        self._offered = offered
        self._kinds: dict[str, Callable[[Json, str], None]] = {
            "message": self._message,
            "reasoning": self._reasoning,
            "function_call": self._function_call,
            "custom_tool_call": self._custom_call,
            "function_call_output": self._output,
            "custom_tool_call_output": self._output,
            "additional_tools": self._tools,
        }

    def add(self, item: Json, where: str) -> None:
        kind = item.get("type") or ("message" if "role" in item else None)
        known = kind if isinstance(kind, str) else ""
        if known in _PAST:
            self._asked.leave_out(f"{where} ({known})")
        elif known in self._kinds:
            self._kinds[known](item, where)
        else:
            raise untranslatable(f"{where}.type", f"{kind!r:.80} is no item that other APIs have")

    def _message(self, item: Json, where: str) -> None:
        content = _content(item.get("content"), f"{where}.content")
        match item.get("role"):
            case "user":
                self._dialogue.user(content)
            case "system" | "developer":
                self._dialogue.system(content)
            case "assistant":
                self._dialogue.assistant(content)
            case role:
                raise untranslatable(f"{where}.role", f"{role!r:.80} is not known")

    def _reasoning(self, item: Json, where: str) -> None:
        # Encrypted, it can be read by OpenAI only; with oq it has the same text as the summary.
        for key in ("content", "summary"):
            parts = objects(item.get(key), f"{where}.{key}")
            said = "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
            if said:
                self._dialogue.thought(said)
                return

    def _function_call(self, item: Json, where: str) -> None:
        arguments = item.get("arguments")
        self._call(
            item, where, "{}" if arguments is None else text(arguments, f"{where}.arguments")
        )

    def _custom_call(self, item: Json, where: str) -> None:
        said = text(item.get("input"), f"{where}.input")
        self._call(item, where, msgspec.json.encode({"input": said}).decode())

    def _call(self, item: Json, where: str, arguments: str) -> None:
        name = text(item.get("name"), f"{where}.name")
        namespace = item.get("namespace")
        known = self._offered.called(name, namespace if isinstance(namespace, str) else None)
        self._dialogue.call(text(item.get("call_id"), f"{where}.call_id"), known, arguments)

    def _output(self, item: Json, where: str) -> None:
        content = _content(item.get("output"), f"{where}.output")
        self._dialogue.answer(text(item.get("call_id"), f"{where}.call_id"), content)

    def _tools(self, item: Json, where: str) -> None:
        self._offered.add(item.get("tools"), self._asked, f"{where}.tools")


def add_items(items: Any, dialogue: Dialogue, asked: ChatRequest, offered: Offered) -> None:
    """Add the items of an input to the dialogue. InvalidTask names what cannot be translated."""
    reader = _Items(dialogue, asked, offered)
    for index, item in enumerate(objects(items, "input")):
        reader.add(item, f"input[{index}]")


def _content(content: Any, where: str) -> Content:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = objects(content, where)
    return content_of([_part(part, f"{where}[{index}]") for index, part in enumerate(parts)])


def _part(part: Json, where: str) -> Json:
    kind = part.get("type")
    if isinstance(kind, str) and kind in _TEXTS:
        key = _TEXTS[kind]
        return text_part(text(part.get(key), f"{where}.{key}"))
    if kind == "input_image":
        if not isinstance(url := part.get("image_url"), str):
            raise untranslatable(f"{where}.file_id", "files are kept at OpenAI; send image_url")
        detail = part.get("detail")
        return image_part(url, **({"detail": detail} if detail in ("low", "high") else {}))
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    raise untranslatable(f"{where}.type", f"{kind!r:.80} is no part that other APIs have")
