"""The simulated machine's disk over HTTP, changed by the official client and by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import struct

import httpx
import ollama
import pytest
import trio

from oq.backends.simulated import Script, Simulator
from oq.backends.simulated.model_file_calls import ProgressEncoder
from oq.backends.simulated.pieces import Piece
from oq.backends.simulated.server import serve_simulator
from oq.backends.simulated.text import embedding, logprob

DATA = b"weights " * 100_000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def simulator():
    return Simulator(models={"m:latest"})


@pytest.fixture
async def http(nursery, simulator):
    url = await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as client:
        yield client


@pytest.fixture
async def theirs(http):
    async with ollama.AsyncClient(host=str(http.base_url), trust_env=False) as client:
        yield client


async def names(theirs):
    return [model.model for model in (await theirs.list()).models]


async def test_a_pull_tells_its_progress_and_then_the_model_is_there(theirs):
    lines = [line async for line in await theirs.pull("new", stream=True)]
    assert lines[0].status == "pulling manifest"
    assert [line.status for line in lines[-3:]] == [
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    layers = [line for line in lines if line.digest]
    assert [line.completed for line in layers] == [None, 2**20, 2**21, 3 * 2**20, 2**22]
    assert await names(theirs) == ["m:latest", "new:latest"]
    assert (await theirs.pull("other:7b")).status == "success"
    assert "other:7b" in await names(theirs)


def test_a_model_is_there_before_that_is_said():
    first, last, there = Piece(0, text="{}"), Piece(0, text="{}"), []
    encoder = ProgressEncoder(last, lambda: there.append("m"))
    encoder.piece(first, 0)
    assert not there
    encoder.piece(last, 0)
    assert there == ["m"]
    encoder.whole([first, last], 0)
    assert there == ["m", "m"]


async def test_a_pull_breaks_off_as_it_is_told(http, theirs, simulator):
    simulator.push(Script(fault="error", at=3, error="no space left on device"))
    pull = await http.post("/api/pull", json={"model": "new"})
    assert pull.headers["content-type"] == "application/x-ndjson"
    lines = pull.text.splitlines()
    assert (len(lines), json.loads(lines[3])) == (4, {"error": "no space left on device"})
    simulator.push(Script(status=500, error="no route to the registry"))
    with pytest.raises(ollama.ResponseError, match="no route"):
        await theirs.pull("new")
    assert await names(theirs) == ["m:latest"]


async def test_copy_delete_push_and_create(theirs):
    assert (await theirs.copy("m", "mine")).status == "success"
    assert (await theirs.create("new", from_="mine")).status == "success"
    assert (await theirs.push("new")).status == "success"
    assert await names(theirs) == ["m:latest", "mine:latest", "new:latest"]
    assert (await theirs.delete("m")).status == "success"
    assert await names(theirs) == ["mine:latest", "new:latest"]
    for gone in (theirs.delete("m"), theirs.copy("m", "x"), theirs.push("m"), theirs.show("m")):
        with pytest.raises(ollama.ResponseError, match="not found") as caught:
            await gone
        assert caught.value.status_code == 404


async def test_a_blob_is_taken_in_parts_and_only_as_what_it_is(http, theirs, simulator, tmp_path):
    assert (await http.head(f"/api/blobs/{DIGEST}")).status_code == 404

    async def parts():
        for start in range(0, len(DATA), 1000):
            yield DATA[start : start + 1000]

    wrong = await http.post("/api/blobs/sha256:00", content=parts())
    assert wrong.status_code == 400
    assert "digest mismatch" in wrong.json()["error"]
    assert (await http.post(f"/api/blobs/{DIGEST}", content=parts())).status_code == 201
    assert simulator.calls[-1].received == len(DATA)
    assert (await http.post(f"/api/blobs/{DIGEST}", content=DATA)).status_code == 200
    assert (await http.head(f"/api/blobs/{DIGEST}")).status_code == 200
    path = tmp_path / "weights"
    path.write_bytes(DATA)
    assert await theirs.create_blob(path) == DIGEST
    assert (await theirs.create("mine", files={"a.gguf": DIGEST})).status == "success"
    with pytest.raises(ollama.ResponseError, match="not found"):
        await theirs.create("mine", files={"a.gguf": "sha256:00"})
    with pytest.raises(ollama.ResponseError, match="neither"):
        await theirs.create("mine")


async def test_an_upload_that_breaks_off_is_noticed(http, simulator):
    async with await trio.open_tcp_stream(http.base_url.host, http.base_url.port) as stream:
        await stream.send_all(
            b"POST /api/blobs/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"
        )
    while not simulator.calls:
        await trio.lowlevel.checkpoint()
    with trio.fail_after(5):
        await simulator.calls[0].hung_up.wait()


async def test_where_any_name_exists_all_that_was_named_is_listed(nursery):
    url = await nursery.start(serve_simulator, "127.0.0.1", 0, Simulator())
    async with ollama.AsyncClient(host=url, trust_env=False) as theirs:
        await theirs.generate("used", "x")
        await theirs.copy("anything", "named")
        assert await names(theirs) == ["named:latest", "simulated:latest", "used"]
        await theirs.delete("named")
        assert await names(theirs) == ["simulated:latest", "used"]


async def test_one_model_in_openais_form(http):
    assert (await http.get("/v1/models/m")).json()["id"] == "m"
    assert (await http.get("/v1/models/team%2Fm")).json()["error"]["type"] == "not_found_error"


async def test_vectors_in_base64(http):
    body = {"model": "m", "input": ["a"], "encoding_format": "base64"}
    answer = (await http.post("/v1/embeddings", json=body)).json()
    data = base64.b64decode(answer["data"][0]["embedding"])
    assert list(struct.unpack("<8f", data)) == pytest.approx(embedding("a"))


async def test_how_probable_each_token_was(http, theirs):
    answer = await theirs.chat(
        "m", [{"role": "user", "content": "a b"}], logprobs=True, top_logprobs=2,
        options={"num_predict": 2},
    )  # fmt: skip
    assert [token.token for token in answer.logprobs] == ["a", " b"]
    assert answer.logprobs[0].logprob == logprob("a")
    assert len(answer.logprobs[0].top_logprobs) == 2
    body = {"model": "m", "messages": [{"role": "user", "content": "a b"}], "logprobs": True}
    whole = (await http.post("/v1/chat/completions", json=body)).json()
    content = whole["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in content) == whole["choices"][0]["message"]["content"]
    refused = await http.post("/api/generate", json={"model": "m", "top_logprobs": 21})
    assert refused.status_code == 400


async def test_what_only_loads_a_model_is_one_answer_even_if_it_may_stream(http, simulator):
    loaded = await http.post("/api/generate", json={"model": "m"})
    assert loaded.headers["content-type"] == "application/json; charset=utf-8"
    assert (loaded.json()["done_reason"], simulator.loaded.names) == ("load", ["m"])
    body = {"model": "m", "prompt": "x", "keep_alive": "0s", "stream": False}
    assert (await http.post("/api/generate", json=body)).json()["done_reason"] == "stop"
    with trio.fail_after(5):
        while simulator.loaded.names:  # it leaves once the answer is out
            await trio.lowlevel.checkpoint()


async def test_without_times_the_same_question_has_the_same_answer(nursery, http):
    class Standing:
        def now(self):
            return http_time

    http_time = Simulator().now()
    simulator = Simulator(clock=Standing(), timed=False, load=0.01)
    url = await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)
    body = json.dumps({"model": "m", "prompt": "x"})
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answers = {(await client.post("/api/generate", content=body)).content for _ in range(3)}
    assert len(answers) == 1
    assert b'"total_duration":0,' in answers.pop()
