"""Writes a request of chat completions: https://platform.openai.com/docs/api-reference/chat/create

Thoughts of earlier turns go as `reasoning_content`, which llama.cpp and vLLM read. `max_tokens` is
the older name of its limit, which all servers know. A stream is asked for its counts, since callers
get them without asking.
"""

from __future__ import annotations

import msgspec

from oq.dialects.translate.chat_request import THINK, ChatRequest, Json

_THINK = "medium"
"""How hard a model thinks that is only told to."""


def chat_body(asked: ChatRequest) -> bytes:
    """The body of the call. It can say all of what was asked."""
    body: Json = {"model": asked.model, "messages": asked.messages, **asked.sampling}
    if asked.tools:
        body["tools"] = asked.tools
        if asked.tool_choice is not None:
            body["tool_choice"] = asked.tool_choice
        if asked.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = asked.parallel_tool_calls
    if asked.response_format is not None:
        body["response_format"] = asked.response_format
    if asked.effort is not None:
        body["reasoning_effort"] = _THINK if asked.effort == THINK else asked.effort
    if asked.max_tokens is not None:
        body["max_tokens"] = asked.max_tokens
    if asked.stop:
        body["stop"] = asked.stop
    body |= {key: value for key, value in asked.more.items() if key not in body}
    body["stream"] = asked.stream
    if asked.stream:
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)
