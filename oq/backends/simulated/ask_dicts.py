"""Requests that are read field by field: OpenAI's Responses, Anthropic's Messages, llama.cpp's own.

https://platform.openai.com/docs/api-reference/responses
https://docs.anthropic.com/en/api/messages
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from typing import Any

from oq.backends.simulated.ask import Ask, script_of
from oq.backends.simulated.ask_openai import prompts_of
from oq.backends.simulated.reading import Refused, decode_object
from oq.words.task import TaskType

Fields = dict[str, Any]


def ask_responses(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /v1/responses asks; Refused if it is wrong."""
    fields = decode_object(body)
    items = fields.get("input")
    said = [items] if isinstance(items, str) else [_item_text(item) for item in _list(items)]
    effort = _dict(fields.get("reasoning")).get("effort")
    wanted = _dict(_dict(fields.get("text")).get("format"))
    return _chat(
        kind,
        fields,
        [str(fields.get("instructions") or ""), *said],
        limit=fields.get("max_output_tokens"),
        think=effort not in (None, "none"),
        format={"json_object": "json", "json_schema": wanted.get("schema", "json")}.get(
            str(wanted.get("type"))
        ),
    )


def ask_messages(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /v1/messages asks; Refused as Ollama refuses it."""
    fields = decode_object(body)
    _model(fields)
    limit = fields.get("max_tokens")
    if not isinstance(limit, int) or limit <= 0:
        raise Refused(400, "max_tokens is required and must be positive")
    if not fields.get("messages"):
        raise Refused(400, "messages is required")
    thinking = _dict(fields.get("thinking")).get("type")
    said = [_text(fields.get("system")), *_turns(fields)]
    return _chat(kind, fields, said, limit=limit, think=thinking in ("enabled", "adaptive"))


def ask_count(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /v1/messages/count_tokens asks."""
    fields = decode_object(body)
    if "messages" not in fields:
        raise Refused(400, "messages is required")
    return _chat(kind, fields, [_text(fields.get("system")), *_turns(fields)], limit=None)


def ask_llama(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /completion asks; Refused if it is wrong."""
    fields = decode_object(body)
    prompt = fields.get("prompt")
    if not isinstance(prompt, str | list):
        raise Refused(400, '"prompt" is required')
    return _generate(kind, fields, prompts_of(prompt))


def ask_infill(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /infill asks; Refused as llama.cpp refuses it."""
    fields = decode_object(body)
    for name in ("input_prefix", "input_suffix"):
        if not isinstance(fields.get(name), str):
            raise Refused(400, f'"{name}" is required')
    return _generate(kind, fields, (f"{fields['input_prefix']} {fields['input_suffix']}",))


def ask_tokens(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /tokenize or /detokenize asks."""
    return _generate(kind, decode_object(body), ("",))


def ask_rerank(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /v1/rerank asks; Refused as llama.cpp refuses it."""
    fields = decode_object(body)
    if "query" not in fields:
        raise Refused(400, '"query" must be provided')
    if not isinstance(fields["query"], str):
        raise Refused(400, '"query" must be a string')
    documents = fields.get("documents", fields.get("texts"))
    if not documents or not all(isinstance(document, str) for document in _list(documents)):
        raise Refused(400, '"documents" must be a non-empty string array')
    return _generate(kind, fields, (str(fields["query"]), *documents))


def ask_moderation(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /v1/moderations asks; Refused if it is wrong."""
    fields = decode_object(body)
    given = fields.get("input")
    if not given:
        raise Refused(400, "input is required")
    texts = (given,) if isinstance(given, str) else tuple(map(_text, _list(given)))
    return _generate(kind, fields, texts)


def ask_images(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /v1/images/generations asks; Refused if it is wrong."""
    fields = decode_object(body)
    if not isinstance(fields.get("prompt"), str):
        raise Refused(400, "prompt is required")
    return _generate(kind, fields, (fields["prompt"],))


def ask_speech(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /v1/audio/speech asks; Refused if it is wrong. Its sound always streams,
    as bytes or as events.
    """
    fields = decode_object(body)
    if not isinstance(fields.get("input"), str):
        raise Refused(400, "input is required")
    return _generate(kind, fields | {"stream": True}, (fields["input"],))


def _chat(kind: TaskType, fields: Fields, said: list[str], *, limit: object, **more: Any) -> Ask:
    return Ask(
        kind=kind,
        model=_model(fields),
        prompt=said[-1],
        prompt_tokens=sum(len(text.split()) for text in said),
        stream=bool(fields.get("stream")),
        options={"num_predict": limit} if isinstance(limit, int) else {},
        tools=bool(fields.get("tools")),
        request=fields,
        script=script_of(fields.get("simulate")),
        **more,
    )


def _generate(kind: TaskType, fields: Fields, prompts: tuple[str, ...]) -> Ask:
    limit = fields.get("n_predict", fields.get("max_tokens"))
    model = fields.get("model")
    return Ask(
        kind=kind,
        model=model if isinstance(model, str) else "",
        prompts=prompts,
        prompt_tokens=sum(len(prompt.split()) for prompt in prompts),
        stream=bool(fields.get("stream")),
        options={"num_predict": limit} if isinstance(limit, int) and limit >= 0 else {},
        request=fields,
        script=script_of(fields.get("simulate")),
    )


def _model(fields: Fields) -> str:
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise Refused(400, "model is required")
    return model


def _turns(fields: Fields) -> list[str]:
    return [_text(_dict(turn).get("content")) for turn in _list(fields.get("messages"))]


def _item_text(item: object) -> str:
    """What an input item of the Responses API says."""
    fields = _dict(item)
    return _text(fields.get("content", fields.get("output", fields.get("arguments"))))


def _text(content: object) -> str:
    """The text of a content: a string, or a list of blocks with `text` or with `content`."""
    if isinstance(content, str):
        return content
    blocks = (_dict(block) for block in _list(content))
    texts = (block.get("text", block.get("content")) for block in blocks)
    return " ".join(_text(text) for text in texts if text)


def _dict(value: object) -> Fields:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
