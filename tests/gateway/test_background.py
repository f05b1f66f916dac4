"""Responses in the background, as the official client asks for them: made, read, streamed,
cancelled and deleted, on every kind of backend.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
import pytest
import trio

from oq.backends.simulated import Script, Simulator
from tests.support.gateway import Site, site

RESPONSES = "/v1/responses"
TEXT = "one two three"
GONE = "resp_" + "0" * 56
KIND = pytest.mark.parametrize("kind", ["ollama", "openai", "ollama lacking", "openai lacking"])


class Background(Site):
    """With OpenAI's own client of it."""

    client: openai.AsyncOpenAI

    async def create(self, **more: Any) -> Any:
        return await self.client.responses.create(
            **{"model": "m", "input": TEXT, "background": True, **more}
        )

    async def ended(self, response_id: str) -> Any:
        """The response, once it has ended."""
        task = f"{response_id[5:13]}-{response_id[13:17]}-{response_id[17:21]}-"
        task += f"{response_id[21:25]}-{response_id[25:37]}"
        (await self.oq.get(f"/api/tasks/{task}", params={"wait": "10s"})).raise_for_status()
        return await self.client.responses.retrieve(response_id)

    async def stream(self, response_id: str, **more: Any) -> list[Any]:
        stream = await self.client.responses.retrieve(response_id, stream=True, **more)
        return [event async for event in stream]


@asynccontextmanager
async def background(kind: Any = "ollama", **more: Any) -> AsyncIterator[Background]:
    name, _, lacking = kind.partition(" ")
    lacks = (RESPONSES,) if lacking else ()
    simulator = Simulator(models={"m"}, lacks=lacks)
    async with site(simulator, kind=name, **more) as here, httpx2.AsyncClient() as http:
        base = f"{here.oq.base_url}/v1"
        client = openai.AsyncOpenAI(base_url=base, api_key="-", http_client=http, max_retries=0)
        made = Background(here.simulator, here.queue, here.app, here.oq, here.direct, here.nursery)
        made.client = client
        yield made


def numbers(events: list[Any]) -> list[int]:
    return [event.sequence_number for event in events]


def text_of(events: list[Any]) -> str:
    return "".join(one.delta for one in events if one.type == "response.output_text.delta")


async def running(here: Background, response_id: str) -> None:
    """Return once the backend answers it, as the script says that was pushed."""
    while (await here.client.responses.retrieve(response_id)).status != "in_progress":
        await trio.lowlevel.checkpoint()
    while here.simulator.scripts:  # one that lacks the path is asked twice
        await trio.lowlevel.checkpoint()


# -- made and read


@KIND
async def test_it_is_queued_at_once_and_read_later(kind):
    async with background(kind) as here:
        here.simulator.push(Script(text="Paris"))
        made = await here.create(instructions="Be short.", temperature=0.5, metadata={"a": "b"})
        assert (made.status, made.object, made.model) == ("queued", "response", "m")
        assert (made.background, made.error, made.output, made.usage) == (True, None, [], None)
        assert (made.instructions, made.temperature) == ("Be short.", 0.5)
        assert made.metadata == {"a": "b"}
        read = await here.ended(made.id)
        assert (read.id, read.status, read.output_text) == (made.id, "completed", "Paris")
        assert (read.created_at, read.background) == (made.created_at, True)
        assert read.usage.output_tokens > 0


@KIND
async def test_the_backend_gets_the_call_as_one_in_the_foreground(kind):
    async with background(kind) as here:
        asked = b'{ "background" : true,"x":[1.50,  {"b":"\\u00e9"}],"model":"m", "input":"hi" }'
        answer = await here.oq.post(RESPONSES, content=asked)
        assert answer.status_code == 200, answer.text
        await here.ended(answer.json()["id"])
        [sent] = here.bodies(RESPONSES)
        assert sent == b'{"x":[1.50,  {"b":"\\u00e9"}],"model":"m","input":"hi"}'


async def test_a_compressed_body_is_sent_on_as_it_is_otherwise():
    async with background() as here:
        asked = gzip.compress(b'{"model":"m","input":"hi","background":true}')
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        answer = await here.oq.post(RESPONSES, content=asked, headers=headers)
        assert (await here.ended(answer.json()["id"])).status == "completed"
        assert here.bodies(RESPONSES) == [b'{"model":"m","input":"hi"}']
        assert "content-encoding" not in dict(here.simulator.calls[-1].headers)


async def test_the_timeout_is_that_of_an_attempt():
    """That of a call whose caller waits is for all of them."""
    retries = {"max_retries": 1, "initial_delay": 0}
    async with background(retry_config=retries) as here:
        here.simulator.push(Script(fault="hang"))
        here.simulator.push(Script(text="Paris"))
        made = await here.create(extra_headers={"X-OQ-Timeout": "100ms"})
        assert (await here.ended(made.id)).output_text == "Paris"


async def test_the_ids_lead_to_each_other():
    async with background() as here:
        answer = await here.oq.post(
            RESPONSES, json={"model": "m", "input": "?", "background": True}
        )
        task = await here.task(answer)
        name = answer.json()["id"]
        assert name == f"resp_{task['id'].replace('-', '')}{task['metadata']['response']}"
        assert task["metadata"]["detached"] is True
        read = await here.oq.get(f"{RESPONSES}/{name}")
        assert read.headers["x-oq-task-id"] == task["id"]


async def test_a_caller_that_leaves_does_not_cancel_it():
    async with background() as here:
        here.simulator.push(Script(text="Paris", fault="hang", at=1))
        stream = await here.create(stream=True)
        first = await anext(stream)
        await running(here, first.response.id)
        await stream.close()
        assert (await here.client.responses.retrieve(first.response.id)).status == "in_progress"
        assert (await here.client.responses.cancel(first.response.id)).status == "cancelled"


async def test_a_second_one_with_the_same_key_is_the_first():
    async with background() as here:
        key = {"Idempotency-Key": "k"}
        made = await here.create(extra_headers=key)
        again = await here.create(extra_headers=key)
        assert again.id == made.id
        await here.ended(made.id)
        assert (await here.create(extra_headers=key)).status == "completed"
        body = {"model": "m", "input": TEXT}
        foreground = {"Idempotency-Key": "f"}
        assert (await here.oq.post(RESPONSES, json=body, headers=foreground)).status_code == 200
        with pytest.raises(openai.ConflictError, match="has a caller"):
            await here.create(extra_headers=foreground)


async def test_it_must_be_stored():
    async with background() as here:
        with pytest.raises(openai.BadRequestError, match="store: "):
            await here.create(store=False)
        assert here.queue.status().total_tasks == 0
        assert (await here.create(store=True)).status == "queued"


@KIND
async def test_what_the_backend_refuses_is_the_error_of_the_response(kind):
    async with background(kind) as here:
        made = await here.create(model="nope")
        read = await here.ended(made.id)
        assert (read.status, read.output) == ("failed", [])
        assert "nope" in read.error.message
        assert read.error.code == "server_error"
        [*_, last] = await here.stream(made.id)
        assert last.type == "response.failed"
        assert last.response.error.message == read.error.message


async def test_an_answer_that_is_cut_is_incomplete():
    async with background("openai lacking") as here:
        made = await here.create(max_output_tokens=1, stream=True)
        events = [event async for event in made]
        assert events[-1].type == "response.incomplete"
        read = await here.ended(events[0].response.id)
        assert read.status == "incomplete"
        assert read.incomplete_details.reason == "max_output_tokens"


# -- streams


@KIND
async def test_it_streams_at_once_and_again_from_any_number(kind):
    async with background(kind) as here:
        here.simulator.push(Script(text="Paris is nice"))
        events = [event async for event in await here.create(stream=True)]
        assert [one.type for one in events[:3]] == [
            "response.created", "response.queued", "response.in_progress"
        ]  # fmt: skip
        assert numbers(events) == list(range(len(events)))
        assert events[-1].type == "response.completed"
        assert text_of(events) == events[-1].response.output_text == "Paris is nice"
        name = events[0].response.id
        assert {one.response.id for one in events if hasattr(one, "response")} == {name}
        assert (await here.ended(name)).output_text == "Paris is nice"
        for after in (None, 0, 3, len(events) - 2, len(events) - 1, len(events) + 5):
            more = {} if after is None else {"starting_after": after}
            rest = await here.stream(name, **more)
            assert rest == events[0 if after is None else after + 1 :]


@KIND
async def test_a_stream_is_taken_up_while_it_is_made(kind):
    async with background(kind) as here:
        here.simulator.push(Script(text="a b c d", fault="hang", at=2))
        stream = await here.create(stream=True)
        seen = [await anext(stream)]
        while not text_of(seen):
            seen.append(await anext(stream))
        await stream.close()
        name = seen[0].response.id
        more = await here.client.responses.retrieve(name, stream=True, starting_after=2)
        rest = [await anext(more)]
        assert rest[0] == seen[3]
        await here.client.responses.cancel(name)
        rest += [event async for event in more]
        assert numbers(rest) == list(range(3, 3 + len(rest)))
        assert (rest[-1].type, rest[-1].response.status) == ("response.failed", "cancelled")
        assert (await here.stream(name, starting_after=2)) == rest


@KIND
async def test_one_that_did_not_ask_for_a_stream_has_its_beginning_and_its_end(kind):
    async with background(kind) as here:
        made = await here.create()
        read = await here.ended(made.id)
        events = await here.stream(made.id)
        assert [one.type for one in events] == [
            "response.created", "response.queued", "response.completed"
        ]  # fmt: skip
        assert numbers(events) == [0, 1, 2]
        assert events[-1].response == read


async def test_the_clients_own_helper_takes_it_up():
    async with background() as here:
        made = await here.create(stream=True)
        events = [event async for event in made]
        name = events[0].response.id
        async with here.client.responses.stream(response_id=name, starting_after=3) as stream:
            rest = [event async for event in stream]
            response = await stream.get_final_response()
        assert response.output_text == events[-1].response.output_text
        assert rest[0].sequence_number == 4


async def test_an_attempt_that_begins_anew_has_numbers_of_its_own():
    async with background(retry_config={"max_retries": 1, "initial_delay": 0}) as here:
        here.simulator.push(Script(text="a b c", fault="disconnect", at=2))
        here.simulator.push(Script(text="x y z"))
        events = [event async for event in await here.create(stream=True)]
        assert [one.type for one in events].count("error") == 1
        assert "begun anew" in events[-1].message
        name, last = events[0].response.id, events[-1].sequence_number
        assert last == events[-2].sequence_number
        rest = await here.stream(name, starting_after=last)
        assert rest[0].type == "response.created"
        assert rest[0].sequence_number > last
        assert text_of(rest) == rest[-1].response.output_text == "x y z"
        assert numbers(rest) == list(range(rest[0].sequence_number, rest[-1].sequence_number + 1))
        assert (await here.stream(name))[2:] == rest


@pytest.mark.slow
async def test_a_long_answer_is_the_same_live_and_from_the_disk():
    async with background() as here:
        text = " ".join(f"word{number}" for number in range(4000))
        here.simulator.push(Script(text=text))
        events = [event async for event in await here.create(stream=True)]
        assert text_of(events) == events[-1].response.output_text == text
        assert numbers(events) == list(range(len(events)))
        name = events[0].response.id
        await here.ended(name)
        assert await here.stream(name) == events
        assert await here.stream(name, starting_after=3000) == events[3001:]


async def test_a_reader_is_told_that_the_response_was_deleted():
    async with background() as here:
        here.simulator.push(Script(text="a b c", fault="hang", at=1))
        stream = await here.create(stream=True)
        seen = [await anext(stream)]
        while not text_of(seen):
            seen.append(await anext(stream))
        await here.client.responses.delete(seen[0].response.id)
        seen += [event async for event in stream]
        # It may have been told before that that it was cancelled.
        assert seen[-1].type == "response.failed" or "deleted" in seen[-1].message


async def test_a_reader_is_told_that_the_server_closes():
    async with background(queue={"drain_timeout": 0}) as here:
        here.simulator.push(Script(text="a b c", fault="hang", at=1))
        stream = await here.create(stream=True)
        seen = [await anext(stream)]
        while not text_of(seen):
            seen.append(await anext(stream))
        last = seen[-1].sequence_number
        here.app.context.close()
        seen += [event async for event in stream]
        assert (seen[-1].type, seen[-1].sequence_number) == ("error", last)
        assert "shutting down" in seen[-1].message


# -- cancelled and deleted


@KIND
async def test_cancel(kind):
    async with background(kind) as here:
        here.simulator.push(Script(text="a b", fault="hang", at=1))
        made = await here.create(stream=False)
        await running(here, made.id)
        for _ in range(2):
            read = await here.client.responses.cancel(made.id)
            assert (read.id, read.status, read.error) == (made.id, "cancelled", None)
        assert (await here.client.responses.retrieve(made.id)).status == "cancelled"
        done = await here.create()
        await here.ended(done.id)
        assert (await here.client.responses.cancel(done.id)).status == "completed"


async def test_delete():
    async with background() as here:
        done = await here.create()
        await here.ended(done.id)
        here.simulator.push(Script(text="a b", fault="hang", at=1))
        runs = await here.create()
        await running(here, runs.id)
        for made in (done, runs):
            await here.client.responses.delete(made.id)
            for call in (
                here.client.responses.retrieve, here.client.responses.cancel,
                here.client.responses.delete, here.client.responses.input_items.list,
            ):  # fmt: skip
                with pytest.raises(openai.NotFoundError, match=f"Response with id '{made.id}' not"):
                    await call(made.id)
        assert here.queue.status().total_tasks == 0
        answer = await here.oq.delete(f"{RESPONSES}/{(await here.create()).id}")
        assert answer.json()["deleted"] is True


# -- what is asked wrongly


async def test_only_its_whole_id_leads_to_a_response():
    async with background() as here:
        made = await here.create()
        foreground = await here.oq.post(RESPONSES, json={"model": "m", "input": "?"})
        task = foreground.headers["x-oq-task-id"].replace("-", "")
        for name in (
            made.id[:-1] + ("1" if made.id[-1] == "0" else "0"), made.id[:-24] + "0" * 24,
            made.id[5:], f"resp_{task}", f"resp_{task}{'0' * 24}", GONE, "x", "resp_é",
        ):  # fmt: skip
            answer = await here.oq.get(f"{RESPONSES}/{name}")
            assert answer.status_code == 404, name
            error = answer.json()["error"]
            assert error == {
                "message": f"Response with id {name!r} not found.",
                "type": "invalid_request_error", "param": None, "code": None,
            }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", GONE, "DELETE, GET"),
        ("POST", GONE, "DELETE, GET"),
        ("GET", f"{GONE}/cancel", "POST"),
        ("POST", f"{GONE}/input_items", "GET"),
    ],
)
async def test_a_method_that_a_path_does_not_take(method, path, allow):
    async with background() as here:
        answer = await here.oq.request(method, f"{RESPONSES}/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)
        asked = await here.oq.options(f"{RESPONSES}/{path}")
        assert (asked.status_code, asked.headers["allow"]) == (204, allow)
        assert (await here.oq.get(f"{RESPONSES}/a/b")).status_code == 404


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?stream=yes", "stream"),
        ("?stream=true&starting_after=x", "starting_after"),
        ("/input_items?order=up", "order"),
        ("/input_items?limit=0", "limit"),
        ("/input_items?limit=101", "limit"),
        ("/input_items?after=x", "after"),
    ],
)
async def test_a_wrong_parameter_is_named(query, named):
    async with background() as here:
        made = await here.create()
        answer = await here.oq.get(f"{RESPONSES}/{made.id}{query}")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith(f"{named}: ")


# -- what was asked


async def test_the_input_items():
    async with background() as here:
        made = await here.create(input="hi")
        [item] = [one async for one in here.client.responses.input_items.list(made.id)]
        assert (item.type, item.role, item.content[0].text) == ("message", "user", "hi")
        said = [{"role": "assistant" if n % 2 else "user", "content": str(n)} for n in range(25)]
        made = await here.create(input=said)
        pages = here.client.responses.input_items.list(made.id, order="asc", limit=10)
        found = [one async for one in pages]
        assert [one.content[0].text for one in found] == [str(n) for n in range(25)]
        assert found[1].content[0].type == "output_text"
        newest = [one async for one in here.client.responses.input_items.list(made.id)]
        assert [one.id for one in newest] == [one.id for one in found[::-1]]


@KIND
async def test_a_response_goes_on_from_one_that_is_kept(kind):
    async with background(kind) as here:
        here.simulator.push(Script(text="Paris"))
        first = await here.create(input="The capital?", instructions="Be short.")
        await here.ended(first.id)
        second = await here.create(
            input=[{"role": "user", "content": "Of what?"}], previous_response_id=first.id
        )
        assert second.previous_response_id == first.id
        read = await here.ended(second.id)
        assert (read.status, read.previous_response_id) == ("completed", first.id)
        third = await here.oq.post(
            RESPONSES, json={"model": "m", "input": "And?", "previous_response_id": second.id}
        )
        assert third.status_code == 200, third.text
        sent = [json.loads(body) for body in here.bodies(RESPONSES)]
        last = sent[-1] if "lacking" not in kind else None
        if last is None:
            path = "/api/chat" if "ollama" in kind else "/v1/chat/completions"
            messages = json.loads(here.bodies(path)[-1])["messages"]
            said = [one["content"] for one in messages]
            assert said[:3] == ["The capital?", "Paris", "Of what?"]
            assert said[-1] == "And?"
            return
        assert "previous_response_id" not in last
        assert "instructions" not in last
        kinds = [item.get("role") for item in last["input"]]
        assert kinds == ["user", "assistant", "user", "assistant", "user"]


async def test_what_cannot_be_gone_on_from_is_refused_by_name():
    async with background(queue={"max_payload": 2000}) as here:
        here.simulator.push(Script(text="a", fault="hang", at=1))
        runs = await here.create()
        for name, why in ((GONE, "not found"), (runs.id, "not completed")):
            with pytest.raises(openai.BadRequestError, match=f"previous_response_id: .*{why}"):
                await here.create(previous_response_id=name)
        await here.client.responses.cancel(runs.id)
        long = await here.create(input="x" * 1500)
        await here.ended(long.id)
        with pytest.raises(openai.BadRequestError, match=r"queue\.max_payload"):
            await here.create(previous_response_id=long.id, input="y" * 600)


@pytest.mark.parametrize("foreign", ["resp_1", "", 3])
async def test_an_id_that_is_not_oqs_is_left_to_the_backend(foreign):
    async with background() as here:
        body = {"model": "m", "input": "?", "previous_response_id": foreign}
        asked = json.dumps(body).encode()
        assert (await here.oq.post(RESPONSES, content=asked)).status_code == 200
        assert here.bodies(RESPONSES) == [asked]
