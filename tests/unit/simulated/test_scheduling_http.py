"""What the simulated machine's order looks like over HTTP, in the form of each API."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.testing

from oq.backends.simulated import Script, Simulator
from oq.backends.simulated.server import serve_simulator

CHAT = {"messages": [{"role": "user", "content": "one two three"}]}
ASKS = {
    "/api/generate": {"prompt": "one two three"},
    "/api/chat": CHAT,
    "/api/embed": {"input": "one"},
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"prompt": "one two three"},
    "/v1/messages": CHAT | {"max_tokens": 50},
    "/v1/responses": {"input": "one two three"},
}
FULL = "server busy, please try again.  maximum pending requests exceeded"
KILLED = "an error was encountered while running the model: unexpected EOF"


@asynccontextmanager
async def served(simulator, url="http://127.0.0.1:0"):
    """A client of the simulator, which is gone afterwards."""
    port = int(url.rpartition(":")[2])
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_simulator, "127.0.0.1", port, simulator)
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=1000) as http:
            yield http
        nursery.cancel_scope.cancel()


async def ask(http, path, model="m", stream=False, **fields):
    body = {"model": model, "stream": stream, **ASKS[path], **fields}
    return await http.post(path, json=body)


def slow(**script):
    return {"simulate": {"delay": 100, **script}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ASKS)
async def test_a_full_line_is_503_without_retry_after(autojump_clock, path, stream):
    simulator = Simulator(max_queue=0, load=100)
    async with served(simulator) as http, trio.open_nursery() as nursery:
        nursery.start_soon(ask, http, "/api/generate", "other")
        await trio.sleep(1)
        began = trio.current_time()
        refused = await ask(http, path, stream=stream)
        assert trio.current_time() == began
        nursery.cancel_scope.cancel()
    assert refused.status_code == 503
    assert "retry-after" not in refused.headers
    said = refused.json()
    if path.startswith("/api/"):
        assert said == {"error": FULL}
    elif path == "/v1/messages":
        assert said["error"] == {"type": "overloaded_error", "message": FULL}
    else:
        error = {"message": FULL, "type": "api_error", "param": None, "code": None}
        assert said == {"error": error}


async def test_what_loads_is_not_listed_and_pages_do_not_wait(autojump_clock):
    simulator = Simulator(models={"m:latest", "n:latest"}, load=100)
    async with served(simulator) as http, trio.open_nursery() as nursery:
        nursery.start_soon(ask, http, "/api/chat")
        await trio.sleep(99)
        assert (await http.get("/api/ps")).json() == {"models": []}
        await trio.sleep(2)
        [loaded] = (await http.get("/api/ps")).json()["models"]
        listed = (await http.get("/api/tags")).json()["models"]
        assert trio.current_time() - simulator.calls[0].at == 101
    assert loaded["name"] == "m"
    digests = {model["name"]: model["digest"] for model in listed}
    assert loaded["digest"] == digests["m:latest"] != digests["n:latest"]


async def test_a_copy_has_the_digest_of_its_source_and_a_derived_model_has_not():
    simulator = Simulator(models={"m:latest"}, load=0)
    async with served(simulator) as http:
        await http.post("/api/copy", json={"source": "m", "destination": "mine"})
        await http.post("/api/create", json={"model": "made", "from": "m", "system": "x"})
        for model in ("m", "mine", "made"):
            await ask(http, "/api/generate", model)
        listed = (await http.get("/api/tags")).json()["models"]
        await http.request("DELETE", "/api/delete", json={"model": "mine"})
        [loaded] = (await http.get("/api/ps")).json()["models"]
    digests = {model["name"]: model["digest"] for model in listed}
    assert digests["m:latest"] == digests["mine:latest"] != digests["made:latest"]
    assert loaded["name"] == "m", "to delete a name unloads nothing"
    assert simulator.loaded.loads == ["m"]


async def test_load_and_unload_calls_are_answered_whole(autojump_clock):
    async with served(Simulator(load=5)) as http:
        load = await http.post("/api/generate", json={"model": "m"})
        assert load.headers["content-type"] == "application/json; charset=utf-8"
        assert load.json().keys() == {"model", "created_at", "response", "done", "done_reason"}
        assert load.json()["done_reason"] == "load"
        body = {"model": "m", "messages": [], "keep_alive": "0"}
        assert (await http.post("/api/chat", json=body)).json()["done_reason"] == "unload"
        assert (await http.get("/api/ps")).json() == {"models": []}
        embed = await http.post("/api/embed", json={"model": "m", "input": []})
        assert embed.json() == {"model": "m", "embeddings": []}
        body = {"model": "m", "prompt": "x", "keep_alive": "soon"}
        assert (await http.post("/api/generate", json=body)).status_code == 400


@pytest.mark.parametrize("path", [path for path in ASKS if path != "/api/embed"])
async def test_how_a_stream_ends_whose_model_is_killed(path):
    simulator = Simulator(Script(fault="killed", at=2))
    async with served(simulator) as http:
        text = (await ask(http, path, stream=True)).text
    blocks = text.strip().split("\n" if path.startswith("/api/") else "\n\n")
    last = blocks[-1]
    assert "[DONE]" not in text
    if path.startswith("/api/"):
        assert json.loads(last) == {"error": KILLED}
        assert len(blocks) == 3
        return
    last = last.partition("data: ")[2]
    if path.startswith(("/v1/chat", "/v1/completions")):
        event = json.loads(last)
        assert event["model"] == ""
        [choice] = event["choices"]
        assert choice["finish_reason"] is None
        assert choice.get("text") == "" or choice["delta"] == {"content": ""}
        assert "error" not in event
    else:
        assert "delta" in json.loads(last)["type"], "Ollama says nothing of it in this API"


@pytest.mark.parametrize("path", ASKS)
async def test_a_model_that_is_killed_before_an_answer_has_begun(path):
    async with served(Simulator(Script(fault="killed", at=2))) as http:
        whole = await ask(http, path)
        assert whole.status_code == 500
        assert KILLED in whole.text
        if path != "/api/embed":
            first = await ask(http, path, stream=True, simulate={"fault": "killed"})
            assert first.status_code in (200, 500)  # Ollama's own calls have it in their options


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ASKS)
async def test_a_caller_who_hangs_up_frees_the_slot_at_once(autojump_clock, path, stream):
    simulator = Simulator(Script(delay=100), parallel=1)
    async with served(simulator) as http:
        with trio.move_on_after(3):
            await ask(http, path, stream=stream)
        simulator.default = Script()
        began = trio.current_time()
        assert (await ask(http, path, stream=stream)).status_code == 200
        assert trio.current_time() - began < 0.3
    assert simulator.calls[0].hung_up_at - simulator.calls[0].at == pytest.approx(3, abs=0.3)


async def test_a_server_that_is_gone_comes_back_with_nothing_loaded(nursery):
    simulator = Simulator(Script(fault="hang", at=2))
    serving = trio.CancelScope()

    async def serve(port, task_status):
        with serving:
            await serve_simulator("127.0.0.1", port, simulator, task_status=task_status)

    url = await nursery.start(serve, 0)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:

        async def read_and_stop_it():
            body = {"model": "m", "prompt": "one two three"}
            async with http.stream("POST", "/api/generate", json=body) as answer:
                async for _ in answer.aiter_lines():
                    serving.cancel()

        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await read_and_stop_it()
        with pytest.raises(httpx.ConnectError):
            await http.get("/api/ps")
        assert simulator.running == 0
        serving, simulator.default = trio.CancelScope(), Script()
        simulator.restart()
        await nursery.start(serve, int(url.rpartition(":")[2]))
        assert (await http.get("/api/ps")).json() == {"models": []}
        assert (await ask(http, "/api/generate")).status_code == 200
        assert simulator.loaded.loads == ["m"]
    nursery.cancel_scope.cancel()


# The router's. Each was seen once with llama.cpp b11434 and five models of SmolLM2: the statuses
# loading and loaded in a swap, /props?model= that loads, both 400s, 32 calls that ended as sixteen
# for b and then sixteen for a (12.2 s), a slot that was free .07 s after a caller who streamed had
# hung up and 4.4 s after one who did not, and a swap that waited 10.9 s for such a call.

ROUTED = "/v1/chat/completions"


@pytest.fixture
def router():
    return Simulator(models={"a", "b"}, load=10, router=True, max_models=1, parallel=1)


async def status(http):
    models = (await http.get("/models")).json()["data"]
    return {model["id"]: model["status"]["value"] for model in models}


async def test_the_router_says_what_is_loaded_and_how_many_slots_it_has(autojump_clock, router):
    async with served(router) as http:
        assert await status(http) == {"a": "unloaded", "b": "unloaded"}
        props = (await http.get("/props")).json()
        assert (props["role"], props["max_instances"]) == ("router", 1)
        unloaded = await http.get("/props", params={"model": "a", "autoload": "false"})
        assert (unloaded.status_code, unloaded.json()["error"]["message"]) == (
            400, "model is not loaded"
        )  # fmt: skip
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, http, ROUTED, "a")
            await trio.sleep(5)
            assert await status(http) == {"a": "loading", "b": "unloaded"}
        assert await status(http) == {"a": "loaded", "b": "unloaded"}
        props = await http.get("/props", params={"model": "b"})
        assert props.json()["total_slots"] == 1
        assert await status(http) == {"a": "unloaded", "b": "loaded"}, "it was loaded for that"
        assert router.loaded.loads == ["a", "b"]


async def test_the_router_has_its_own_errors(autojump_clock, router):
    async with served(router) as http:
        unknown = await ask(http, ROUTED, "x")
        error = {"code": 400, "message": "model 'x' not found", "type": "invalid_request_error"}
        assert (unknown.status_code, unknown.json()) == (400, {"error": error})
        router.push(Script(status=500, error="proxy error: Could not establish connection"))
        router.push(Script(status=503, error="Loading model"))
        assert [(await ask(http, ROUTED, "a")).status_code for _ in range(3)] == [500, 503, 200]
        for path in ("/api/tags", "/api/ps", "/api/version"):
            assert (await http.get(path)).status_code == 404
        missing = await ask(http, "/api/chat", "a")
        assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")


async def test_the_router_lets_all_in_that_one_load_serves(autojump_clock, router):
    """Thirty-two calls, alternating: those for b end first, then it turns to the other model."""
    ended = []

    async def call(number):
        await ask(http, ROUTED, "ba"[number % 2], simulate={"delay": 1})
        ended.append("ba"[number % 2])

    async with served(router) as http:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(32):
                nursery.start_soon(call, number)
                await trio.sleep(0.01)  # of the mock clock: each comes after the one before it
    assert "".join(ended) == "b" * 16 + "a" * 16
    assert router.loaded.loads == ["b", "a"]
    assert trio.current_time() - began == pytest.approx(2 * (10 + 16), abs=0.1)


async def test_behind_the_router_a_call_that_does_not_stream_runs_to_its_end(
    autojump_clock, router
):
    async with served(router) as http:
        await ask(http, ROUTED, "a")
        for stream, taken in ((True, 0), (False, 27)):
            with trio.move_on_after(3):
                await ask(http, ROUTED, "a", stream=stream, simulate={"delay": 30})
            began = trio.current_time()
            await ask(http, ROUTED, "a")
            assert trio.current_time() - began == pytest.approx(taken, abs=0.3)
        with trio.move_on_after(3):
            await ask(http, ROUTED, "a", simulate={"delay": 30})
        began = trio.current_time()
        await ask(http, ROUTED, "b")
        assert trio.current_time() - began == pytest.approx(27 + 10, abs=0.3)
