"""What each kind of server says of its slots and its memory, in the words of the real ones."""

from __future__ import annotations

import json
import socket

import pytest
import trio

from oq.backends.http1.errors import Unreachable
from oq.backends.ollama import OllamaBackend
from oq.backends.openai import OpenAIBackend
from oq.backends.refusals import REMEMBERED
from oq.backends.simulated import NoopBackend, SimulatedBackend, Simulator
from oq.backends.transport import MAX_LIST, Transport
from oq.words.errors import BackendBusy, BackendDown, BackendFailure
from oq.words.views import BackendFacts

KEY = "sk-secret-0123456789"
ABSENT = (404, {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}})

PROPS = {
    "default_generation_settings": {"n_ctx": 8192}, "total_slots": 4, "model_alias": "smollm2",
    "model_path": "/m/smollm2.gguf", "chat_template": "{{ x }}", "build_info": "b11434",
    "is_sleeping": False,
}  # fmt: skip
ROUTER = {
    "role": "router", "max_instances": 2, "models_autoload": True, "model_alias": "llama-server",
    "model_path": "none", "build_info": "b11434",
}  # fmt: skip
LISTED = {
    "object": "list",
    "data": [
        {"id": "a", "aliases": ["small"], "object": "model", "status": {"value": "loaded"}},
        {"id": "b/c d", "aliases": [], "status": {"value": "loaded", "args": []}},
        {"id": "e", "aliases": [1], "status": {"value": "unloaded", "failed": True}},
        {"id": "f", "status": {"value": "loading"}},
        {"id": "g", "status": {"value": "sleeping"}},
        {"id": "h"},
        {"status": {"value": "loaded"}},
        "odd",
    ],
}
RUNNING = {
    "running": [
        {"model": "a", "state": "ready", "cmd": "llama-server", "ttl": 0},
        {"model": "b", "state": "starting"},
        {"model": "c"},
        7,
    ]
}
PS = {
    "models": [
        {"name": "smollm2:135m", "model": "smollm2:135m", "digest": "d1", "size": 1,
         "expires_at": "2026-08-22T10:05:00Z"},
        {"name": "qwen:latest", "digest": 5},
    ]
}  # fmt: skip
TAGS = {
    "models": [
        {"name": "smollm2:135m", "digest": "d1"},
        {"name": "copy:latest", "digest": "d1"},
        {"name": "old:latest"},
    ]
}


class Machine:
    """Answers GETs as it is told; what it is not told it lacks. `asked` are their targets."""

    def __init__(self, said: dict[str, object]) -> None:
        self.said = said
        self.asked: list[str] = []
        self.url = ""

    async def serve(self, stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (data := await stream.receive_some()):
            head += data
        if not head:  # a probe that nobody waits for any more
            return
        target = head.split(b" ")[1].decode()
        self.asked.append(target)
        said = self.said.get(target, ABSENT)
        status, body = said if isinstance(said, tuple) else (200, said)
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        begin = f"HTTP/1.1 {status} x\r\nContent-Length: {len(sent)}\r\nConnection: close\r\n\r\n"
        await stream.send_all(begin.encode() + sent)
        await stream.aclose()

    def asked_since(self) -> list[str]:
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
async def machine(nursery):
    machine = Machine({})
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, machine.serve, listeners)
    machine.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    return machine


@pytest.fixture
async def server(machine):
    backend = OpenAIBackend("a", machine.url, KEY, 1, 2)
    yield backend
    await backend.aclose()


@pytest.fixture
async def ollama(machine):
    backend = OllamaBackend("o", machine.url, KEY, 1, 2)
    yield backend
    await backend.aclose()


async def test_llama_cpp_says_its_slots(machine, server):
    machine.said = {"/props": PROPS}
    assert await server.facts(full=False) == BackendFacts(slots=4)
    assert machine.asked_since() == ["/running", "/props"]
    assert await server.facts(full=False) == BackendFacts(slots=4)
    assert machine.asked_since() == ["/props"], "what it is was found out before"


@pytest.mark.parametrize("odd", [0, -1, True, 10**9, 1.5, "4", None, []], ids=str)
async def test_slots_that_cannot_be_are_not_said(machine, server, odd):
    machine.said = {"/props": PROPS | {"total_slots": odd}}
    assert await server.facts(full=False) == BackendFacts()


async def test_llama_cpps_router_says_what_is_loaded_and_the_slots_of_that(machine, server):
    machine.said = {
        "/props": ROUTER, "/models": LISTED,
        "/props?model=a&autoload=false": PROPS,
        "/props?model=b%2Fc%20d&autoload=false": PROPS | {"total_slots": 2},
    }  # fmt: skip
    digests = {"a": "a", "small": "a", "b/c d": "b/c d", "e": "e", "f": "f", "g": "g"}
    of_each = {"a": 4, "b/c d": 2}
    facts = BackendFacts(2, ("a", "b/c d"), digests, max_models=2, slots_of=of_each)
    assert await server.facts(full=False) == facts
    assert machine.asked_since()[1:] == [
        "/props", "/models", "/props?model=a&autoload=false",
        "/props?model=b%2Fc%20d&autoload=false",
    ]  # fmt: skip
    assert await server.facts(full=False) == facts
    assert machine.asked_since() == ["/models"], "each model is asked once"
    machine.said["/models"] = {"data": []}
    facts = BackendFacts(2, (), {}, max_models=2, slots_of=of_each)
    assert await server.facts(full=False) == facts


async def test_a_router_does_not_know_the_slots_before_a_model_is_loaded(machine, server):
    machine.said = {"/props": ROUTER | {"max_instances": 0}, "/models": {"data": []}}
    assert await server.facts(full=False) == BackendFacts(None, ())


async def test_llama_swap_says_what_is_ready(machine, server):
    machine.said = {"/running": RUNNING}
    assert await server.facts(full=False) == BackendFacts(loaded=("a",))
    assert await server.facts(full=False) == BackendFacts(loaded=("a",))
    assert machine.asked == ["/running"] * 2, "at llama-swap /props is a path of its models"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"/props": b"<html>a page for every path</html>", "/running": b"<html>"},
        {"/props": (401, {"error": "no"}), "/running": (501, "no")},
        {"/props": {}, "/running": {}},
        {"/props": [], "/running": {"running": None}},
        {"/props": b"\xff", "/running": b"[" * 5000},
        {"/props": ROUTER, "/models": {"data": None}},
        {"/props": ROUTER},
    ],
    ids=["absent", "pages", "refused", "empty", "odd", "unreadable", "odd router", "half router"],
)
async def test_other_servers_say_nothing(machine, server, said):
    machine.said = said
    assert await server.facts(full=False) == BackendFacts()


async def test_a_server_that_says_nothing_is_not_asked_all_the_time(machine, server, monkeypatch):
    assert await server.facts(full=False) == BackendFacts()
    assert machine.asked_since() == ["/running", "/props"]
    assert await server.facts(full=False) == BackendFacts()
    assert machine.asked_since() == []
    now = trio.current_time() + REMEMBERED
    monkeypatch.setattr("oq.backends.server_facts.trio.current_time", lambda: now)
    machine.said = {"/props": PROPS}
    assert await server.facts(full=False) == BackendFacts(slots=4)


async def test_one_that_fails_may_say_it_the_next_time(machine, server):
    machine.said = {"/props": (500, "oops")}
    assert await server.facts(full=False) == BackendFacts(incomplete=True)
    machine.said = {"/props": PROPS}
    assert await server.facts(full=False) == BackendFacts(slots=4)


async def test_another_server_behind_the_address_is_found_out(machine, server):
    machine.said = {"/props": PROPS}
    assert await server.facts(full=False) == BackendFacts(slots=4)
    machine.said = {"/running": RUNNING}
    assert await server.facts(full=False) == BackendFacts(loaded=("a",))


async def test_so_is_one_that_came_when_nobody_was_there(machine, server, monkeypatch):
    assert await server.facts(full=False) == BackendFacts()

    def refuse(transport: Transport):
        raise Unreachable("connection refused")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Transport, "_opened", refuse)
        with pytest.raises(BackendDown):
            await server.probe()
    machine.said = {"/props": PROPS}
    assert await server.facts(full=False) == BackendFacts(slots=4)


async def test_a_server_that_loads_its_model_is_busy(machine, server):
    loading = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
    machine.said = {"/running": (503, loading), "/props": (503, loading)}
    with pytest.raises(BackendBusy):
        await server.facts(full=False)


async def test_an_answer_without_end_is_not_read_and_its_key_not_shown(machine, server):
    machine.said = {"/running": b" " * (MAX_LIST + 1)}
    with pytest.raises(BackendFailure, match="more than"):
        await server.facts(full=False)
    machine.said = {"/running": (503, {"error": f"Loading model for {KEY}"})}
    assert KEY not in str(await server.facts(full=False))


async def test_ollama_says_what_is_loaded_and_which_names_are_one_model(machine, ollama):
    machine.said = {"/api/ps": PS, "/api/tags": TAGS}
    loaded = ("smollm2:135m", "qwen:latest")
    digests = {"smollm2:135m": "d1", "copy:latest": "d1"}
    models = ("smollm2:135m", "copy:latest", "old:latest")
    assert await ollama.facts() == BackendFacts(None, loaded, digests, models=models)
    assert machine.asked_since() == ["/api/ps", "/api/tags"]
    assert await ollama.facts(full=False) == BackendFacts(None, loaded, {"smollm2:135m": "d1"})
    assert machine.asked_since() == ["/api/ps"]
    assert ollama.measures


@pytest.mark.parametrize(
    ("said", "models"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}, ("a", "b")),
        ({"data": []}, None),
        ({"data": None}, None),
        ({"data": [{"name": "a"}]}, None),
        (b"no list", None),
        ((404, b"no such path"), None),
        ((500, b"an error"), None),
    ],
)
async def test_a_server_says_which_models_it_has_or_nothing(machine, server, said, models):
    machine.said = {"/v1/models": said, "/props": PROPS}
    assert await server.facts() == BackendFacts(slots=4, models=models)
    assert "/v1/models" in machine.asked_since()
    assert (await server.facts(full=False)).models is None
    assert "/v1/models" not in machine.asked_since()


async def test_the_further_names_of_a_routers_models_are_names_too(machine, server):
    machine.said = {"/props": ROUTER, "/models": LISTED, "/v1/models": {"data": [{"id": "a"}]}}
    models = (await server.facts()).models
    assert models is not None
    assert {"a", "small", "e"} <= set(models)


async def test_what_ollama_says_wrongly_is_a_failure_and_shows_no_key(machine, ollama):
    machine.said = {"/api/ps": {"models": KEY}}
    with pytest.raises(BackendFailure) as raised:
        await ollama.facts()
    assert KEY not in str(raised.value)
    machine.said = {"/api/ps": {"models": None}}
    assert await ollama.facts(full=False) == BackendFacts(loaded=())


@pytest.mark.parametrize("kind", [OllamaBackend, OpenAIBackend])
async def test_nobody_is_there(kind):
    with socket.socket() as taken:  # but it does not listen
        taken.bind(("127.0.0.1", 0))
        backend = kind("x", f"http://127.0.0.1:{taken.getsockname()[1]}", None, 1, 2)
        with pytest.raises(BackendDown):
            await backend.facts()
        await backend.aclose()


async def test_the_simulated_one_says_what_ollama_would_or_takes_all_that_comes():
    backend = SimulatedBackend(simulator=Simulator(models={"a:latest", "b:latest"}, parallel=1))
    facts = await backend.facts()
    assert (facts.loaded, facts.digests.keys()) == ((), {"a:latest", "b:latest"})
    assert facts.slots is None
    assert backend.measures
    backend = SimulatedBackend()
    facts = await backend.facts()
    assert (facts.loaded, facts.slots is not None, backend.measures) == (None, True, False)
    backend.down = "refused"
    with pytest.raises(BackendDown):
        await backend.facts()
    assert (await NoopBackend().facts()).slots == facts.slots
