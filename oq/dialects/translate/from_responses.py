"""Reads a request of OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses

    instructions, developer messages   the system message, if they stand at the beginning
    input                              messages; see `oq.dialects.translate.items`
    tools, tool_choice                 see `oq.dialects.translate.offered`
    text.format                        response_format
    reasoning.effort                   the effort; thoughts are always told as a summary
    max_output_tokens                  max_tokens

What only helps to run, count or keep a response at OpenAI is left out. Fields that OpenAI does not
know go along as they are.
"""

from __future__ import annotations

from typing import Any

from oq.dialects.translate.chat_request import (
    ChatRequest,
    Json,
    fields,
    optional_count,
    optional_flag,
    optional_text,
    text,
    untranslatable,
)
from oq.dialects.translate.dialogue import Dialogue
from oq.dialects.translate.items import add_items
from oq.dialects.translate.offered import Offered
from oq.words.errors import InvalidTask

_SAMPLING = ("temperature", "top_p")
_WITHOUT_EFFECT = frozenset(
    {"background", "metadata", "model", "store", "stream", "stream_options"}
)
_READ = frozenset(
    {"conversation", "input", "instructions", "max_output_tokens", "parallel_tool_calls"}
    | {"previous_response_id", "prompt", "reasoning", "text", "tool_choice", "tools", *_SAMPLING}
)
_HINTS = frozenset(
    {"access_programs", "background_options", "client_metadata", "context_management", "image"}
    | {"include", "max_tool_calls", "moderation", "moderation_policy", "prompt_cache_key"}
    | {"prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier"}
    | {"top_logprobs", "truncation", "user"}
)
_KEPT_AT_OPENAI = {
    "previous_response_id": "no response with this id is known here",
    "conversation": "conversations are kept at OpenAI",
    "prompt": "prompt templates are kept at OpenAI",
}
_NO_LOSS = {"truncation": "disabled", "service_tier": "auto", "include": []}
"""What these say by default. To leave that out changes nothing."""
_THOUGHTS = "reasoning.encrypted_content"
"""What `include` may ask for, and gets."""


def read_responses(body: Json) -> tuple[ChatRequest, Offered]:
    """The request, and its tools. InvalidTask names the field that is wrong or untranslatable."""
    for name, why in _KEPT_AT_OPENAI.items():
        if body.get(name) not in (None, ""):
            raise untranslatable(name, why)
    asked = ChatRequest(text(body.get("model"), "model"), [], bool(optional_flag(body, "stream")))
    offered = Offered()
    offered.add(body.get("tools"), asked)
    asked.messages = _messages(body, asked, offered)
    offered.choose(body.get("tool_choice"), asked)
    asked.tools = offered.tools
    asked.parallel_tool_calls = optional_flag(body, "parallel_tool_calls")
    asked.response_format = _format(fields(body.get("text"), "text"), asked)
    reasoning = fields(body.get("reasoning"), "reasoning")
    if reasoning.get("effort") is not None:
        asked.effort = text(reasoning["effort"], "reasoning.effort")
    asked.max_tokens = optional_count(body, "max_output_tokens")
    asked.sampling = {key: body[key] for key in _SAMPLING if body.get(key) is not None}
    _rest(body, asked)
    return asked, offered


def _messages(body: Json, asked: ChatRequest, offered: Offered) -> list[Json]:
    dialogue = Dialogue()
    dialogue.system(optional_text(body, "instructions"))
    given = body.get("input")
    if isinstance(given, str):
        dialogue.user(given)
    elif given is None:
        raise InvalidTask("input", "it is required: a text, or a list of items")
    else:
        add_items(given, dialogue, asked, offered)
    return dialogue.messages


def _format(said: Json, asked: ChatRequest) -> Json | None:
    if said.get("verbosity") not in (None, "medium"):
        asked.leave_out("text.verbosity")
    wanted = fields(said.get("format"), "text.format")
    match wanted.get("type"):
        case None | "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            schema = {"name": wanted.get("name") or "answer", "schema": wanted.get("schema")}
            for key in ("strict", "description"):
                if wanted.get(key) is not None:
                    schema[key] = wanted[key]
            return {"type": "json_schema", "json_schema": schema}
        case kind:
            raise untranslatable("text.format.type", f"{kind!r:.80} is not known")


def _rest(body: Json, asked: ChatRequest) -> None:
    for name, value in body.items():
        if name == "include" and isinstance(value, list):
            value = [one for one in value if one != _THOUGHTS]
        if value is None or value == _NO_LOSS.get(name, ...):
            continue
        if name in _HINTS:
            asked.leave_out(name)
        elif name not in _READ and name not in _WITHOUT_EFFECT:
            asked.more[name] = value


def wants_thoughts_back(body: Json) -> bool:
    """Whether the caller gives thoughts back in its next request, and wants them in that form."""
    included: Any = body.get("include")
    return isinstance(included, list) and _THOUGHTS in included
