"""Reads a request of Anthropic's Messages API: https://docs.anthropic.com/en/api/messages

    system                            the system message
    messages                          messages; see `oq.dialects.translate.blocks`
    tools, tool_choice                functions; tools that Anthropic defines are left out
    thinking, output_config.effort    the effort
    output_config.format              response_format
    stop_sequences                    stop

What only helps to run or count a message at Anthropic is left out. Fields that Anthropic does not
know go along as they are.
"""

from __future__ import annotations

import re
from typing import Any

from oq.dialects.translate.blocks import add_message
from oq.dialects.translate.chat_request import (
    THINK,
    ChatRequest,
    Json,
    fields,
    objects,
    optional_count,
    optional_flag,
    text,
    untranslatable,
)
from oq.dialects.translate.dialogue import Dialogue
from oq.words.errors import InvalidTask

_SAMPLING = ("temperature", "top_p", "top_k")
_READ = frozenset(
    {"max_tokens", "messages", "model", "output_config", "output_format", "stop_sequences"}
    | {"stream", "system", "thinking", "tool_choice", "tools", *_SAMPLING}
)
_HINTS = frozenset(
    {"betas", "cache_control", "container", "context_management", "diagnostics", "inference_geo"}
    | {"mcp_servers", "metadata", "service_tier", "speed"}
)
_BILLING = "x-anthropic-billing-header:"
_STAMP = re.compile(r"\bcch=[0-9a-f]{5};")
_SAME_STAMP = "cch=fffff;"
"""Claude Code begins its system prompt with a line that has another stamp in each request. No
server could go on from what it has read before; llama.cpp replaces it as well:
https://github.com/ggml-org/llama.cpp/pull/21793"""


def read_messages(body: Json) -> ChatRequest:
    """The request. InvalidTask names the field that is wrong or untranslatable."""
    asked = ChatRequest(text(body.get("model"), "model"), [], bool(optional_flag(body, "stream")))
    if body.get("messages") is None:
        raise InvalidTask("messages", "it is required: a list of messages")
    dialogue = Dialogue()
    for part in _system(body.get("system")):
        dialogue.system(part)
    for index, message in enumerate(objects(body["messages"], "messages")):
        add_message(message, f"messages[{index}]", dialogue, asked)
    asked.messages = dialogue.messages
    asked.max_tokens = optional_count(body, "max_tokens")
    asked.sampling = {key: body[key] for key in _SAMPLING if body.get(key) is not None}
    if body.get("stop_sequences") is not None:
        asked.stop = _stop(body["stop_sequences"])
    _tools(body, asked)
    _output(body, asked)
    _thinking(fields(body.get("thinking"), "thinking"), asked)
    for name, value in body.items():
        if value is not None and name in _HINTS:
            asked.leave_out(name)
        elif value is not None and name not in _READ:
            asked.more[name] = value
    return asked


def _system(system: Any) -> list[str]:
    if system is None:
        return []
    if isinstance(system, str):
        return [_steady(system)]
    said = []
    for index, block in enumerate(objects(system, "system")):
        if block.get("type") != "text":
            raise untranslatable(f"system[{index}].type", f"{block.get('type')!r:.80} is no text")
        said.append(_steady(text(block.get("text"), f"system[{index}].text")))
    return said


def _steady(system: str) -> str:
    return _STAMP.sub(_SAME_STAMP, system, count=1) if system.startswith(_BILLING) else system


def _stop(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidTask("stop_sequences", "it must be a list of texts")
    return value


def _tools(body: Json, asked: ChatRequest) -> None:
    for index, tool in enumerate(objects(body.get("tools"), "tools")):
        where = f"tools[{index}]"
        if tool.get("type") not in (None, "custom"):
            asked.leave_out(f"{where} ({tool['type']})")
            continue
        function: Json = {"name": text(tool.get("name"), f"{where}.name")}
        if isinstance(about := tool.get("description"), str):
            function["description"] = about
        function["parameters"] = tool.get("input_schema") or {"type": "object", "properties": {}}
        if isinstance(strict := tool.get("strict"), bool):
            function["strict"] = strict
        asked.tools.append({"type": "function", "function": function})
    _choose(fields(body.get("tool_choice"), "tool_choice"), asked)


def _choose(choice: Json, asked: ChatRequest) -> None:
    names = {tool["function"]["name"] for tool in asked.tools}
    match choice.get("type"):
        case None:
            return
        case "auto" | "none" as plain:
            asked.tool_choice = plain if names else None
        case "any":
            if not names:
                raise untranslatable("tool_choice", "'any', but no tool is the caller's own")
            asked.tool_choice = "required"
        case "tool":
            name = text(choice.get("name"), "tool_choice.name")
            if name not in names:
                raise untranslatable("tool_choice.name", f"{name[:80]!r} is none of the own tools")
            asked.tool_choice = {"type": "function", "function": {"name": name}}
        case kind:
            raise untranslatable("tool_choice.type", f"{kind!r:.80} is not known")
    if optional_flag(choice, "disable_parallel_tool_use"):
        asked.parallel_tool_calls = False


def _output(body: Json, asked: ChatRequest) -> None:
    config = fields(body.get("output_config"), "output_config")
    if config.get("effort") is not None:
        asked.effort = text(config["effort"], "output_config.effort")
    for where, given in (("output_config.format", config), ("output_format", body)):
        wanted = fields(given.get(where.rpartition(".")[2]), where)
        if not wanted:
            continue
        if wanted.get("type") != "json_schema":
            raise untranslatable(f"{where}.type", f"{wanted.get('type')!r:.80} is not known")
        schema = {"name": "answer", "schema": wanted.get("schema")}
        asked.response_format = {"type": "json_schema", "json_schema": schema}


def _thinking(thinking: Json, asked: ChatRequest) -> None:
    match thinking.get("type"):
        case "disabled":
            asked.effort = "none"
        case "enabled":
            asked.effort = asked.effort or THINK
            if thinking.get("budget_tokens") is not None:
                asked.leave_out("thinking.budget_tokens")
        case None | "adaptive":
            pass
        case kind:
            raise untranslatable("thinking.type", f"{kind!r:.80} is not known")
