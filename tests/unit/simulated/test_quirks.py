"""The habits of real servers that a script can ask for, and its raw bytes, heads and refusals."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from oq.backends.simulated import Script, ScriptedCall, Simulator
from oq.backends.simulated.server import serve_simulator
from tests.unit.simulated.wire import raw_answer

MESSAGES = [{"role": "user", "content": "why so"}]
TWO_CALLS = (ScriptedCall("f", {"n": 1}), ScriptedCall("g", {"n": 2}))


@pytest.fixture
def simulator():
    return Simulator(models={"m"}, timed=False)


@pytest.fixture
async def url(nursery, simulator):
    return await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)


@pytest.fixture
async def http(url):
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as client:
        yield client


@pytest.fixture
def stream(http, simulator):
    """The text of a chat stream that follows a script."""

    async def ask(path="/v1/chat/completions", more=None, **script):
        simulator.push(Script(**script))
        body = {"model": "m", "messages": MESSAGES, "stream": True, "tools": [{}], **(more or {})}
        return (await http.post(path, json=body)).text

    return ask


def documents(text):
    return [json.loads(part[6:]) for part in text.split("\n\n") if part[6:7] in ("{", "n")]


def tool_deltas(text):
    choices = [d["choices"][0] for d in documents(text)]
    return [choice["delta"] for choice in choices if "tool_calls" in choice["delta"]]


@pytest.mark.parametrize(
    ("quirk", "deltas"),
    [
        ("roles", lambda d: [x.get("role") for x in d] == ["assistant"] * 4),
        ("names", lambda d: names(d) == ["f", "f", "g", "g"]),
        ("same_index", lambda d: [x["tool_calls"][0]["index"] for x in d] == [0] * 4),
        ("no_index", lambda d: not any("index" in x["tool_calls"][0] for x in d)),
        ("no_arguments", lambda d: not any("arguments" in f for f in functions(d))),
    ],
)
async def test_quirks_of_tool_calls(stream, quirk, deltas):
    plain = tool_deltas(await stream(tool_calls=TWO_CALLS))
    assert not deltas(plain)
    assert deltas(tool_deltas(await stream(tool_calls=TWO_CALLS, quirks=(quirk,))))


def functions(deltas):
    return [delta["tool_calls"][0]["function"] for delta in deltas]


def names(deltas):
    return [function.get("name") for function in functions(deltas)]


async def test_nulls(stream):
    first, second, *_ = documents(await stream(tokens=1, quirks=("null_data", "null_choices")))
    assert (first, second["choices"]) == (None, None)
    first, second, *_ = documents(await stream(tokens=1, quirks=("null_delta",)))
    assert (first["choices"][0]["delta"], second["choices"][0]["delta"]["content"]) == (None, "why")


async def test_a_character_in_halves(stream):
    text = await stream(text="a🙂b", quirks=("surrogates",))
    assert r'"content":"a\ud83d"' in text
    assert r'"content":"\ude42b"' in text
    lines = await stream("/api/chat", text="a🙂b", more={"options": {}}, quirks=("surrogates",))
    assert [r"a\ud83d" in line for line in lines.splitlines()] == [True, False, False]


async def test_counts_and_vectors(stream, http, simulator):
    text = await stream(quirks=("float_tokens",), more={"stream_options": {"include_usage": True}})
    assert '"completion_tokens":16.0' in text
    simulator.default = Script(quirks=("nan",))
    ask = {"model": "m", "input": ["a", "b"]}
    for path in ("/api/embed", "/v1/embeddings", "/api/embeddings"):
        body = {"model": "m", "prompt": "a"} if path == "/api/embeddings" else ask
        assert "[NaN," in (await http.post(path, json=body)).text


async def test_streams_that_say_nothing(stream):
    assert await stream(quirks=("done_alone",)) == "data: [DONE]\n\n"
    more = {"stream_options": {"include_usage": True}}
    usage, end = (await stream(quirks=("usage_alone",), more=more)).strip().split("\n\n")
    assert (json.loads(usage[6:])["choices"], end) == ([], "data: [DONE]")
    assert "[DONE]" not in await stream(quirks=("no_done",))


async def test_framing(stream):
    assert (await stream(tokens=1, quirks=("crlf",))).count("\r\n\r\n") == 3
    commented = await stream(tokens=1, quirks=("comments", "blank_lines"))
    assert commented.startswith(": keep-alive\n\ndata: {")
    assert "}\n\n\n: keep" in commented
    spaced = await stream(tokens=1, quirks=("spaced", "sorted"))
    assert spaced.startswith('data: {"choices": [{"delta": {"content": "why", "role": ')


async def test_several_choices(http, simulator):
    ask = {"model": "m", "prompt": ["a b", "c d"], "n": 2, "max_tokens": 2}
    whole = (await http.post("/v1/completions", json=ask)).json()
    texts = [(choice["index"], choice["text"]) for choice in whole["choices"]]
    assert texts == [(0, "a b"), (1, "b a"), (2, "c d"), (3, "d c")]
    assert whole["usage"]["completion_tokens"] == 8
    simulator.push(Script(quirks=("swapped",)))
    swapped = (await http.post("/v1/completions", json=ask)).json()
    assert [choice["index"] for choice in swapped["choices"]] == [3, 2, 1, 0]
    body = (await http.post("/v1/completions", json={**ask, "stream": True})).text
    order = [d["choices"][0]["index"] for d in documents(body)]
    assert order == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]


async def test_a_schema_that_max_tokens_cuts(http):
    ask = {"model": "m", "messages": MESSAGES, "max_tokens": 1}
    asked = ask | {"response_format": {"type": "json_object"}}
    [choice] = (await http.post("/v1/chat/completions", json=asked)).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ('{"answer":"why', "length")


async def test_errors_have_further_fields(stream, http, simulator):
    script = {"fault": "error", "error": "too long", "error_fields": {"code": 400, "n_ctx": 4096}}
    for at in (0, 1):
        [error] = [d["error"] for d in documents(await stream(**script, at=at)) if "error" in d]
        assert (error["message"], error["code"], error["n_ctx"]) == ("too long", 400, 4096)
    simulator.push(Script(**script, status=200))
    hidden = await http.post("/v1/chat/completions", json={"model": "m", "messages": MESSAGES})
    assert (hidden.status_code, hidden.json()["error"]["n_ctx"]) == (200, 4096)


async def test_only_some_bodies_are_refused(http, simulator):
    simulator.default = Script(status=422, error="no streams", refuses=("stream", "stream_options"))
    ask = {"model": "m", "messages": MESSAGES}
    answers = [
        (await http.post("/v1/chat/completions", json=ask | more)).status_code
        for more in ({}, {"stream": False}, {"stream": True}, {"stream_options": {}})
    ]
    assert answers == [200, 200, 422, 422]


async def test_heads_and_raw_bytes(url, simulator):
    simulator.push(
        Script(
            status=404,
            reason="Nobody Home",
            headers=(("X-Request-ID", "r1"), ("location", "/x")),
            content_type="text/odd",
            body=base64.b64encode(b"\xff\x00").decode(),
            base64=True,
        )
    )
    ask = json.dumps({"model": "m", "messages": MESSAGES}).encode()
    head, body = await raw_answer(url, "/v1/chat/completions", ask)
    assert head.startswith(b"HTTP/1.1 404 Nobody Home\r\n")
    assert b"Content-Type: text/odd\r\nX-Request-ID: r1\r\nlocation: /x\r\n" in head
    assert body == b"\xff\x00"
    simulator.push(Script(frames=("data: 1\n", "\ndata: 2\n\n"), fault="cut_between", at=1))
    head, body = await raw_answer(url, "/v1/chat/completions", ask)
    assert body == b"8\r\ndata: 1\n\r\n", "the connection ends behind the first piece"
    simulator.push(Script(frames=("data: 1\n", "\n")))
    head, body = await raw_answer(url, "/v1/chat/completions", ask, whole=False)
    assert body == b"8\r\ndata: 1\n\r\n1\r\n\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/api/chat/", 307, "/api/chat"),
        ("//api/chat", 307, "/api/chat"),
        ("/api/nothing/", 404, None),
    ],
)
async def test_paths_with_an_empty_part_are_redirected(http, path, status, location):
    answer = await http.post(httpx.URL(http.base_url, raw_path=path.encode()), content=b"{}")
    assert (answer.status_code, answer.headers.get("location")) == (status, location)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "missing request body"),
        (b"null", "model is required"),
        (b'{"model":"m","prompt":"a', "unexpected EOF"),
        (b'{"model":"m","stream":"x"}', "json: cannot unmarshal string into Go struct field"
         " GenerateRequest.stream of type bool"),
        (b"what", "invalid character 'w' looking for beginning of value"),
    ],
)  # fmt: skip
async def test_bad_bodies_in_gos_words(http, body, error):
    answer = await http.post("/api/generate", content=body)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


@pytest.mark.parametrize(
    "body",
    [
        b'{"Model":"m","PROMPT":"a b","Stream":false}',
        b'{"model":"m","prompt":"a b","stream":false}{"model":"other"}',
        b'{"model":"m","prompt":"a b","stream":false} and more',
    ],
)
async def test_odd_bodies_are_read_as_go_reads_them(http, body):
    assert (await http.post("/api/generate", content=body)).json()["response"].startswith("a b a")


async def test_a_prompt_that_is_only_rendered(http):
    ask = {"model": "m", "prompt": "why", "_debug_render_only": True}
    answer = (await http.post("/api/generate", json=ask)).json()
    assert (answer["done"], answer["_debug_info"]) == (False, {"rendered_template": "why\n"})
