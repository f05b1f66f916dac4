"""What a task answered, as OpenAI would have answered the call. Pure.

From Ollama's form (https://github.com/ollama/ollama/blob/main/docs/api.md) to the bodies of
https://platform.openai.com/docs/api-reference/chat/object, .../completions/object and
.../embeddings/create; a thought goes where Ollama's own /v1 puts it, in `reasoning`.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from oq.words.task import TaskType

Body = dict[str, Any]


class Strange(Exception):
    """A result that cannot be put in OpenAI's form."""


def openai_answer(kind: TaskType, task_id: str, result: Body, *, packed: bool = False) -> Body:
    """The body of the answer to the call that the task was, from the result of the task.

    `packed` embeddings are base64 of little-endian floats of 4 bytes (`encoding_format: base64`).
    Strange if the result is not in Ollama's form, of which only the outlines were checked.
    """
    try:
        return _translated(kind, task_id, result, packed)
    except (AttributeError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise Strange(f"the model's answer cannot be put as OpenAI's: {error}") from None


def _translated(kind: TaskType, task_id: str, result: Body, packed: bool) -> Body:
    match kind:
        case TaskType.CHAT:
            return _completion(f"chatcmpl-{task_id}", "chat.completion", result, _chat(result))
        case TaskType.GENERATE:
            return _completion(f"cmpl-{task_id}", "text_completion", result, _generated(result))
        case _:
            return _embeddings(result, packed)


def _chat(result: Body) -> Body:
    said = result.get("message") or {}
    calls = [_call(i, call) for i, call in enumerate(said.get("tool_calls") or ())]
    message: Body = {"role": said.get("role", "assistant"), "content": said.get("content", "")}
    if said.get("thinking"):
        message["reasoning"] = said["thinking"]
    if calls:
        message["tool_calls"] = calls
        message["content"] = message["content"] or None
    return {
        "index": 0,
        "message": message,
        "logprobs": {"content": result["logprobs"]} if result.get("logprobs") else None,
        "finish_reason": "tool_calls" if calls else _reason(result),
    }


def _generated(result: Body) -> Body:
    choice: Body = {
        "index": 0,
        "text": result.get("response", ""),
        "logprobs": None,
        "finish_reason": _reason(result),
    }
    if result.get("thinking"):
        choice["reasoning"] = result["thinking"]
    return choice


def _reason(result: Body) -> str:
    """OpenAI knows none but these of Ollama's reasons; load and unload are of empty prompts."""
    return "length" if result.get("done_reason") == "length" else "stop"


def _completion(answer_id: str, kind: str, result: Body, choice: Body) -> Body:
    return {
        "id": answer_id,
        "object": kind,
        "created": _created(result.get("created_at")),
        "model": result.get("model", ""),
        "choices": [choice],
        "usage": _usage(result),
    }


def _created(moment: object) -> int:
    """Seconds since 1970; 0 when the answer does not say when it was made."""
    try:
        return int(msgspec.convert(moment, datetime).timestamp())
    except (msgspec.ValidationError, OverflowError, ValueError):
        return 0


def _embeddings(result: Body, packed: bool) -> Body:
    data = [
        {"object": "embedding", "embedding": _pack(row) if packed else row, "index": index}
        for index, row in enumerate(result.get("embeddings") or ())
    ]
    usage = _usage(result)
    del usage["completion_tokens"]
    return {"object": "list", "data": data, "model": result.get("model", ""), "usage": usage}


def _usage(result: Body) -> Body:
    """Tokens in, out and in all."""
    taken, made = result.get("prompt_eval_count") or 0, result.get("eval_count") or 0
    return {"prompt_tokens": taken, "completion_tokens": made, "total_tokens": taken + made}


def _call(index: int, call: Body) -> Body:
    """A tool call; its arguments become the text that they were generated as."""
    function = call.get("function") or {}
    arguments = function.get("arguments", {})
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return {
        "index": index,
        "id": call.get("id") or f"call_{index}",
        "type": "function",
        "function": {"name": function.get("name", ""), "arguments": text},
    }


def _pack(row: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()
