"""What a backend says when it cannot take a call now, and when it has not the model.

That is read from the status and the text of an error, in the words of each server. The text has to
be the whole of what the error says: what a caller wrote may be repeated within another error. An
answer with a status of success never says either.
"""

from __future__ import annotations

import re

import msgspec

from oq.dialects.answer_errors import error_text
from oq.words.errors import BackendError
from oq.words.from_json import NOT_READ

_BUSY = {
    # Ollama, handleScheduleError in server/routes.go; its /v1 paths say it in their own forms.
    503: r"server busy, please try again\b.*"
    # llama.cpp, middleware_server_state in tools/server/server-http.cpp.
    r"|loading model"
    # llama-swap, ServeHTTP in internal/process/process_command.go.
    r"|(llama-swap: )?\[[^\]]*\] process is not ready",
    # llama.cpp's router between two models, server_http_proxy in server-models.cpp.
    500: r"proxy error: could not establish connection",
    # The same, of a model that was driven out just before: proxy_request there.
    400: r"model name=.* is not running",
    # llama-swap before May 2026, ProxyRequest in proxy/process.go. See also _LIMIT.
    429: r"too many requests",
}
_SAYS_BUSY = {
    status: re.compile(words, re.IGNORECASE | re.DOTALL) for status, words in _BUSY.items()
}
_LIMIT = "concurrency_limit"
"""The code of llama-swap's 429 for too many calls at once: internal/swaputil/httperror.go."""

_NO_MODEL = re.compile(
    # Ollama's 404; a 400 of llama.cpp's router (router_validate_model in server-models.cpp).
    r"model (?P<quote>['\"]).*(?P=quote) not found\b.*"
    # OpenAI, vLLM.
    r"|the model [`'\"].*[`'\"] does not exist\b.*"
    # llama-swap, SendError in internal/swaputil/http.go.
    r"|(llama-swap: )?no (local server|peer|router)( found)? for requested model"
    r"|(llama-swap: )?model not found",
    re.IGNORECASE | re.DOTALL,
)
_NO_MODEL_CODE = "model_not_found"


class _Error(msgspec.Struct):
    code: object = None
    type: object = None


class _Said(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


_SAID = msgspec.json.Decoder(_Said)


def says_busy(status: int, body: bytes) -> bool:
    """Whether an answer with this status and body says that the backend takes no call now."""
    words = _SAYS_BUSY.get(status)
    if words is None:
        return False
    if words.fullmatch(error_text(body).strip()):
        return True
    return status == 429 and _codes(body)[0] == _LIMIT


def is_unknown_model(error: BackendError) -> bool:
    """Whether the backend says that it does not have the model: a 404, or a 400 of llama.cpp's."""
    if error.status not in (400, 404) or error.body is None:
        return False
    said = error_text(error.body).strip()
    return bool(_NO_MODEL.fullmatch(said)) or _NO_MODEL_CODE in _codes(error.body)


def _codes(body: bytes) -> tuple[object, object]:
    """The code and the type of the error object in the body."""
    try:
        error = _SAID.decode(body).error
    except NOT_READ:
        return None, None
    return error.code, error.type
