"""OllamaBackend against the simulated server, over real sockets."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trio
import trio.testing

from oq.backends import make_backend, open_backends
from oq.backends.base import Request
from oq.backends.ollama import OllamaBackend, ollama_body
from oq.backends.simulated import Script, ScriptedCall
from oq.backends.simulated.text import answer, embedding
from oq.words.config import BackendConfig, Config
from oq.words.errors import BackendDown, BackendFailure, BackendRejected, InvalidConfig
from oq.words.task import TaskType, Usage
from tests.support.builders import UNTIMED

CHAT = b'{"messages":[{"role":"user","content":"why is the sky blue"}]}'

KEY = "sk-secret-0123456789"


def chat(payload=CHAT, options=b"{}", model="m"):
    return Request(TaskType.CHAT, model, payload, options)


def ignore(chunk: bytes) -> None:
    """An emit for tests that look at the result alone."""


@pytest.fixture
async def backend(url):
    backend = OllamaBackend("o", url, KEY, connect_timeout=UNTIMED, silence=UNTIMED)
    yield backend
    await backend.aclose()


async def whole_request(stream):
    """Read it all: closing with bytes unread would reset the connection."""
    data = b""
    while not data.endswith(b"}"):
        data += await stream.receive_some()


async def hung_up(call):
    """Return once its caller has hung up; each answer here would take longer."""
    with trio.fail_after(20):
        await call.hung_up.wait()


async def test_chat_streams_every_line_and_folds_them(backend, simulator):
    chunks = []
    completed = await backend.run(chat(), chunks.append)
    result = json.loads(completed.result)
    said = [json.loads(chunk) for chunk in chunks]
    assert result["message"]["content"] == answer("why is the sky blue")
    assert "".join(chunk["message"]["content"] for chunk in said) == answer("why is the sky blue")
    assert [chunk["done"] for chunk in said] == [False] * 16 + [True]
    assert result == said[-1] | {"message": result["message"]}
    assert completed.usage == Usage(5, 16)
    [call] = simulator.calls
    assert (call.method, call.path, call.hung_up_at) == ("POST", "/api/chat", None)
    assert call.body == b'{"model":"m",' + CHAT[1:-1] + b',"stream":true}'
    assert ("authorization", f"Bearer {KEY}") in call.headers


async def test_generate_and_embed(backend, simulator):
    request = Request(TaskType.GENERATE, "m", b'{"prompt":"count to","system":"s"}', b"{}")
    completed = await backend.run(request, ignore)
    result = json.loads(completed.result)
    assert result["response"] == answer("count to")
    assert result["context"]
    assert completed.usage == Usage(3, 16)
    chunks = []
    request = Request(TaskType.EMBED, "m", b'{"input":["a b","c"],"dimensions":4}', b"{}")
    completed = await backend.run(request, chunks.append)
    assert json.loads(completed.result)["embeddings"] == [embedding("a b", 4), embedding("c", 4)]
    assert completed.usage == Usage(3, 0)
    assert chunks == []
    generate, embed = simulator.calls
    assert generate.body == (b'{"model":"m","prompt":"count to","system":"s","stream":true}')
    assert embed.body == b'{"model":"m","input":["a b","c"],"dimensions":4}'


async def test_thinking_tools_and_json(backend, simulator):
    simulator.push(Script(thinking="hm, let me see", tokens=2))
    result = await backend.run(chat(CHAT[:-1] + b',"think":true}'), ignore)
    assert json.loads(result.result)["message"]["thinking"] == "hm, let me see"
    simulator.push(Script(tool_calls=(ScriptedCall("f", {"n": 1}), ScriptedCall("g"))))
    result = await backend.run(chat(CHAT[:-1] + b',"tools":[{}]}'), ignore)
    assert json.loads(result.result)["message"]["tool_calls"] == [
        {"function": {"name": "f", "arguments": {"n": 1}}},
        {"function": {"name": "g", "arguments": {}}},
    ]
    result = await backend.run(chat(CHAT[:-1] + b',"format":"json"}'), ignore)
    content = json.loads(result.result)["message"]["content"]
    assert json.loads(content) == {"answer": answer("why is the sky blue")}


def test_what_oq_does_not_know_passes_through_byte_for_byte_and_in_order():
    payload = (
        b'{"zeta": 1.0, "messages":[ {"role":"user","content":"\\u00e9 \xc3\xa9", "new": 1e5}],'
        b' "keep_alive":-1,"tools":[], "model":"other", "stream":false, "options":{"a":1},'
        b'"alpha":{"b" : 12345678901234567890123, "a":[1.10]}}'
    )
    assert ollama_body(chat(payload, b'{ "temperature" : 0.70 }')) == (
        b'{"model":"m","zeta":1.0,'
        b'"messages":[ {"role":"user","content":"\\u00e9 \xc3\xa9", "new": 1e5}],'
        b'"keep_alive":-1,"tools":[],"alpha":{"b" : 12345678901234567890123, "a":[1.10]},'
        b'"options":{ "temperature" : 0.70 },"stream":true}'
    )


@pytest.mark.parametrize(
    ("system", "messages"),
    [
        (b',"system":"be \\u0022brief\\u0022"',
         b'[{"role":"system","content":"be \\u0022brief\\u0022"},{"role":"user","content":"x"}]'),
        (b',"system":""', b'[{"role":"user","content":"x"}]'),
        (b',"system":null', b'[{"role":"user","content":"x"}]'),
        (b"", b'[{"role":"user","content":"x"}]'),
    ],
)  # fmt: skip
def test_the_system_of_a_chat_becomes_its_first_message(system, messages):
    payload = b'{"messages":[{"role":"user","content":"x"}]' + system + b"}"
    assert ollama_body(chat(payload)) == (
        b'{"model":"m","messages":' + messages + b',"stream":true}'
    )


def test_without_messages_it_stays_the_call_that_loads_the_model():
    body = ollama_body(chat(b'{"messages":[],"system":"s","keep_alive":"5m"}'))
    assert body == b'{"model":"m","messages":[],"keep_alive":"5m","stream":true}'


async def test_an_unknown_model_is_final_in_ollamas_words(backend):
    with pytest.raises(BackendRejected, match='model "x" not found, try pulling it') as caught:
        await backend.run(chat(model="x"), ignore)
    assert caught.value.status == 404


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_status_worth_a_retry(backend, simulator, status):
    simulator.push(Script(status=status, error="server busy", retry_after="3"))
    with pytest.raises(BackendFailure, match="server busy") as caught:
        await backend.run(chat(), ignore)
    assert (caught.value.status, caught.value.retry_after) == (status, 3)


async def test_retry_after_may_be_a_date(backend, simulator):
    when = datetime.now(UTC) + timedelta(seconds=100)
    simulator.push(Script(status=503, retry_after=format_datetime(when, usegmt=True)))
    with pytest.raises(BackendFailure) as caught:
        await backend.run(chat(), ignore)
    assert 90 < caught.value.retry_after <= 100


async def test_a_long_error_is_cut_and_never_shows_the_key(backend, simulator):
    simulator.push(Script(status=401, error=f"wrong key {KEY}: " + "x" * 100_000))
    with pytest.raises(BackendRejected) as caught:
        await backend.run(chat(), ignore)
    assert "wrong key ***: xxx" in str(caught.value)
    assert len(str(caught.value)) < 2100


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("error", "out of memory"),
        ("cut", "connection to http://.* was lost"),
        ("garbage", "no answer: '<html>"),
        ("half_line", 'no answer: \'{"model"'),
        ("empty", "ended before done"),
    ],
)
@pytest.mark.parametrize("at", [0, 3])
async def test_a_stream_that_breaks_is_a_failure(backend, simulator, fault, words, at):
    simulator.push(Script(fault=fault, at=at, error="out of memory"))
    chunks = []
    with pytest.raises(BackendFailure, match=words):
        await backend.run(chat(), chunks.append)
    assert len(chunks) == at
    # The next task is none the worse for it.
    assert (await backend.run(chat(), ignore)).usage == Usage(5, 16)


async def test_a_reset_is_a_failure(backend, simulator):
    simulator.push(Script(fault="reset"))
    with pytest.raises(BackendFailure, match="was lost"):
        await backend.run(chat(), ignore)


@pytest.mark.parametrize("fault", ["error", "cut", "garbage", "half_line", "empty", "reset"])
async def test_an_embed_answer_that_breaks_is_a_failure(backend, simulator, fault):
    simulator.push(Script(fault=fault))
    with pytest.raises(BackendFailure):
        await backend.run(Request(TaskType.EMBED, "m", b'{"input":"x"}', b"{}"), ignore)


@pytest.mark.parametrize("script", [Script(delay=60), Script(rate=0.2), Script(load=60)])
async def test_cancel_is_seen_upstream_while_the_answer_goes_on(backend, simulator, script):
    simulator.push(script)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.run, chat(), ignore)
        while not simulator.running:
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await hung_up(simulator.calls[0])
    assert (await backend.run(chat(), ignore)).usage == Usage(5, 16)


async def test_a_consumer_that_raises_leaves_nothing_open(backend, simulator):
    simulator.push(Script(rate=1000, tokens=1000))

    def refuse(chunk):
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await backend.run(chat(), refuse)
    await hung_up(simulator.calls[0])


MANY = 110
"""More than the 100 connections that a pool of httpx has unless it is told otherwise."""


async def test_many_run_at_once_and_connections_are_used_again(url, simulator):
    patient = OllamaBackend("o", url, None, 60)
    simulator.default = Script(fault="hang")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(MANY):
                nursery.start_soon(patient.run, chat(), ignore)
            while simulator.running < MANY:  # none of them waits for another's connection
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        simulator.default = Script()
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(patient.run, chat(), ignore)
    await patient.aclose()


async def test_nobody_there_is_down_and_says_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        backend = OllamaBackend("o", f"127.0.0.1:{taken.getsockname()[1]}")
        for call in (lambda: backend.run(chat(), ignore), backend.probe):
            with pytest.raises(BackendDown, match=r"127\.0\.0\.1:\d+.*`ollama serve`"):
                await call()
        await backend.aclose()


async def test_a_name_that_does_not_resolve_is_down():
    backend = OllamaBackend("o", "no-such-host.invalid", connect_timeout=2)
    with pytest.raises(BackendDown, match=r"no-such-host\.invalid"):
        await backend.run(chat(), ignore)
    await backend.aclose()


async def test_probe(backend, simulator):
    await backend.probe()
    assert simulator.calls[0].path == "/api/version"


@pytest.mark.parametrize(("answered", "up"), [(b"404 Not Found", True), (b"502 Bad", False)])
async def test_any_answer_below_500_counts_as_up(nursery, answered, up):
    async def say(stream):
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 " + answered + b"\r\nContent-Length: 0\r\n\r\n")

    listeners = await nursery.start(trio.serve_tcp, say, 0)
    port = listeners[0].socket.getsockname()[1]
    backend = OllamaBackend("o", f"localhost:{port}")
    if up:
        await backend.probe()
    else:
        with pytest.raises(BackendDown, match="answers 502"):
            await backend.probe()
    await backend.aclose()


async def test_one_who_accepts_and_says_nothing_is_down_for_a_probe(nursery):
    async def say_nothing(stream):
        await trio.sleep_forever()

    listeners = await nursery.start(trio.serve_tcp, say_nothing, 0)
    backend = OllamaBackend("o", f"localhost:{listeners[0].socket.getsockname()[1]}", None, 0.05)
    with pytest.raises(BackendDown, match="within 50ms"):
        await backend.probe()
    await backend.aclose()


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br"])
async def test_a_body_that_is_not_as_it_says_is_an_answer_to_a_probe_but_none_to_a_task(
    nursery, encoding
):
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: 8\r\n\r\n" % encoding

    async def lie(stream):
        await stream.receive_some()
        await stream.send_all(head + b"not gzip")

    listeners = await nursery.start(trio.serve_tcp, lie, 0)
    backend = OllamaBackend("o", f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")
    await backend.probe()
    with pytest.raises(BackendFailure, match="the backend sent"):
        await backend.run(chat(), ignore)
    await backend.aclose()


@pytest.mark.parametrize("status", [b"200", b"404"])
async def test_a_proxy_may_compress(nursery, status):
    packed = gzip.compress(
        b'{"response":"a","done":true}' if status == b"200" else b'{"error":"no m"}'
    )
    head = b"HTTP/1.1 %b X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"

    async def compress(stream):
        await whole_request(stream)
        await stream.send_all(head % (status, len(packed)) + packed)

    listeners = await nursery.start(trio.serve_tcp, compress, 0)
    backend = OllamaBackend("o", f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")
    request = Request(TaskType.GENERATE, "m", b'{"prompt":"x"}', b"{}")
    if status == b"200":
        assert json.loads((await backend.run(request, ignore)).result)["response"] == "a"
    else:
        with pytest.raises(BackendRejected, match="no m"):
            await backend.run(request, ignore)
    await backend.aclose()


@pytest.mark.parametrize("host", ["a" * 64, "gpu." + "a" * 64, "x.xn--0"])
async def test_a_name_that_the_name_system_cannot_hold_is_down(host):
    backend = OllamaBackend("o", host, None, 1)
    with pytest.raises(BackendDown, match="cannot reach"):
        await backend.probe()
    with pytest.raises(BackendDown, match="cannot reach"):
        await backend.run(chat(), ignore)
    await backend.aclose()


async def test_a_whole_answer_counts_even_if_its_body_never_ends(nursery):
    async def never_end(stream):
        await whole_request(stream)
        line = b'{"response":"a","done":true}\n\n{"response":"too late"'
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(line), line)
        )
        await trio.sleep_forever()

    listeners = await nursery.start(trio.serve_tcp, never_end, 0)
    backend = OllamaBackend("o", f"localhost:{listeners[0].socket.getsockname()[1]}")
    request = Request(TaskType.GENERATE, "m", b'{"prompt":"x"}', b"{}")
    assert (await backend.run(request, ignore)).result == b'{"response":"a","done":true}'
    await backend.aclose()


async def test_a_last_line_without_newline_and_blank_lines_are_fine(nursery):
    async def say(stream):
        await whole_request(stream)
        body = b'\n{"response":"a","done":false}\r\n\r\n \n{"response":"b","done":true}'
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n" + body)

    listeners = await nursery.start(trio.serve_tcp, say, 0)
    backend = OllamaBackend("o", f"localhost:{listeners[0].socket.getsockname()[1]}")
    request = Request(TaskType.GENERATE, "m", b'{"prompt":"x"}', b"{}")
    chunks = []
    completed = await backend.run(request, chunks.append)
    assert completed.result == b'{"response":"ab","done":true}'
    assert len(chunks) == 2
    await backend.aclose()


class Closer:
    """Answers `answers` requests of each connection, and closes it when the next one comes."""

    def __init__(self, answers):
        self.answers = answers
        self.connections = 0

    async def serve(self, stream):
        self.connections += 1
        for _ in range(self.answers):
            await whole_request(stream)
            line = b'{"response":"a","done":true}'
            head = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: %d\r\n\r\n"
            await stream.send_all(head % len(line) + line)
        await whole_request(stream)


@pytest.mark.parametrize("answers", [1, 0])
async def test_a_kept_connection_that_closes_is_no_failure_but_a_new_one_is(nursery, answers):
    closer = Closer(answers)
    listeners = await nursery.start(trio.serve_tcp, closer.serve, 0)
    backend = OllamaBackend("o", f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")
    request = Request(TaskType.GENERATE, "m", b'{"prompt":"x"}', b"{}")
    if answers:
        for _ in range(3):
            await backend.run(request, ignore)
        assert closer.connections == 3
    else:
        with pytest.raises(BackendFailure, match="was lost"):
            await backend.run(request, ignore)
        assert closer.connections == 1
    await backend.aclose()


async def test_a_proxy_in_the_environment_is_not_used(backend, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await backend.run(chat(), ignore)).usage == Usage(5, 16)


def test_backends_are_made_from_the_config():
    config = Config(
        backends=(
            BackendConfig(name="a", kind="ollama", url="gpu"),
            BackendConfig(name="b", kind="openai", url="http://gpu:8080"),
            BackendConfig(name="c", kind="simulated"),
        )
    )
    made = [(each.name, each.kind, each.url) for each in open_backends(config)]
    assert made == [
        ("a", "ollama", "http://gpu:11434"),
        ("b", "openai", "http://gpu:8080/v1"),
        ("c", "simulated", "simulated://c"),
    ]
    assert [each.url for each in open_backends(Config())] == ["http://localhost:11434"]
    with pytest.raises(InvalidConfig, match="backend 'bad'"):
        make_backend(BackendConfig(name="bad", kind="ollama", url="ftp://x"), Config())


def test_importing_backends_does_not_import_httpx():
    code = "import sys, oq.backends; sys.exit('httpx' in sys.modules or 'h11' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
