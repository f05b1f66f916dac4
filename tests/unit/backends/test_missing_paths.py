"""Whether a server lacks a path or a model, by what real servers say."""

from __future__ import annotations

import pytest

from oq.backends.missing_paths import lacks_path, may_be_an_echo
from oq.words.errors import BackendFailure, BackendRejected

PATHS = [
    (404, b"404 page not found"),  # Ollama: gin
    (405, b"405 method not allowed"),
    (404, b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}'),
    (404, b'{"detail":"Not Found"}'),  # vLLM, SGLang: FastAPI
    (405, b'{"detail":"Method Not Allowed"}'),
    (404, b"<pre>Cannot POST /v1/responses</pre>"),  # Express
    (404, b""),  # axum
    (404, b"404: Not Found"),  # aiohttp
    (404, b"<html><h1>404 Not Found</h1><hr>nginx/1.27</html>"),
    (
        404,
        b'{"error":{"message":"Invalid URL (POST /v1/responses)","type":"invalid_request_error"}}',
    ),
    (501, b'{"error":{"code":501,"message":"This server does not support this"}}'),
    (200, b'{"error":"Unexpected endpoint or method. (POST /v1/responses)"}'),  # LM Studio
    (None, b'{"error":"Unexpected endpoint or method. (POST /v1/responses)"}'),
]
MODELS = [
    (
        404,
        b'{"error":{"message":"model \\"qwen3:4b\\" not found, try pulling it first"}}',
    ),  # Ollama
    (404, b'{"error":"model \'qwen3:4b\' not found"}'),
    (
        404,
        b'{"object":"error","message":"The model `qwen3:4b` does not exist.","code":404}',
    ),  # vLLM
    (400, b'{"error":{"code":400,"message":"model \'qwen3:4b\' not found"}}'),  # llama.cpp's router
    (404, b'{"detail":"qwen3:4b is not loaded"}'),
    (404, b'{"error":{"code":"model_not_found","message":"The model does not exist"}}'),
]


def error(status: int | None, body: bytes) -> BackendRejected:
    return BackendRejected("no", status=status, body=body)


@pytest.mark.parametrize(("status", "body"), PATHS)
def test_a_path_that_is_missing(status, body):
    assert lacks_path(error(status, body), "qwen3:4b")
    assert lacks_path(error(status, body), "m")


@pytest.mark.parametrize(("status", "body"), MODELS)
def test_a_model_that_is_missing(status, body):
    assert not lacks_path(error(status, body), "qwen3:4b")


@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500, 503])
def test_other_errors_say_nothing_of_it(status):
    assert not lacks_path(error(status, b"Not Found"), "m")
    assert not lacks_path(BackendFailure("the connection broke"), "m")


@pytest.mark.parametrize(("status", "body"), PATHS)
def test_the_words_of_such_errors_are_no_echo(status, body):
    words = ["Not Found", "page", {"file": ["method", {"detail": "messages"}]}, 404, None, True]
    assert not may_be_an_echo(error(status, body), "/v1/responses", lambda: words)


@pytest.mark.parametrize("written", ["rs_1", {"rs_1": 0}, [{"a": ["see RS_1, please"]}]])
def test_what_the_caller_wrote_may_be_an_echo(written):
    assert may_be_an_echo(error(404, b"no rs_1 here"), "/v1/responses", lambda: written)
    assert not may_be_an_echo(error(404, b"no rs_2 here"), "/v1/responses", lambda: written)
