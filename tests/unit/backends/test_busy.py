"""What servers say when they cannot take a call now, and when they have not the model."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.backends.busy import is_unknown_model, says_busy
from oq.backends.failures import status_error
from oq.dialects import ENDPOINTS
from oq.words.errors import BackendBusy, BackendError, BackendFailure

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FULL = "server busy, please try again.  maximum pending requests exceeded"

BUSY = {
    # Ollama of August 2026: /api, /v1/chat/completions and /v1/responses, /v1/messages
    "ollama": (503, {"error": FULL}),
    "ollama /v1": (
        503, {"error": {"message": FULL, "type": "api_error", "param": None, "code": None}},
    ),
    "ollama /v1/messages": (
        503,
        {"type": "error", "error": {"type": "overloaded_error", "message": FULL},
         "request_id": "req_1"},
    ),
    # llama.cpp, builds 10488 and 11434
    "llama.cpp": (
        503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}},
    ),
    "llama.cpp's router": (500, "proxy error: Could not establish connection"),
    "llama.cpp's router, a moment earlier": (
        400,
        {"error": {"code": 400, "message": "model name=qwen is not running",
                   "type": "invalid_request_error"}},
    ),
    # llama-swap of August 2026, of June and of May
    "llama-swap": (
        429,
        {"src": "llama-swap",
         "error": {"message": "Too many requests", "type": "rate_limit_error", "param": None,
                   "code": "concurrency_limit"}},
    ),
    "llama-swap, other words": (
        429, {"src": "llama-swap", "error": {"message": "later", "code": "concurrency_limit"}},
    ),
    "llama-swap in June": (429, {"error": "Too many requests"}),
    "llama-swap in May": (429, "Too many requests\n"),
    "llama-swap swaps": (
        503,
        {"src": "llama-swap",
         "error": {"message": "[qwen] process is not ready", "type": "server_error",
                   "param": None, "code": "service_unavailable"}},
    ),
    "llama-swap swaps, as text": (503, "llama-swap: [qwen] process is not ready"),
}  # fmt: skip

NOT_BUSY = {
    "another status": (500, {"error": FULL}),
    "a refusal": (400, {"error": "Loading model"}),
    "a model that nothing loads": (400, {"error": {"message": "model is not loaded"}}),
    "a broken call": (500, "proxy error: Failed to read connection"),
    "a crash": (500, {"error": "an error was encountered while running the model: unexpected EOF"}),
    "a call that repeats it": (503, {"error": f"cannot answer 'what is {FULL}'"}),
    "more about it": (503, {"error": {"message": "Loading model x failed: no such file"}}),
    "a rate": (429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}),
    "a quota": (429, {"error": {"message": "no money", "code": "insufficient_quota"}}),
    "a page": (503, f"<html><body>{FULL}</body></html>"),
    "nothing": (503, ""),
    "a list": (429, ["concurrency_limit"]),
    "an odd code": (429, {"error": {"code": ["concurrency_limit"]}}),
}


def body(said: object) -> bytes:
    return said.encode() if isinstance(said, str) else json.dumps(said).encode()


def error(status: int, said: object) -> BackendError:
    return status_error(status, body(said), retry_after="1", now=NOW)


@pytest.mark.parametrize(("status", "said"), BUSY.values(), ids=BUSY)
def test_a_server_that_is_busy_says_so_in_its_own_words(status, said):
    busy = error(status, said)
    assert isinstance(busy, BackendBusy)
    assert (busy.status, busy.body, busy.retry_after) == (status, body(said), 1)


@pytest.mark.parametrize(("status", "said"), NOT_BUSY.values(), ids=NOT_BUSY)
def test_other_errors_are_not_taken_for_it(status, said):
    assert not isinstance(error(status, said), BackendBusy)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/chat", {"message": {"role": "assistant", "content": FULL}, "done": True}),
        ("/api/generate", {"response": "Loading model", "done": True}),
        ("/v1/chat/completions",
         {"choices": [{"index": 0, "message": {"content": FULL}, "finish_reason": "stop"}]}),
    ],
    ids=["chat", "generate", "openai"],
)  # fmt: skip
def test_a_model_may_say_these_words(path, said):
    call = ENDPOINTS[path]
    assert call.dialect.whole(call, body(said)).result == body(said)


def test_an_error_within_an_answer_is_a_failure():
    call = ENDPOINTS["/api/chat"]
    with pytest.raises(BackendFailure) as raised:
        call.dialect.whole(call, body({"error": FULL}))
    assert not isinstance(raised.value, BackendBusy)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_bytes_can_be_asked(status, said):
    assert says_busy(status, said) in (True, False)
    assert is_unknown_model(BackendError("", status=status, body=said)) in (True, False)


UNKNOWN = {
    "ollama": (404, {"error": 'model "x:y" not found, try pulling it first'}),
    "ollama /v1": (
        404, {"error": {"message": "model 'x' not found", "type": "not_found_error"}},
    ),
    "llama.cpp's router": (
        400,
        {"error": {"code": 400, "message": "model 'x' not found", "type": "invalid_request_error"}},
    ),
    "openai": (
        404, {"error": {"message": "The model `x` does not exist or you do not have access to it.",
                        "code": "model_not_found"}},
    ),
    "vllm": (404, {"object": "error", "message": "The model `x` does not exist.", "code": 404}),
    "llama-swap": (404, {"error": {"message": "no router for requested model"}}),
    "llama-swap, local": (404, {"error": {"message": "no local server found for requested model"}}),
}  # fmt: skip


@pytest.mark.parametrize(("status", "said"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_server_says_that_it_has_not_the_model(status, said):
    assert is_unknown_model(error(status, said))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "404 page not found"),
        (404, {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}),
        (400, {"error": "invalid model name"}),
        (400, {"error": {"message": "model is not loaded"}}),
        (500, {"error": "model 'x' not found"}),
        (404, ""),
    ],
    ids=["gin", "llama.cpp", "name", "unloaded", "status", "nothing"],
)
def test_other_errors_say_nothing_of_the_model(status, said):
    assert not is_unknown_model(error(status, said))


def test_without_a_body_nothing_is_said():
    assert not is_unknown_model(BackendError("no", status=404))
