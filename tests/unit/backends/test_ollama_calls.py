"""Ollama's calls on a server that only speaks OpenAI's API."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from oq.backends.base import Request
from oq.backends.ollama_calls import run_ollama_call
from oq.dialects import ENDPOINTS
from oq.words.errors import BackendFailure, BackendRejected
from oq.words.head import Head
from oq.words.outcome import Completed
from oq.words.task import Usage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EMBEDDED = Completed(b'{"embeddings":[[1e-05,2],[3]]}', Usage(2, 0))


async def run(path, body, answer=b'{"done":true}', error=None):
    """What is passed on, the result, and the tasks that were run."""
    asked: list[Request] = []
    said: list[bytes | Head] = []

    async def backend(request, emit):
        asked.append(request)
        if error is not None:
            raise error
        emit(b'{"response":"x"}')
        return answer if isinstance(answer, Completed) else Completed(answer)

    call = Request(ENDPOINTS[path].type, "m", json.dumps(body).encode(), b"{}", path)
    done = await run_ollama_call(call, said.append, backend, NOW)
    return said, done, asked


async def test_it_is_run_as_a_task():
    body = {
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False,
        "options": {"seed": 1}, "think": True,
    }  # fmt: skip
    said, done, [task] = await run("/api/chat", body)
    assert task.call is None
    assert json.loads(task.payload) == {"messages": body["messages"], "think": True}
    assert json.loads(task.options) == {"seed": 1}
    assert [head.content_type for head in said] == [b"application/json"]
    assert done.result == b'{"done":true}'
    said, _, _ = await run("/api/chat", {**body, "stream": True})
    assert said[0].content_type == b"application/x-ndjson"
    assert said[1:] == [b'{"response":"x"}\n']


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/api/chat", {"messages": []}, "load"),
        ("/api/chat", {"keep_alive": 0}, "unload"),
        ("/api/chat", {"messages": None, "keep_alive": "0s"}, "unload"),
        ("/api/generate", {"prompt": ""}, "load"),
        ("/api/generate", {"keep_alive": "5m"}, "load"),
    ],
)
async def test_what_only_loads_a_model_is_answered_at_once(path, body, reason):
    said, done, asked = await run(path, body)
    assert not asked
    answer = json.loads(done.result)
    assert (answer["done"], answer["done_reason"], answer["model"]) == (True, reason, "m")
    assert ("message" in answer) is (path == "/api/chat")
    assert [head.content_type for head in said] == [b"application/json"]


@pytest.mark.parametrize(
    "body", [{"prompt": "", "images": ["AAAA"]}, {"prompt": "", "suffix": "}"}]
)
async def test_a_prompt_may_be_empty_beside_something_else(body):
    _, _, asked = await run("/api/generate", body)
    assert len(asked) == 1


async def test_the_old_call_for_embeddings():
    _, done, [task] = await run("/api/embeddings", {"prompt": "a", "keep_alive": 1}, EMBEDDED)
    assert json.loads(task.payload) == {"input": "a", "keep_alive": 1}
    assert done.result == b'{"embedding":[1e-05,2]}'
    assert done.usage == Usage(2, 0)


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/api/embeddings", {}, b'{"embedding":[]}'),
        ("/api/embeddings", {"prompt": "", "keep_alive": 0}, b'{"embedding":[]}'),
        ("/api/embed", {}, b'{"model":"m","embeddings":[]}'),
        ("/api/embed", {"input": ""}, b'{"model":"m","embeddings":[]}'),
        ("/api/embed", {"input": []}, b'{"model":"m","embeddings":[]}'),
    ],
)
async def test_nothing_to_embed_is_answered_as_ollama_does(path, body, answer):
    """It is a 200 there; servers of OpenAI's API refuse an empty input."""
    said, done, asked = await run(path, body)
    assert not asked
    assert done.result == answer
    assert [head.content_type for head in said] == [b"application/json"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/chat", {"messages": "hi"}), ("/api/generate", {"prompt": 3}),
     ("/api/embed", {"input": {}})],
)  # fmt: skip
async def test_a_bad_request_is_refused_as_ollama_would(path, body):
    with pytest.raises(BackendRejected) as caught:
        await run(path, body)
    assert caught.value.status == 400
    assert list(json.loads(caught.value.body or b"")) == ["error"]


async def test_errors_are_said_as_ollama_says_them():
    theirs = b'{"error":{"message":"too long","type":"invalid_request_error"}}'
    error = BackendFailure("the backend ...", status=400, body=theirs)
    error.frame = b"data: " + theirs + b"\n\n"
    error.head = Head(400, b"No", ((b"content-type", b"a/b"), (b"retry-after", b"3")))
    with pytest.raises(BackendFailure) as caught:
        await run("/api/embed", {"input": "a"}, error=error)
    assert caught.value.body == b'{"error":"too long"}'
    assert caught.value.frame == b'{"error":"too long"}\n'
    head = caught.value.head
    assert (head.content_type, head.header(b"retry-after")) == (b"application/json", b"3")


async def test_a_lost_connection_has_no_words():
    with pytest.raises(BackendFailure) as caught:
        await run("/api/embed", {"input": "a"}, error=BackendFailure("lost"))
    assert caught.value.body is None
