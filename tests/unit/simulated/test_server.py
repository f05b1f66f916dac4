"""The simulated machine over HTTP, read by the official clients and by hand."""

from __future__ import annotations

import json

import httpx
import ollama
import openai
import pytest
import trio

from oq.backends.simulated import Script, ScriptedCall, Simulator
from oq.backends.simulated.server import serve_simulator
from oq.backends.simulated.text import answer, embedding

PROMPT = "why is the sky blue"
MESSAGES = [{"role": "user", "content": PROMPT}]


@pytest.fixture
def simulator():
    return Simulator(models={"m"})


@pytest.fixture
async def url(nursery, simulator):
    return await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)


@pytest.fixture
async def http(url):
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as client:
        yield client


@pytest.fixture
def in_thread(url):
    """Call something of a blocking client."""

    async def call(function, *args, **kwargs):
        return await trio.to_thread.run_sync(lambda: function(*args, **kwargs))

    return call


@pytest.fixture
def theirs(url):
    client = ollama.Client(host=url, trust_env=False)
    yield client
    client._client.close()


@pytest.fixture
def openais(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        yield client


async def test_the_official_ollama_client(theirs, in_thread, simulator):
    whole = await in_thread(theirs.chat, "m", MESSAGES)
    assert whole.message.content == answer(PROMPT)
    assert (whole.done_reason, whole.prompt_eval_count, whole.eval_count) == ("stop", 5, 16)
    chunks = await in_thread(lambda: list(theirs.chat("m", MESSAGES, stream=True)))
    assert "".join(chunk.message.content for chunk in chunks) == answer(PROMPT)
    assert [chunk.done for chunk in chunks] == [False] * 16 + [True]
    said = await in_thread(theirs.generate, "m", "one two", options={"num_predict": 2})
    assert (said.response, said.done_reason, len(said.context)) == ("one two", "length", 4)
    vectors = await in_thread(theirs.embed, "m", ["a", "b"])
    assert [list(vector) for vector in vectors.embeddings] == [embedding("a"), embedding("b")]
    vector = await in_thread(theirs.embeddings, "m", "a")
    assert list(vector.embedding) == embedding("a")
    simulator.push(Script(tool_calls=(ScriptedCall("f", {"n": 1}),), thinking="hm"))
    called = await in_thread(theirs.chat, "m", MESSAGES, tools=[{}], think=True)
    assert called.message.tool_calls[0].function.arguments == {"n": 1}
    assert called.message.thinking == "hm"


async def test_the_official_ollama_client_reads_what_is_there(theirs, in_thread):
    await in_thread(theirs.generate, "m", "x")
    assert [model.model for model in (await in_thread(theirs.list)).models] == ["m"]
    assert [model.model for model in (await in_thread(theirs.ps)).models] == ["m"]
    shown = await in_thread(theirs.show, "m")
    assert "completion" in shown.capabilities
    with pytest.raises(ollama.ResponseError, match='model "x" not found') as caught:
        await in_thread(theirs.chat, "x", MESSAGES)
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="not found"):
        await in_thread(theirs.show, "x")


async def test_the_official_ollama_client_meets_an_error_in_mid_stream(
    theirs, in_thread, simulator
):
    simulator.push(Script(fault="error", at=2, error="no memory"))
    with pytest.raises(ollama.ResponseError, match="no memory"):
        await in_thread(lambda: list(theirs.chat("m", MESSAGES, stream=True)))


async def test_the_official_openai_client(openais, in_thread, simulator):
    create = openais.chat.completions.create
    whole = await in_thread(create, model="m", messages=MESSAGES)
    assert whole.choices[0].message.content == answer(PROMPT)
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (5, 16)
    options = {"include_usage": True}
    chunks = await in_thread(
        lambda: list(create(model="m", messages=MESSAGES, stream=True, stream_options=options))
    )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert said == answer(PROMPT)
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 16
    completion = await in_thread(openais.completions.create, model="m", prompt="a b", max_tokens=3)
    assert (completion.choices[0].text, completion.choices[0].finish_reason) == ("a b a", "length")
    vectors = await in_thread(
        openais.embeddings.create, model="m", input=["a"], encoding_format="float"
    )
    assert vectors.data[0].embedding == embedding("a")
    assert [model.id for model in await in_thread(openais.models.list)] == ["m"]
    simulator.push(Script(tool_calls=(ScriptedCall("f", {"n": 1}),)))
    called = await in_thread(create, model="m", messages=MESSAGES, tools=[{}])
    assert called.choices[0].message.tool_calls[0].function.arguments == '{"n":1}'
    assert called.choices[0].finish_reason == "tool_calls"


async def test_the_official_openai_client_meets_errors(openais, in_thread, simulator):
    create = openais.chat.completions.create
    with pytest.raises(openai.NotFoundError, match="not found"):
        await in_thread(create, model="x", messages=MESSAGES)
    simulator.push(Script(status=429, error="slow down"))
    with pytest.raises(openai.RateLimitError, match="slow down"):
        await in_thread(create, model="m", messages=MESSAGES)
    simulator.push(Script(fault="error", at=2, error="no memory"))
    with pytest.raises(openai.APIError, match="no memory"):
        await in_thread(lambda: list(create(model="m", messages=MESSAGES, stream=True)))


async def test_the_pages(http):
    root = await http.get("/")
    assert (root.status_code, root.text) == (200, "Ollama is running")
    head = await http.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert (await http.get("/api/version")).json() == {"version": "0.0.0-simulated"}
    assert (await http.get("/nowhere")).status_code == 404
    assert (await http.get("/api/chat")).status_code == 405
    assert (await http.get("/api/tags?x=1")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", b""),
        ("/api/chat", b"{"),
        ("/api/chat", b"\xff"),
        ("/api/chat", b'{"messages":[]}'),
        ("/api/chat", b'{"model":"m","messages":5}'),
        ("/api/generate", b"[" * 100_000),
        ("/api/embed", b'{"model":"m","input":5}'),
        ("/api/chat", b'{"model":"m","options":{"simulate":{"nonsense":1}}}'),
        ("/v1/chat/completions", b'{"model":"m"}'),
        ("/v1/embeddings", b"{}"),
        ("/api/show", b"{}"),
        ("/simulator/script", b'[{"nonsense":1}]'),
    ],
)
async def test_a_bad_request_is_400_in_the_form_of_its_api(http, path, body):
    response = await http.post(path, content=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"] if path.startswith("/v1") else isinstance(error, str)


async def test_it_can_be_controlled_from_another_process(http):
    pushed = await http.post("/simulator/script", json=[{"text": "as told"}, {"status": 503}])
    assert pushed.json() == {"queued": 2}
    body = {"model": "m", "messages": MESSAGES, "stream": False}
    told = await http.post("/api/chat", json=body, headers={"authorization": "Bearer sk-1"})
    assert told.json()["message"]["content"] == "as told"
    busy = await http.post("/api/chat", json=body)
    assert busy.status_code == 503
    first, second = (await http.get("/simulator/requests")).json()
    assert json.loads(first["body"]) == body
    assert ["authorization", "***"] in first["headers"]
    assert first["number"] == 1
    assert first["hung_up_at"] is None
    assert first["ended_at"] <= second["at"]


async def raw(url, *parts):
    """Send bytes over a socket of our own, and read until the server closes."""
    host, _, port = url.removeprefix("http://").partition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        for part in parts:
            await stream.send_all(part)
        answered = b""
        with trio.fail_after(5):
            async for data in stream:
                answered += data
    return answered


def posted(body, path=b"/api/chat", more=b""):
    head = b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n"
    return head % (path, more, len(body)) + body


async def test_a_cut_connection_breaks_inside_a_chunk(url, simulator):
    simulator.push(Script(fault="cut", at=1))
    body = json.dumps({"model": "m", "messages": MESSAGES}).encode()
    answered = await raw(url, posted(body))
    lines = answered.split(b"\r\n\r\n", 1)[1].split(b"\r\n")
    size, part = int(lines[2], 16), lines[3]
    assert 0 < len(part) < size


async def test_http_by_hand(url):
    get = b"GET /api/version HTTP/1.1\r\nHost: x\r\n"
    twice = await raw(url, get + b"\r\n" + get + b"Connection: close\r\n\r\n")
    assert twice.count(b"200") == 2
    assert (await raw(url, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")
    body = b'{"model":"m","messages":[],"stream":false}'
    waiting = await raw(url, posted(body, more=b"Expect: 100-continue\r\nConnection: close\r\n"))
    assert b"100" in waiting
    assert b'"done_reason":"load"' in waiting
    too_large = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
    assert (await raw(url, too_large + b"x")).startswith(b"HTTP/1.1 413")


async def test_a_caller_who_hangs_up_between_tokens_is_noticed(http, simulator):
    simulator.push(Script(rate=1))
    body = {"model": "m", "messages": MESSAGES}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: http.post("/api/chat", json=body))
        while not simulator.running:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    with trio.fail_after(2):
        await simulator.calls[0].hung_up.wait()
