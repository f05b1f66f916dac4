"""The calls beside those of chats, texts and embeddings: directly and through oq, byte for byte."""

from __future__ import annotations

import gzip
import json

import pytest
import trio

from oq.backends.simulated import Script, Simulator
from tests.gateway.test_as_made import before, http
from tests.support.gateway import site

FILE = bytes(range(256)) * 40
FORM = "multipart/form-data; boundary=b0undary"


def form(*fields: tuple[str, str], file: str = "file", name: str = "a.wav") -> bytes:
    parts = [
        f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields
    ]
    head = f'Content-Disposition: form-data; name="{file}"; filename="{name}"'
    parts.append(f"{head}\r\nContent-Type: audio/wav\r\n\r\n")
    texts = [b"--b0undary\r\n" + part.encode() for part in parts]
    return b"\r\n".join(texts) + FILE + b"\r\n--b0undary--\r\n"


MODEL = ("model", "m")
JSONS = {
    "/v1/rerank": {"model": "m", "query": "a b", "documents": ["a", "b a", "c"]},
    "/v1/reranking": {"query": "a b", "documents": ["a", "b a", "c"]},
    "/rerank": {"model": "m", "query": "a b", "texts": ["a", "b a"]},
    "/reranking": {"query": "a b", "documents": ["a"]},
    "/v1/images/generations": {"model": "m", "prompt": "a cat", "n": 2},
    "/v1/audio/speech": {"model": "m", "input": "so it is", "voice": "v"},
    "/v1/moderations": {"model": "m", "input": "so it is"},
    "/completion": {"prompt": "a b", "n_predict": 3},
    "/completions": {"model": "m", "prompt": "a b", "n_predict": 3},
    "/infill": {"input_prefix": "a", "input_suffix": "b"},
    "/chat/completions": {"messages": [{"role": "user", "content": "a b"}]},
    "/embedding": {"content": "a b"},
    "/embeddings": {"model": "m", "input": ["a", "b"]},
    "/tokenize": {"content": "abc"},
    "/detokenize": {"tokens": [97, 98]},
}
TYPES = {
    "rerank": ("/v1/rerank", "/v1/reranking", "/rerank", "/reranking"),
    "image": ("/v1/images/generations",),
    "speech": ("/v1/audio/speech",),
    "moderate": ("/v1/moderations",),
    "generate": ("/completion", "/completions", "/infill"),
    "chat": ("/chat/completions",),
    "embed": ("/embedding", "/embeddings"),
}
TYPE = {path: kind for kind, paths in TYPES.items() for path in paths}
STREAMED = {
    "/v1/images/generations": {"stream": True, "partial_images": 1},
    "/v1/audio/speech": {"stream_format": "sse"},
    "/completion": {"stream": True},
    "/completions": {"stream": True},
    "/infill": {"stream": True},
    "/chat/completions": {"stream": True},
}
KINDS = pytest.mark.parametrize("kind", ["openai", "ollama"])


def at_noon() -> Simulator:
    """One whose answers have always the same time."""
    return Simulator(models={"m"}, default=Script(load=0, rate=0))


def same(direct, through, *, timed=("created", "created_at", "timings")) -> None:
    """The answers are the same but for the time at which they were made."""
    assert through.status_code == direct.status_code
    assert through.headers["Content-Type"] == direct.headers["Content-Type"]
    if direct.headers["Content-Type"].startswith("application/json"):
        first, second = direct.json(), through.json()
        for name in timed:
            if isinstance(first, dict):
                first.pop(name, None)
                second.pop(name, None)
        assert second == first
    else:
        assert len(through.content) == len(direct.content)


@KINDS
@pytest.mark.parametrize("path", JSONS)
async def test_a_call_is_answered_as_by_the_server(path, kind):
    async with site(at_noon(), kind=kind) as here:
        direct, through = await here.both("POST", path, json=JSONS[path])
        assert direct.status_code == 200
        same(direct, through)
        first, second = here.bodies(path)
        assert first == second
        if path not in TYPE:
            assert "X-OQ-Task-ID" not in through.headers
            return
        task = await here.task(through)
        assert (task["type"], task["status"]) == (TYPE[path], "completed")
        assert task["model"] == JSONS[path].get("model", "default")


@KINDS
@pytest.mark.parametrize("path", STREAMED)
async def test_it_streams(path, kind):
    async with site(at_noon(), kind=kind) as here:
        asked = JSONS[path] | STREAMED[path]
        direct, through = await here.both("POST", path, json=asked)
        assert through.headers["Content-Type"] == "text/event-stream"
        assert len(through.content.splitlines()) == len(direct.content.splitlines()) > 3
        task = await here.task(through)
        assert task["status"] == "completed"
        result = task["result"]
        match TYPE[path]:
            case "image":
                assert result["data"][0]["b64_json"]
            case "speech":
                assert result["audio"]
            case "chat":
                assert result["choices"][0]["message"]["content"]
            case _:
                assert result["content"]
                assert result["stop"] is True


@KINDS
@pytest.mark.parametrize(
    ("path", "kind_of_task", "body"),
    [
        ("/v1/audio/transcriptions", "transcribe", form(MODEL)),
        ("/v1/audio/transcriptions", "transcribe", form(MODEL, ("stream", "true"))),
        ("/v1/audio/transcriptions", "transcribe", form(MODEL, ("response_format", "text"))),
        ("/v1/audio/transcriptions", "transcribe", form(MODEL, ("response_format", "vtt"))),
        ("/v1/audio/translations", "transcribe", form(MODEL)),
        ("/v1/images/edits", "image", form(MODEL, ("prompt", "red"), file="image", name="a.png")),
    ],
)
async def test_a_form_goes_up_as_it_came(path, kind_of_task, body, kind):
    async with site(at_noon(), kind=kind) as here:
        headers = {"Content-Type": FORM}
        direct, through = await here.both("POST", path, content=body, headers=headers)
        assert direct.status_code == 200
        same(direct, through)
        assert here.bodies(path) == [body, body]
        sent = [dict(call.headers) for call in here.simulator.asked(path)]
        assert {name: value for name, value in sent[1].items() if name.lower() == "content-type"}
        task = await here.task(through)
        assert (task["type"], task["model"], task["status"]) == (kind_of_task, "m", "completed")
        file = task["payload"]["image" if kind_of_task == "image" else "file"]
        assert file["bytes"] == len(FILE)
        if kind_of_task == "transcribe":
            assert task["result"]["text"]


async def test_what_the_server_refuses_is_refused_in_its_words():
    async with site(at_noon(), kind="openai") as here:
        for path, body in [("/v1/rerank", b"{"), ("/v1/audio/speech", b""), ("/completion", b"[]")]:
            direct, through = await here.both("POST", path, content=body)
            assert direct.status_code >= 400
            assert (through.status_code, through.content) == (direct.status_code, direct.content)


async def test_a_path_that_the_server_lacks():
    async with site(Simulator(lacks={"/v1/rerank"}), kind="ollama") as here:
        direct, through = await here.both("POST", "/v1/rerank", json=JSONS["/v1/rerank"])
        assert (through.status_code, through.content) == (404, direct.content)


async def test_the_same_key_gives_the_same_sound_again():
    async with site(at_noon(), kind="openai") as here:
        path, headers = "/v1/audio/speech", {"Idempotency-Key": "k"}
        first = await here.oq.post(path, json=JSONS[path], headers=headers)
        again = await here.oq.post(path, json=JSONS[path], headers=headers)
        assert first.content == again.content
        assert first.headers["Content-Type"] == again.headers["Content-Type"] == "audio/mpeg"
        assert len(here.bodies(path)) == 1
        task = await here.task(first)
        assert task["result"] == {"content_type": "audio/mpeg", "bytes": len(first.content)}


async def test_a_form_that_is_sent_again_has_another_boundary():
    async with site(at_noon(), kind="openai") as here:
        path, headers = "/v1/audio/transcriptions", {"Idempotency-Key": "k"}
        form = {"data": {"model": "m"}, "files": {"file": ("a.wav", b"RIFF")}}
        first = await here.oq.post(path, headers=headers, **form)
        again = await here.oq.post(path, headers=headers, **form)
        kinds = {answer.request.headers["Content-Type"] for answer in (first, again)}
        assert len(kinds) == 2
        assert (again.status_code, again.content) == (200, first.content)
        assert len(here.bodies(path)) == 1
        form["data"] = {"model": "another"}
        assert (await here.oq.post(path, headers=headers, **form)).status_code == 409


async def test_who_hangs_up_stops_the_server():
    simulator = Simulator(default=Script(fault="hang"))
    async with site(simulator, kind="openai") as here:
        path = "/v1/audio/speech"
        with trio.move_on_after(10) as scope:
            async with trio.open_nursery() as nursery:

                async def ask() -> None:
                    await here.oq.post(path, json=JSONS[path], timeout=30)

                nursery.start_soon(ask)
                while not simulator.asked(path):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            (call,) = simulator.asked(path)
            while call.hung_up_at is None:
                await trio.lowlevel.checkpoint()
        assert not scope.cancelled_caught
        listed = (await here.oq.get("/api/tasks", params={"type": "speech"})).json()
        assert [task["type"] for task in listed] == ["speech"]


async def test_such_a_task_cannot_be_submitted():
    async with site(at_noon()) as here:
        for kind in ("rerank", "image", "speech", "transcribe", "moderate"):
            body = json.dumps({"type": kind, "model": "m", "payload": {}})
            answer = await here.oq.post("/api/tasks", content=body)
            assert answer.status_code == 400
            assert "is made by a call of an API" in answer.json()["error"]


@KINDS
async def test_a_compressed_body_goes_up_compressed_and_is_read(kind):
    body = gzip.compress(json.dumps(JSONS["/v1/rerank"]).encode())
    async with site(at_noon(), kind=kind) as here:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        answer = await here.oq.post("/v1/rerank", content=body, headers=headers)
        assert here.bodies("/v1/rerank") == [body]
        task = await here.task(answer)
        assert (task["model"], task["payload"]["query"]) == ("m", "a b")


async def test_a_bomb_is_refused_like_any_body_of_that_size():
    async with site(at_noon(), queue={"max_payload": 1_000_000}) as here:
        for body, headers in [
            (gzip.compress(b"\0" * 2_000_000, mtime=0), {"Content-Encoding": "gzip"}),
            (b"\0" * 2_000_000, {}),
        ]:
            answer = await here.oq.post("/v1/rerank", content=body, headers=headers)
            assert answer.status_code == 413
            assert "1000000" in answer.json()["error"]["message"]


async def test_the_values_that_count_are_those_of_what_is_read():
    sound = b"[," * 100_000
    parts = form(MODEL).replace(FILE, sound)
    many = gzip.compress(b'{"model":"m","query":[%b1]}' % (b"1," * 100_000))
    async with site(at_noon(), queue={"max_values": 50_000}) as here:
        path, headers = "/v1/audio/transcriptions", {"Content-Type": FORM}
        assert (await here.oq.post(path, content=parts, headers=headers)).status_code == 200
        headers = {"Content-Encoding": "gzip"}
        refused = await here.oq.post("/v1/rerank", content=many, headers=headers)
        assert refused.status_code == 400
        assert "queue.max_values" in refused.json()["error"]["message"]


async def test_what_a_llama_cpp_server_says_of_itself_is_passed_on():
    said = http(b'{"total_slots":4}', "200 OK", "Content-Type: application/json")
    async with before(said) as (here, requests):
        asked = [("GET", "/props"), ("GET", "/props?model=m"), ("GET", "/slots?fail_on_no_slot=1")]
        for method, target in [*asked, ("POST", "/apply-template")]:
            answer = await here.oq.request(method, target)
            assert (answer.status_code, answer.content) == (200, b'{"total_slots":4}')
            assert "X-OQ-Task-ID" not in answer.headers
            assert target.encode() in [request.target for request, _ in requests]
        assert (await here.oq.post("/props", json={"a": 1})).status_code == 403
        for method, target in [("POST", "/slots/0"), ("GET", "/props/a"), ("POST", "/slots")]:
            assert (await here.oq.request(method, target)).status_code in (404, 405)
        assert not {b"/slots/0", b"/props/a"} & {request.target for request, _ in requests}
