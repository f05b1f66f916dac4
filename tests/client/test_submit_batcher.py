"""Which submits go together, and what becomes of each: without a server, and with a slow one."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import oq
from oq.client import submit_batcher as rules
from oq.client.failures import ServerFault
from oq.client.requests import ApiRequest
from oq.client.submit_batcher import PendingSubmit, SubmitBatcher
from oq.words.errors import OqError


def letter(name: str) -> PendingSubmit:
    return PendingSubmit(json.dumps({"model": name}).encode(), f"key of {name}", lambda: None)


def names(call: ApiRequest[Any]) -> list[str]:
    assert call.body is not None
    sent = json.loads(call.body)
    return [task["model"] for task in (sent if isinstance(sent, list) else [sent])]


class Post:
    """An outbox with letters a, b, c, ... and what was sent of them."""

    def __init__(self, count: int) -> None:
        self.box = SubmitBatcher()
        self.letters = {name: letter(name) for name in "abcdefghijklmnop"[:count]}
        for one in self.letters.values():
            self.box.put(one)

    def next(self) -> str:
        call = self.box.next()
        return "" if call is None else "".join(names(call))

    def outcome(self, name: str) -> str | OqError | None:
        return self.letters[name].outcome


def test_what_waits_goes_together_each_with_its_key():
    post = Post(3)
    call = post.box.next()
    assert call is not None
    assert (call.path, call.safe) == ("api/tasks/batch", True)
    assert json.loads(call.body or b"")[1] == {"model": "b", "idempotency_key": "key of b"}
    post.box.answered(["1", "2", "3"])
    assert [post.outcome(name) for name in "abc"] == ["1", "2", "3"]
    assert post.box.next() is None


def test_one_alone_is_sent_as_one():
    post = Post(1)
    call = post.box.next()
    assert call is not None
    assert (call.path, call.headers) == ("api/tasks", {"Idempotency-Key": "key of a"})


def test_a_request_is_bounded(monkeypatch):
    monkeypatch.setattr(rules, "MOST_TASKS", 3)
    post = Post(4)
    assert post.next() == "abc"
    post.box.answered(["1", "2", "3"])
    assert post.next() == "d"
    monkeypatch.setattr(rules, "MOST_BYTES", 20)
    post = Post(3)
    assert [post.next(), post.next(), post.next()] == ["a", "b", "c"]


def test_those_that_are_named_are_sent_alone_after_the_others():
    post = Post(5)
    assert post.next() == "abcde"
    post.box.refused(oq.InvalidBatch({1: "model: why", 3: "the key was used"}))
    assert post.next() == "ace"
    post.box.answered(["1", "3", "5"])
    assert post.next() == "b"
    post.box.refused(oq.InvalidTask("model", "why"))
    assert post.next() == "d"
    post.box.refused(oq.Conflict("the key was used"))
    assert [post.outcome(name) for name in "ace"] == ["1", "3", "5"]
    assert isinstance(post.outcome("b"), oq.InvalidTask)
    assert isinstance(post.outcome("d"), oq.Conflict)
    assert post.next() == ""


def test_a_name_that_is_nobodys_is_no_reason_to_stop():
    post = Post(2)
    post.next()
    post.box.refused(oq.InvalidBatch({7: "what?"}))
    assert post.next() == "a"


@pytest.mark.parametrize(
    "error",
    [
        oq.PayloadTooLarge(1024),
        oq.InvalidTask("", "2 tasks, at most 1 (queue.max_batch)"),
        ServerFault("the server answered 500: this record cannot be read; see the log"),
    ],
)
def test_a_batch_that_is_too_much_goes_in_halves(error):
    post = Post(4)
    assert post.next() == "abcd"
    post.box.refused(error)
    assert post.next() == "ab"
    post.box.refused(error)
    assert post.next() == "a"
    post.box.answered(["1"])
    assert post.next() == "b"
    post.box.refused(error)
    assert type(post.outcome("b")) is type(error)
    assert post.next() == "cd"


def test_a_full_queue_takes_as_many_as_have_room_and_refuses_the_rest():
    post = Post(8)
    full = oq.QueueFull(10, 3.0)
    sent = [post.next()]
    while sent[-1]:
        if (len(sent[-1]) <= 1 and "d" not in sent[-1]) or set(sent[-1]) <= set("abc"):
            post.box.answered([name.upper() for name in sent[-1]])
        else:
            post.box.refused(full)
        sent.append(post.next())
    assert sent == ["abcdefgh", "abcd", "ab", "cd", "c", "d", ""]
    assert [post.outcome(name) for name in "abc"] == ["A", "B", "C"]
    errors = [post.outcome(name) for name in "defgh"]
    assert all(isinstance(one, oq.QueueFull) and one.retry_after == 3.0 for one in errors)
    assert len({id(one) for one in errors}) == 5, "each caller raises an error of his own"


def test_what_nobody_wants_any_more_is_not_sent():
    post = Post(3)
    post.letters["b"].unwanted = True
    assert post.next() == "ac"
    post = Post(1)
    post.letters["a"].unwanted = True
    assert post.next() == ""


def test_an_answer_of_another_length_is_no_answer():
    post = Post(2)
    post.next()
    post.box.answered(["1"])
    assert isinstance(post.outcome("a"), oq.ServerNotReached)


def test_the_end_is_told_to_all():
    post = Post(4)
    post.next()
    post.box.refused(oq.PayloadTooLarge(1))
    post.next()
    post.box.close(oq.Unavailable("closed"))
    assert all(isinstance(post.outcome(name), oq.Unavailable) for name in "abcd")
    assert post.next() == ""


# -- with a server that answers when it is told to


class Slow:
    """Holds each request until it is let go, and then answers or raises."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.keys: list[list[str]] = []
        self.go = trio.Semaphore(0)
        self.lose = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content)
        single = isinstance(sent, dict)
        tasks = [sent] if single else sent
        self.asked.append([task["model"] for task in tasks])
        header = request.headers.get("Idempotency-Key")
        self.keys.append([task.get("idempotency_key", header) for task in tasks])
        await self.go.acquire()
        if self.lose:
            self.lose -= 1
            raise httpx.ReadError("gone")
        ids = [f"id of {task['model']}" for task in tasks]
        return httpx.Response(201, json={"task_id": ids[0]} if single else {"task_ids": ids})

    def client(self) -> oq.AsyncClient:
        return oq.AsyncClient("box:1", transport=httpx.MockTransport(self))


@pytest.fixture
def slow():
    return Slow()


def named(name: str) -> oq.NewTask:
    return oq.generate(name, "p")


async def test_the_first_goes_at_once_and_the_others_together(slow, nursery):
    found: dict[str, str] = {}

    async def submit(name: str) -> None:
        found[name] = await queue.submit(named(name))

    async with slow.client() as queue:
        nursery.start_soon(submit, "first")
        await wait_all_tasks_blocked()
        for number in range(5):
            nursery.start_soon(submit, f"n{number}")
        await wait_all_tasks_blocked()
        assert slow.asked == [["first"]]
        slow.go.release()
        slow.go.release()
        await wait_all_tasks_blocked()
        assert [sorted(asked) for asked in slow.asked] == [["first"], [f"n{n}" for n in range(5)]]
        assert found == {name: f"id of {name}" for asked in slow.asked for name in asked}


async def test_a_caller_that_is_cancelled_leaves_the_others_alone(slow, nursery):
    found: list[str] = []

    async def submit(name: str, scope: trio.CancelScope) -> None:
        with scope:
            found.append(await queue.submit(named(name)))

    scopes = {name: trio.CancelScope() for name in ("first", "a", "b", "c")}
    async with slow.client() as queue:
        for name, scope in scopes.items():
            nursery.start_soon(submit, name, scope)
            await wait_all_tasks_blocked()
        scopes["first"].cancel()  # its request is under way: it goes on
        scopes["b"].cancel()  # this one has not gone out, and never does
        await wait_all_tasks_blocked()
        slow.go.release()
        slow.go.release()
        await wait_all_tasks_blocked()
        assert slow.asked == [["first"], ["a", "c"]]
        assert sorted(found) == ["id of a", "id of c"]


async def test_a_batch_whose_connection_is_lost_is_sent_again_with_the_same_keys(
    slow, nursery, autojump_clock
):
    slow.lose = 2
    for _ in range(3):
        slow.go.release()
    found: list[str] = []

    async def submit(name: str) -> None:
        found.append(await queue.submit(named(name), idempotency_key=f"mine {name}"))

    async with slow.client() as queue, trio.open_nursery() as submits:
        submits.start_soon(submit, "a")
        submits.start_soon(submit, "b")
    assert len(slow.asked) == 3
    assert slow.keys[0] == slow.keys[1] == slow.keys[2]
    assert sorted(slow.keys[0]) == ["mine a", "mine b"]
    assert sorted(found) == ["id of a", "id of b"]


async def test_whoever_submits_when_the_client_closes_is_told(slow, nursery):
    async def submit() -> None:
        with pytest.raises(oq.Unavailable, match="may still be stored"):
            await queue.submit(named("a"))

    async with slow.client() as queue:
        nursery.start_soon(submit)
        await wait_all_tasks_blocked()
    with pytest.raises(oq.Unavailable, match="closed"):
        await queue.submit(named("b"))


async def test_an_open_client_is_not_opened_again():
    queue = oq.AsyncClient("box:1")
    async with queue:
        with pytest.raises(RuntimeError, match="open already"):
            await queue.__aenter__()
