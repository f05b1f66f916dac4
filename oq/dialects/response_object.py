"""The response object of OpenAI's Responses API, as far as oq writes it itself.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from oq.dialects.reading import Json

_SAID_AGAIN: Json = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What a response says of its request, and what it says if that did not."""
SAID_AGAIN = frozenset(_SAID_AGAIN)
"""The fields of a request that its response says again."""


UNKNOWN_RESPONSE: Json = {
    "id": "resp_0",
    "object": "response",
    "created_at": 0,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "model": "",
    "output": [],
    "usage": None,
    **_SAID_AGAIN,
}
"""A response of which nothing is known."""


def said_again(request: Json) -> Json:
    """What the response says of this request."""
    asked = {key: request[key] for key in _SAID_AGAIN if request.get(key) is not None}
    if isinstance(text := asked.get("text"), dict):
        asked["text"] = {"format": {"type": "text"}, **text}
    return _SAID_AGAIN | asked
