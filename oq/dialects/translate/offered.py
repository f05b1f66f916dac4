"""The tools of a request of the Responses API, and how their calls find back to them.

Chat completions know functions only. A `namespace` is a group of functions: each of them is offered
under one name, made of both, and its call is given back as the caller knows it, with `name` and
`namespace` apart. Clients find a tool by both. A `custom` tool takes any text: it is offered as a
function with that text as its only argument. Tools that OpenAI runs itself are left out: the model
need not use them.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec

from oq.dialects.translate.chat_request import (
    ChatRequest,
    Json,
    fields,
    objects,
    text,
    untranslatable,
)
from oq.words.from_json import NOT_READ

MAX_NAME = 64
"""Characters that OpenAI, and some servers like it, take in the name of a function."""

_INPUT: Json = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


class Tool(NamedTuple):
    """A tool as its caller knows it."""

    name: str
    namespace: str | None = None
    custom: bool = False


class Offered:
    """The tools of one request, by the names under which the model knows them."""

    def __init__(self) -> None:
        self.tools: list[Json] = []
        self._by_name: dict[str, Tool] = {}
        self._bare: dict[str, str | None] = {}
        """The whole name by its last part; None if there are several."""

    def add(self, tools: Any, asked: ChatRequest, field: str = "tools") -> None:
        """Offer these. What cannot be offered is left out, by its place and its type."""
        for index, tool in enumerate(objects(tools, field)):
            where = f"{field}[{index}]"
            if tool.get("type") == "namespace":
                name = text(tool.get("name"), f"{where}.name")
                for at, member in enumerate(objects(tool.get("tools"), f"{where}.tools")):
                    self._offer(member, asked, f"{where}.tools[{at}]", name)
            else:
                self._offer(tool, asked, where, None)

    def known(self, name: str) -> Tool:
        """Whose call it is that the model makes by this name. Models drop a namespace now and then:
        where only one tool has the name, that one is meant.
        """
        whole = name if name in self._by_name else self._bare.get(name)
        return Tool(name) if whole is None else self._by_name[whole]

    def called(self, name: str, namespace: str | None) -> str:
        """The name under which the model knows a tool of the caller's."""
        return _whole_name(name, namespace)

    def choose(self, choice: Any, asked: ChatRequest) -> None:
        """Say which of them the model has to use. InvalidTask if it would be one of OpenAI's."""
        if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
            allowed = objects(choice.get("tools"), "tool_choice.tools")
            names = {self._chosen(one, f"tool_choice.tools[{i}]") for i, one in enumerate(allowed)}
            self.tools = [tool for tool in self.tools if tool["function"]["name"] in names]
            choice = choice.get("mode") or "auto"
        if choice in (None, "auto", "none"):
            asked.tool_choice = choice if self.tools else None
        elif choice == "required":
            if not self.tools:
                raise untranslatable("tool_choice", "'required', but no tool is a function")
            asked.tool_choice = choice
        else:
            name = self._chosen(fields(choice, "tool_choice"), "tool_choice")
            asked.tool_choice = {"type": "function", "function": {"name": name}}

    def _chosen(self, choice: Json, field: str) -> str:
        kind = choice.get("type")
        if kind not in ("function", "custom"):
            raise untranslatable(field, f"{kind!r:.80} is a tool that OpenAI's servers run")
        name = text(choice.get("name"), f"{field}.name")
        namespace = choice.get("namespace")
        whole = _whole_name(name, namespace if isinstance(namespace, str) else None)
        if whole not in self._by_name:
            whole = self._bare.get(name) or ""
        if not whole:
            raise untranslatable(f"{field}.name", f"{name[:80]!r} is none of the tools")
        return whole

    def _offer(self, tool: Json, asked: ChatRequest, where: str, namespace: str | None) -> None:
        kind = tool.get("type")
        if kind not in ("function", "custom"):
            asked.leave_out(f"{where} ({kind})")
            return
        name = text(tool.get("name"), f"{where}.name")
        whole = _whole_name(name, namespace)
        function: Json = {"name": whole}
        if isinstance(about := tool.get("description"), str):
            function["description"] = about
        if kind == "custom":
            function["parameters"] = _INPUT
            if tool.get("format") not in (None, {"type": "text"}):
                asked.leave_out(f"{where}.format")
        else:
            if tool.get("parameters") is not None:
                function["parameters"] = tool["parameters"]
            if isinstance(strict := tool.get("strict"), bool):
                function["strict"] = strict
        if whole in self._by_name:
            return
        self._by_name[whole] = Tool(name, namespace, kind == "custom")
        self._bare[name] = None if name in self._bare else whole
        self.tools.append({"type": "function", "function": function})


def custom_input(arguments: str) -> str:
    """What a model says to a custom tool, of the arguments in JSON that it gives."""
    try:
        said = msgspec.json.decode(arguments)
    except NOT_READ:
        return arguments
    inner = said.get("input") if isinstance(said, dict) else None
    return inner if isinstance(inner, str) else arguments


def _whole_name(name: str, namespace: str | None) -> str:
    whole = name if namespace is None else f"{namespace}__{name}"
    if namespace is None or len(whole) <= MAX_NAME:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[-(MAX_NAME - 9) :]}_{digest}"
