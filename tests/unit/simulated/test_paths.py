"""The paths that real servers have beside Ollama's and OpenAI's first ones, read by the official
client where there is one, and by hand.
"""

from __future__ import annotations

import base64
import json

import httpx
import openai
import pytest
import trio

from oq.backends.simulated import Script, ScriptedCall, Simulator
from oq.backends.simulated.running import RUNS
from oq.backends.simulated.server import serve_simulator
from oq.backends.simulated.text import answer

PROMPT = "why is the sky blue"
MESSAGES = [{"role": "user", "content": PROMPT}]


@pytest.fixture
def simulator():
    return Simulator(models={"m"}, lacks={"/v1/moderations"})


@pytest.fixture
async def url(nursery, simulator):
    return await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)


@pytest.fixture
async def http(url):
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as client:
        yield client


@pytest.fixture
def openais(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture
def in_thread():
    async def call(function, *args, **kwargs):
        return await trio.to_thread.run_sync(lambda: function(*args, **kwargs))

    return call


def events(text):
    """The events of a stream: their names and their data."""
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    fields = [dict(line.split(": ", 1) for line in lines) for lines in blocks]
    return [(block.get("event"), block["data"]) for block in fields]


async def test_responses(openais, in_thread, simulator):
    create = openais.responses.create
    whole = await in_thread(create, model="m", input=PROMPT)
    assert whole.output_text == answer(PROMPT)
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (5, 16)
    simulator.push(Script(text="so it is", thinking="let me see"))
    stream = await in_thread(
        lambda: list(create(model="m", input=PROMPT, stream=True, reasoning={"effort": "low"}))
    )
    assert [event.sequence_number for event in stream] == list(range(len(stream)))
    assert stream[-1].response.output_text == "so it is"
    said = [event.delta for event in stream if event.type == "response.output_text.delta"]
    assert said == ["so", " it", " is"]
    thought, message = stream[-1].response.output
    assert (thought.summary[0].text, message.id) == ("let me see", "msg_simulated_1")


async def test_responses_that_call_tools(openais, in_thread, simulator):
    tool = {"type": "function", "name": "f", "parameters": {}, "strict": False}
    simulator.default = Script(tool_calls=(ScriptedCall("f", {"n": 1}), ScriptedCall("g")))
    ask = {"model": "m", "input": [{"role": "user", "content": PROMPT}], "tools": [tool]}
    whole = await in_thread(openais.responses.create, **ask)
    stream = await in_thread(lambda: list(openais.responses.create(**ask, stream=True)))
    for response in (whole, stream[-1].response):
        made = [(call.call_id, call.name, call.arguments) for call in response.output]
        assert made == [("call_0", "f", '{"n":1}'), ("call_1", "g", "{}")]


async def test_messages(http, simulator):
    ask = {"model": "m", "max_tokens": 100, "messages": MESSAGES}
    whole = (await http.post("/v1/messages", json=ask)).json()
    assert whole["content"] == [{"type": "text", "text": answer(PROMPT)}]
    assert whole["usage"] == {"input_tokens": 5, "output_tokens": 16}
    simulator.push(Script(text="so", thinking="hm", tool_calls=(ScriptedCall("f", {"n": 1}),)))
    more = {"stream": True, "thinking": {"type": "enabled"}, "tools": [{"name": "f"}]}
    stream = events((await http.post("/v1/messages", json=ask | more)).text)
    assert [name for name, _ in stream] == [
        "message_start",
        *["content_block_start", "content_block_delta", "content_block_stop"] * 3,
        "message_delta",
        "message_stop",
    ]
    blocks = [json.loads(data) for name, data in stream if name == "content_block_start"]
    assert [(b["index"], b["content_block"]["type"]) for b in blocks] == [
        (0, "thinking"),
        (1, "text"),
        (2, "tool_use"),
    ]
    assert json.loads(stream[-2][1])["delta"] == {"stop_reason": "tool_use"}
    count = await http.post("/v1/messages/count_tokens", json=ask)
    assert count.json() == {"input_tokens": 5}
    wrong = await http.post("/v1/messages", json={"model": "m", "messages": MESSAGES})
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_llamas_own(http):
    whole = (await http.post("/completion", json={"prompt": "a b", "n_predict": 3})).json()
    assert (whole["content"], whole["stop_type"]) == ("a b a", "limit")
    several = (await http.post("/completion", json={"prompt": ["a", "b"]})).json()
    assert [(one["index"], one["content"][0]) for one in several] == [(0, "a"), (1, "b")]
    stream = await http.post("/completion", json={"prompt": "a b", "n_predict": 2, "stream": True})
    parts = [json.loads(data) for _, data in events(stream.text)]
    assert [part["content"] for part in parts] == ["a", " b", ""]
    assert [part["stop"] for part in parts] == [False, False, True]
    infill = await http.post("/infill", json={"input_prefix": "def", "input_suffix": "end"})
    assert infill.json()["content"].startswith("def end")
    wrong = await http.post("/infill", json={"input_prefix": "def"})
    assert wrong.json()["error"] == {
        "code": 400,
        "message": '"input_suffix" is required',
        "type": "invalid_request_error",
    }
    tokens = (await http.post("/tokenize", json={"content": "añ🙂"})).json()
    assert tokens == {"tokens": [97, 241, 128578]}
    assert (await http.post("/detokenize", json={"tokens": [97, 241]})).json() == {"content": "añ"}


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/reranking", "/v1/reranking"])
async def test_rerank(http, path):
    ask = {"model": "m", "query": "blue sky", "documents": ["the sea", "a blue sky", "sky"]}
    ranked = (await http.post(path, json=ask)).json()
    assert [result["index"] for result in ranked["results"]] == [1, 2, 0]
    top = (await http.post(path, json=ask | {"top_n": 1})).json()
    assert top["results"] == ranked["results"][:1]
    texts = {"query": "sky", "texts": ["sea", "sky"], "return_text": True}
    assert (await http.post(path, json=texts)).json()[0]["text"] == "sky"


async def test_images(openais, in_thread):
    made = await in_thread(openais.images.generate, model="m", prompt="a queue", n=2)
    first, second = (base64.b64decode(image.b64_json) for image in made.data)
    assert first == second
    assert first.startswith(b"\x89PNG")
    stream = await in_thread(
        lambda: list(
            openais.images.generate(model="m", prompt="a queue", stream=True, partial_images=2)
        )
    )
    assert [event.type.split(".")[1] for event in stream] == ["partial_image"] * 2 + ["completed"]
    edited = await in_thread(openais.images.edit, model="m", image=b"\x89PNG", prompt="a queue")
    assert base64.b64decode(edited.data[0].b64_json) == first


async def test_audio(openais, in_thread, http):
    spoken = await in_thread(openais.audio.speech.create, model="m", voice="a", input="hello there")
    assert len(set(spoken.content)) == 256
    assert len(spoken.content) == 16 * 256
    ask = {"model": "m", "voice": "a", "input": "hello", "response_format": "wav"}
    wav = await http.post("/v1/audio/speech", json=ask)
    assert (wav.headers["content-type"], wav.content[:4]) == ("audio/wav", b"RIFF")
    stream = await http.post("/v1/audio/speech", json=ask | {"stream_format": "sse"})
    assert json.loads(events(stream.text)[-1][1])["type"] == "speech.audio.done"
    heard = openais.audio.transcriptions.create
    file = ("talk.wav", spoken.content)
    text = answer("talk.wav has 4096 bytes")
    assert (await in_thread(heard, model="m", file=file)).text == text
    plain = await in_thread(heard, model="m", file=file, response_format="text")
    assert plain == text + "\n"
    parts = await in_thread(lambda: list(heard(model="m", file=file, stream=True)))
    assert (len(parts), parts[-1].text) == (17, text)
    form = {"files": {"file": file}, "data": {"model": "m"}}
    assert (await http.post("/v1/audio/translations", **form)).json() == {"text": text}


async def test_moderations_and_what_a_server_lacks(http, simulator):
    ask = {"model": "m", "input": ["a", "b"]}
    lacking = await http.post("/v1/moderations", json=ask)
    assert (lacking.status_code, lacking.text) == (404, "404 page not found")
    simulator.lacks = frozenset()
    assert [
        r["flagged"] for r in (await http.post("/v1/moderations", json=ask)).json()["results"]
    ] == [
        False,
        False,
    ]


@pytest.mark.parametrize("path", [path for path in RUNS if path != "/v1/moderations"])
async def test_a_script_holds_on_every_path(http, simulator, path):
    simulator.default = Script(status=429, error="too fast", headers=(("x-request-id", "r1"),))
    form = {"file": ("a", b"a"), "image": ("a", b"a")}
    fields = {
        "model": "m",
        "messages": MESSAGES,
        "max_tokens": 5,
        "prompt": "a",
        "input": "a",
        "query": "a",
        "documents": ["a"],
        "input_prefix": "a",
        "input_suffix": "a",
    }
    if path in ("/v1/images/edits", "/v1/audio/transcriptions", "/v1/audio/translations"):
        refused = await http.post(path, data={"model": "m", "prompt": "a"}, files=form)
    else:
        refused = await http.post(path, json=fields)
    assert (refused.status_code, refused.headers["x-request-id"]) == (429, "r1")
    assert "too fast" in refused.text
    assert refused.reason_phrase == "Too Many Requests"
