"""`oq serve --simulate`: the official clients have somebody to talk to without any model server."""

from __future__ import annotations

import os

import httpx
import ollama
import pytest

from oq.backends.simulated.text import answer, embedding
from oq.cli.demo.children import child
from tests.dropin.callers import ollama_client, openai_client

MESSAGES = [{"role": "user", "content": "hi there"}]
PROGRAM = ["-W", "error", "-m", "oq.cli", "serve", "--simulate", "--port", "0", "--data-dir"]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulate")
    with child("oq server", [*PROGRAM, str(folder / "data")], folder, os.environ) as server:
        yield server.url
        server.stop()


def test_ollamas_client(url, asynchronous):
    with ollama_client(url, asynchronous=asynchronous) as client:
        assert client.chat("any", MESSAGES).message.content == answer("hi there")
        assert len(list(client.chat("any", MESSAGES, stream=True))) == 17
        assert list(client.embed("any", "x").embeddings[0]) == embedding("x")
        assert "any" in [model.model for model in client.list().models]
        assert "any" in [model.model for model in client.ps().models]
        assert "tools" in client.show("any").capabilities
        with pytest.raises(ollama.ResponseError, match="allow_admin"):
            client.pull("any")


def test_openais_client(url, asynchronous):
    with openai_client(url, asynchronous=asynchronous) as client:
        create = client.chat.completions.create
        whole = create(model="any", messages=MESSAGES)
        assert whole.choices[0].message.content == answer("hi there")
        chunks = list(create(model="any", messages=MESSAGES, stream=True))
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert said == answer("hi there")
        assert client.models.retrieve("any").id == "any"


def test_a_server_of_its_own_that_lacks_a_path(tmp_path):
    program = ["-W", "error", "-m", "oq.cli", "simulate", "--port", "0", "--model", "m"]
    without = ["--without", "/v1/responses"]
    with child("simulator", [*program, *without], tmp_path, os.environ) as server:
        ask = {"model": "m", "max_tokens": 5, "messages": MESSAGES, "input": "x"}
        said = httpx.post(f"{server.url}/v1/messages", json=ask).json()
        assert said["content"] == [{"type": "text", "text": "hi there hi there hi"}]
        lacking = httpx.post(f"{server.url}/v1/responses", json=ask)
        assert (lacking.status_code, lacking.text) == (404, "404 page not found")
        server.stop()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/responses", b'"output_text"'),
        ("/v1/messages", b'"end_turn"'),
        ("/v1/messages/count_tokens", b'"input_tokens"'),
        ("/v1/rerank", b'"relevance_score"'),
        ("/v1/moderations", b'"flagged"'),
        ("/v1/images/generations", b'"b64_json"'),
        ("/v1/audio/speech", bytes(range(200, 256))),
        ("/completion", b'"stop_type"'),
        ("/tokenize", b'"tokens"'),
    ],
)
def test_the_further_paths(url, path, said):
    ask = {
        "model": "any", "messages": MESSAGES, "max_tokens": 100, "input": "x", "prompt": "x",
        "query": "x", "documents": ["x", "y"], "content": "x",
    }  # fmt: skip
    answer = httpx.post(f"{url}{path}", json=ask)
    assert answer.status_code == 200, answer.text
    assert said in answer.content
