"""What Ollama says of its models, made of what an OpenAI-compatible server says of its own.

https://github.com/ollama/ollama/blob/main/docs/api.md; llama.cpp's server tells more than OpenAI
does (`meta`): https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md. What nobody
says is left empty, as Ollama itself leaves what it does not know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import msgspec
from msgspec import Struct, field

from oq.backends.base import Passage, Reply
from oq.dialects.answer_errors import decode_answer
from oq.dialects.reading import count
from oq.rules.json_decoding import decode
from oq.words.errors import InvalidTask

_KEPT = timedelta(days=36_500)
"""Such a server keeps its models: Ollama says so with a time that is far away."""


class _Meta(Struct):
    """The values may be any JSON: `count` reads the numbers."""

    n_params: Any = None
    n_ctx_train: Any = None
    n_embd: Any = None
    size: Any = None


class _Model(Struct):
    id: str
    created: Any = None
    meta: _Meta | None = field(default_factory=_Meta)


class _Models(Struct):
    data: list[_Model] = []


class _Named(Struct):
    model: str | None = None
    name: str | None = None


_MODELS = msgspec.json.Decoder(_Models)
_NAMED = msgspec.json.Decoder(_Named)

Page = tuple[int, dict[str, Any]]
Pages = Callable[[Passage, Callable[[], Awaitable[bytes]], datetime, Reply], Awaitable[None]]
"""How requests that are no tasks are answered for a server that does not know them."""


async def answer_page(
    passage: Passage, models: Callable[[], Awaitable[bytes]], now: datetime, reply: Reply
) -> None:
    """Answer one of Ollama's pages; `models` asks the server for its list."""
    status, said = 404, {"error": _NOT_HERE}
    match passage.method, passage.path:
        case (("GET" | "HEAD"), "/api/version"):
            status, said = 200, {"version": version("oq")}
        case (("GET" | "HEAD"), "/api/tags"):
            status, said = _tags(await models())
        case (("GET" | "HEAD"), "/api/ps"):
            status, said = _running(await models(), now)
        case "POST", "/api/show" if isinstance(passage.body, bytes):
            status, said = _show(passage.body, await models())
    body = msgspec.json.encode(said)
    kind = (b"content-type", b"application/json; charset=utf-8")
    await reply.begin(status, [kind, (b"content-length", b"%d" % len(body))])
    if passage.method != "HEAD":
        await reply.piece(body)


_NOT_HERE = "the backend is OpenAI-compatible and has no such call; it needs Ollama"


def _tags(models: bytes) -> Page:
    return 200, {"models": [_model(model) for model in _listed(models)]}


def _running(models: bytes, now: datetime) -> Page:
    listed = []
    for model in _listed(models):
        about = _model(model)
        del about["modified_at"]
        meta = model.meta or _Meta()
        about |= {"expires_at": now + _KEPT, "size_vram": 0}
        listed.append(about | {"context_length": count(meta.n_ctx_train)})
    return 200, {"models": listed}


def _show(body: bytes, models: bytes) -> Page:
    try:
        asked = decode(_NAMED.decode, body, any_number=True)
    except InvalidTask as error:
        return 400, {"error": str(error)}
    name = asked.model or asked.name
    if not name:
        return 400, {"error": "model is required"}
    found = next((model for model in _listed(models) if model.id in (name, f"{name}:latest")), None)
    if found is None:
        return 404, {"error": f"model '{name}' not found"}
    meta = found.meta or _Meta()
    info = {
        "general.parameter_count": count(meta.n_params),
        "general.context_length": count(meta.n_ctx_train),
        "general.embedding_length": count(meta.n_embd),
    }
    return 200, {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _details(meta),
        "model_info": {key: value for key, value in info.items() if value},
        "capabilities": ["completion"],
        "modified_at": _modified(found),
    }


def _model(model: _Model) -> dict[str, Any]:
    meta = model.meta or _Meta()
    return {
        "name": model.id,
        "model": model.id,
        "modified_at": _modified(model),
        "size": count(meta.size),
        "digest": sha256(model.id.encode("utf-8", "replace")).hexdigest(),
        "details": _details(meta),
    }


def _details(meta: _Meta) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": "",
        "families": [],
        "parameter_size": _rounded(count(meta.n_params)),
        "quantization_level": "",
    }


def _rounded(number: int) -> str:
    """A number of parameters as Ollama writes it; nothing if it is not known."""
    if not number:
        return ""
    return f"{number / 1e9:.1f}B" if number >= 1e9 else f"{number / 1e6:.2f}M"


def _modified(model: _Model) -> datetime:
    return datetime.fromtimestamp(min(count(model.created), 2**32), UTC)


def _listed(models: bytes) -> list[_Model]:
    return decode_answer(_MODELS.decode, models).data
