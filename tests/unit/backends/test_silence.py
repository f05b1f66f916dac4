"""A server may be silent for as long as it lives; one that is silent and dead is found out."""

from __future__ import annotations

from itertools import cycle

import pytest
import trio

from oq.backends import silence
from oq.backends.base import Passage, Request
from oq.backends.ollama import OllamaBackend
from oq.backends.openai import OpenAIBackend
from oq.backends.silence import PAUSE, PROBES, Heard, Silence
from oq.words.errors import BackendDown
from oq.words.task import TaskType

MINUTE = 60.0
NOT = BackendDown("no answer")


class Server:
    """What is asked of it, and what it answers: each time the next of `answers`."""

    def __init__(self, *answers: Exception | None) -> None:
        self.asked: list[float] = []
        self._answers = cycle(answers)
        self.silence = Silence("http://gpu", MINUTE, self.probe)

    async def probe(self) -> None:
        self.asked.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if (error := next(self._answers)) is not None:
            raise error

    async def say(self, *times: float) -> None:
        """An exchange in which the server says something at these times, and ends with the last."""
        heard, began = Heard(), trio.current_time()

        async def exchange() -> None:
            for time in times:
                await trio.sleep_until(began + time)
                heard.note()

        await self.silence.watch(heard, exchange)


async def test_a_server_that_lives_may_be_silent_for_hours(autojump_clock):
    server, began = Server(None), trio.current_time()
    await server.say(5 * 3600 - 1)
    assert server.asked == [began + MINUTE * (number + 1) for number in range(5 * 60 - 1)]


async def test_a_server_that_speaks_is_not_asked(autojump_clock):
    server = Server(NOT)
    await server.say(*range(1, 600, 59))
    assert server.asked == []


@pytest.mark.parametrize("spoke", [(), (30.0, 80.0)])
async def test_a_server_that_is_silent_and_does_not_answer_is_down(autojump_clock, spoke):
    server, began = Server(NOT), trio.current_time()
    with pytest.raises(BackendDown, match=r"http://gpu said nothing for 1m .*3 probes: no answer"):
        await server.say(*spoke, 1000.0)
    assert len(server.asked) == PROBES
    last = spoke[-1] if spoke else 0.0
    assert trio.current_time() - began == last + MINUTE + (PROBES - 1) * PAUSE


async def test_the_task_was_with_a_server_that_fell_silent(autojump_clock):
    with pytest.raises(BackendDown) as caught:
        await Server(NOT).say(1000.0)
    assert caught.value.ran


async def test_one_probe_that_fails_is_no_death(autojump_clock):
    server = Server(NOT, NOT, None)
    await server.say(600.0)
    assert len(server.asked) > PROBES


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_that_says_that_it_is_busy_lives(autojump_clock, status):
    await Server(BackendDown("busy", status=status)).say(600.0)


@pytest.mark.parametrize("status", [502, 504])
async def test_a_gateway_does_not_speak_for_the_server_behind_it(autojump_clock, status):
    with pytest.raises(BackendDown):
        await Server(BackendDown("nobody", status=status)).say(600.0)


async def test_a_server_that_speaks_while_it_is_asked_lives(autojump_clock):
    await Server(NOT).say(MINUTE + PAUSE, 2 * MINUTE)


async def test_many_exchanges_ask_once_for_all(autojump_clock):
    server = Server(None)
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(server.say, 605.0 + number)  # none ends when it is asked
    assert len(server.asked) <= 10


async def test_many_exchanges_find_it_dead_at_once(autojump_clock):
    server, ends = Server(NOT), []

    async def say() -> None:
        with pytest.raises(BackendDown):
            await server.say(600.0)
        ends.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(say)
    assert (len(ends), len(set(ends)), len(server.asked)) == (50, 1, PROBES)


async def test_an_error_of_the_exchange_is_raised_as_it_is():
    async def exchange() -> None:
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await Server(None).silence.watch(Heard(), exchange)


async def test_a_cancel_ends_it_at_once(autojump_clock):
    began = trio.current_time()
    with trio.move_on_after(90.0) as scope:
        await Server(None).say(600.0)
    assert scope.cancelled_caught
    assert trio.current_time() == began + 90.0


class Spawned(trio.abc.Instrument):
    """Counts the tasks that start."""

    def __init__(self) -> None:
        self.count = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def test_one_task_looks_after_all_exchanges(autojump_clock):
    server, spawned = Server(NOT), Spawned()
    trio.lowlevel.add_instrument(spawned)
    for _ in range(10):
        await server.say(1.0)
    trio.lowlevel.remove_instrument(spawned)
    assert spawned.count == 1


async def test_an_exchange_after_a_long_rest_is_watched_again(autojump_clock):
    server = Server(NOT)
    await server.say(1.0)
    await trio.sleep(10 * MINUTE)
    with pytest.raises(BackendDown):
        await server.say(1000.0)


async def test_an_exchange_after_the_end_of_all_is_watched_again(autojump_clock):
    server = Server(NOT)
    await server.say(1.0)
    server.silence.close()
    with pytest.raises(BackendDown):
        await server.say(1000.0)


async def test_a_probe_that_is_broken_ends_the_exchange_and_nothing_else(autojump_clock):
    server = Server(ValueError("a bug"))
    for _ in range(2):
        with pytest.raises(ValueError, match="a bug"):
            await server.say(600.0)


# -- over sockets

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
LINE = b'{"response":"a","done":false}\n'
LAST = b'{"response":"b","done":true}\n'
GENERATE = Request(TaskType.GENERATE, "m", b'{"prompt":"x"}', b"{}")
WHOLE = Request(
    TaskType.GENERATE, "m", b'{"model":"m","prompt":"x","stream":false}', b"{}", "/api/generate"
)
ENOUGH = 5
"""Probes that are answered before the answer goes on."""


class Wire:
    """A server that has begun its answer with `begins`, and ends it with `ends` when it has been
    probed often enough. If it does not `live` it is silent from then on, and never answers probes.
    """

    def __init__(self, begins: bytes = b"", ends: bytes = b"", *, live: bool = True) -> None:
        self.begins, self.ends, self.live = begins, ends, live
        self.probed = 0
        self.left = trio.Event()
        self._enough = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            head = await stream.receive_some(10_000)
            while head.startswith(b"POST") and not head.endswith(b"}"):
                head += await stream.receive_some(10_000)
            if head.startswith(b"GET /api/version"):
                self.probed += 1
                if self.probed == ENOUGH:
                    self._enough.set()
                if self.live:
                    await stream.send_all(HEAD + b"{}")
                    return
            else:
                await stream.send_all(self.begins)
                if self.live:
                    await self._enough.wait()
                    await stream.send_all(self.ends)
                    return
            while await stream.receive_some(10_000):
                pass
            self.left.set()


@pytest.fixture
async def behind(nursery, monkeypatch):
    """Makes the backend of a server that listens."""
    monkeypatch.setattr(silence, "PAUSE", 0.0)
    made: list[OllamaBackend] = []

    async def make(wire: Wire) -> OllamaBackend:
        listeners = await nursery.start(
            trio.serve_listeners, wire.serve, await trio.open_tcp_listeners(0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        seconds = 5.0 if wire.live else 0.2  # to answer a probe
        made.append(OllamaBackend("o", f"127.0.0.1:{port}", None, seconds, 0.05))
        return made[-1]

    with trio.fail_after(60):
        yield make
    for each in made:
        await each.aclose()


@pytest.mark.parametrize(
    ("begins", "ends", "request_"),
    [
        (b"", HEAD + LINE + LAST, GENERATE),
        (HEAD + LINE, LAST, GENERATE),
        (HEAD, LINE + LAST, GENERATE),
        (b"", HEAD + b'{"response":"ab","done":true}', WHOLE),
    ],
    ids=["before the first token", "in mid-answer", "behind the head", "a whole answer"],
)
async def test_a_slow_server_that_answers_probes_is_never_cut(behind, begins, ends, request_):
    wire = Wire(begins, ends)
    done = await (await behind(wire)).run(request_, lambda _: None)
    assert b'"ab"' in done.result
    assert wire.probed >= ENOUGH


@pytest.mark.parametrize("request_", [GENERATE, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize("begins", [b"", HEAD + LINE], ids=["nothing", "a line"])
async def test_a_server_that_accepts_and_never_answers_is_down(behind, begins, request_):
    wire = Wire(begins, live=False)
    with pytest.raises(BackendDown, match=r"said nothing for 50ms \(health\.silence\)") as caught:
        await (await behind(wire)).run(request_, lambda _: None)
    assert caught.value.ran
    assert wire.probed == PROBES
    await wire.left.wait()


class Taken:
    """Takes the answer to a request that was passed on."""

    def __init__(self) -> None:
        self.data = b""

    async def begin(self, status, headers) -> None:
        self.data += b"%d " % status

    async def piece(self, data) -> None:
        self.data += data


PULL = Passage("POST", "/api/pull", [], b'{"model":"m"}')


async def test_what_is_passed_on_is_waited_for_as_well(behind):
    wire, taken = Wire(HEAD + b"{}\n", b'{"status":"success"}\n'), Taken()
    await (await behind(wire)).pass_on(PULL, taken)
    assert taken.data == b'200 {}\n{"status":"success"}\n'
    assert wire.probed >= ENOUGH


async def test_what_is_passed_on_ends_with_its_server(behind):
    with pytest.raises(BackendDown, match="said nothing"):
        await (await behind(Wire(HEAD + b"{}\n", live=False))).pass_on(PULL, Taken())


@pytest.mark.parametrize("kind", [OllamaBackend, OpenAIBackend])
def test_the_default_is_a_minute(kind):
    assert kind("b", "127.0.0.1:1")._transport._silence._interval == 60
