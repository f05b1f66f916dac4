"""A call of Ollama's on a server that only speaks OpenAI's API: as the task that it amounts to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

import msgspec
from msgspec import Raw

from oq.backends.base import Request
from oq.backends.reading_thread import use_document
from oq.backends.verbatim import call_of
from oq.dialects.answer_errors import error_text
from oq.dialects.base import Emit, Endpoint, split_body
from oq.dialects.ollama import OLLAMA
from oq.rules.validation import check_payload
from oq.words.errors import BackendError, BackendRejected, InvalidTask
from oq.words.from_json import NOT_READ
from oq.words.head import Head
from oq.words.outcome import Completed
from oq.words.task import TaskType

Run = Callable[[Request, Emit], Awaitable[Completed]]
Translated = Callable[[Request, Emit, Run, datetime], Awaitable[Completed]]
"""How a call is run that a server does not speak: by what runs tasks there."""

_EMBEDDINGS = "/api/embeddings"
_UNSAID = {
    TaskType.CHAT: ("messages", Raw(b"[]")),
    TaskType.GENERATE: ("prompt", Raw(b'""')),
    TaskType.EMBED: ("input", Raw(b'""')),
}
"""What the call is about, and its value when the body does not say."""
_ZERO = (b"0", b'"0"', b'"0s"')
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


class _Embedded(msgspec.Struct):
    embeddings: list[Raw]


async def run_ollama_call(request: Request, emit: Emit, run: Run, now: datetime) -> Completed:
    """Run the call by `run`, which takes tasks; its answer and its errors are as Ollama's."""
    try:
        call = call_of(request)
        payload, options, streams = await use_document(
            request.payload, request.headers, partial(_asked, request, call)
        )
        if _only_loads(request.type, payload):
            emit(_head(call.dialect.json_type))  # Ollama does not stream this
            return _as_called(request, Completed(_loaded(request, payload, now)))
        emit(_head(call.dialect.stream_type if streams else call.dialect.json_type))

        def pass_on(said: bytes | Head, /, *more: bytes) -> None:
            for chunk in (said, *more):
                if streams and not isinstance(chunk, Head):
                    emit(chunk + b"\n")

        task = Request(request.type, request.model, msgspec.json.encode(payload), options)
        done = await run(task, pass_on)
    except BackendError as error:
        _say_as_ollama(error)
        raise
    return _as_called(request, done)


def _say_as_ollama(error: BackendError) -> None:
    """Its status and the headers that pass stay; what the server said is said in Ollama's form."""
    if error.body is not None:
        error.body = msgspec.json.encode({"error": error_text(error.body)})
    if error.frame is not None:
        error.frame = (error.body or b"{}") + b"\n"
    if error.head is not None:
        error.head = error.head.of_type(OLLAMA.json_type)


def _head(content_type: bytes) -> Head:
    return Head(200, b"OK", ((b"content-type", content_type),))


def _asked(request: Request, call: Endpoint, document: bytes) -> tuple[dict[str, Raw], bytes, bool]:
    return *_payload(request, document), call.dialect.asks_stream(call, document)


def _payload(request: Request, document: bytes) -> tuple[dict[str, Raw], bytes]:
    """The payload and options of the task; BackendRejected as Ollama refuses a bad request."""
    if not request.model:
        raise _rejected("model is required")
    try:
        body = split_body(document)
    except NOT_READ as error:
        raise _rejected(f"this is not JSON: {error}") from None
    payload = _OBJECT.decode(body.payload)
    if request.call == _EMBEDDINGS:
        payload = {"input": payload.pop("prompt", Raw(b'""')), **payload}
    name, unsaid = _UNSAID[request.type]
    if bytes(payload.get(name, b"null")) == b"null":
        payload[name] = unsaid
    try:
        check_payload(request.type, msgspec.json.encode(payload))
    except InvalidTask as error:
        raise _rejected(str(error)) from None
    return payload, body.options


def _rejected(reason: str) -> BackendRejected:
    return BackendRejected(reason, status=400, body=msgspec.json.encode({"error": reason}))


def _only_loads(kind: TaskType, payload: dict[str, Raw]) -> bool:
    """Whether it asks for nothing but that the model be loaded, or unloaded."""
    name, unsaid = _UNSAID[kind]
    said = {name, "suffix", "images"} if kind is TaskType.GENERATE else {name}
    nothing = (bytes(unsaid), b'""', b"[]", b"null")
    return all(bytes(payload.get(each, b"null")) in nothing for each in said)


def _loaded(request: Request, payload: dict[str, Raw], now: datetime) -> bytes:
    """Ollama's answer to that. Such a server has its models loaded, or loads them by itself."""
    if request.type is TaskType.EMBED:
        return msgspec.json.encode({"model": request.model, "embeddings": []})
    said: dict[str, object] = {"response": ""}
    if request.type is TaskType.CHAT:
        said = {"message": {"role": "assistant", "content": ""}}
    unload = bytes(payload.get("keep_alive", b"")) in _ZERO
    done = {"done": True, "done_reason": "unload" if unload else "load"}
    return msgspec.json.encode({"model": request.model, "created_at": now, **said, **done})


def _as_called(request: Request, done: Completed) -> Completed:
    return _legacy(done) if request.call == _EMBEDDINGS else done


def _legacy(done: Completed) -> Completed:
    """The answer of /api/embed as that of its predecessor, which knew one text at a time."""
    embeddings = msgspec.json.decode(done.result, type=_Embedded).embeddings
    first = embeddings[0] if embeddings else Raw(b"[]")
    return Completed(msgspec.json.encode({"embedding": first}), done.usage, done.timings)
