"""What oq says itself, in the words of the API that was called."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from ollama import ChatResponse, GenerateResponse
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk

from oq.dialects import ENDPOINTS
from oq.dialects.anthropic import ANTHROPIC
from oq.dialects.ollama import OLLAMA
from oq.dialects.openai import OPENAI
from oq.dialects.openai_media import OPENAI_MEDIA
from oq.dialects.rerank import RERANK
from oq.dialects.responses import RESPONSES
from oq.words.task import Waiting

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_errors():
    assert json.loads(OLLAMA.error(404, 'no "x"')) == {"error": 'no "x"'}
    error = json.loads(OPENAI.error(404, "no"))["error"]
    assert error == {"message": "no", "type": "not_found_error", "param": None, "code": None}
    assert json.loads(OPENAI.error(599, ""))["error"]["type"] == "api_error"


@pytest.mark.parametrize("status", [400, 405, 406, 408, 413, 415, 431, 499])
@pytest.mark.parametrize("dialect", [OPENAI, RESPONSES, OPENAI_MEDIA, ANTHROPIC, RERANK])
def test_an_error_of_the_caller_is_none_of_the_server(dialect, status):
    kind = json.loads(dialect.error(status, "no"))["error"]["type"]
    assert kind in ("invalid_request_error", "request_too_large")


def test_errors_in_a_stream():
    assert OLLAMA.error_frame("no") == b'{"error":"no"}\n'
    event = OPENAI.error_frame("no")
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/chat", ChatResponse),
        ("/api/generate", GenerateResponse),
        ("/v1/chat/completions", ChatCompletionChunk),
        ("/v1/completions", Completion),
    ],
)
def test_a_place_in_line_is_a_chunk_to_the_official_clients(path, kind):
    call = ENDPOINTS[path]
    frame = call.dialect.progress(call, "m", "id", Waiting(3), NOW)
    said = json.loads(frame.removeprefix(b"data: "))
    assert said["queue_position"] == 3
    if path.startswith("/v1"):
        chunk = kind.construct(**said)  # as the client does, which checks nothing
        assert frame.endswith(b"}\n\n")
        assert chunk.choices[0].finish_reason is None
    else:
        chunk = kind.model_validate(said)
        assert frame.endswith(b"}\n")
        assert chunk.done is False
    assert chunk.model == "m"
