"""Several backends: what is no task, but names a model, goes to one that has that model."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest
import trio

from oq.backends.simulated import Simulator
from tests.support.gateway import site
from tests.support.several import asked, fleet

ADMIN = {"gateway": {"allow_admin": True}}


NAMED = [
    ("POST", "/api/show", {"model": "beta"}),
    ("POST", "/api/show", {"name": "beta:latest"}),
    ("POST", "/api/show", {"MODEL": "beta", "name": "alpha"}),
    ("GET", "/v1/models/beta", None),
    ("HEAD", "/v1/models/beta", None),
    ("POST", "/tokenize", {"content": "one two", "model": "beta"}),
    ("POST", "/v1/detokenize", {"tokens": [1, 2], "model": "beta"}),
    ("POST", "/apply-template", {"messages": [], "model": "beta"}),
    ("GET", "/props?model=beta", None),
    ("POST", "/v1/messages/count_tokens", {"model": "beta", "messages": []}),
]


@pytest.mark.parametrize(("method", "path", "body"), NAMED)
async def test_it_goes_to_the_backend_that_has_the_model(method, path, body):
    async with fleet(["alpha"], ["beta"]) as (here, simulators):
        await here.oq.request(method, path, json=body)
        assert asked(simulators, path.partition("?")[0]) == [0, 1]
        if body is not None:
            [call] = simulators[1].asked(path)
            assert json.loads(call.body) == body


async def test_the_answer_is_that_of_the_backend():
    async with fleet(["alpha"], ["beta"]) as (here, simulators):
        [second] = [one for one in here.queue._core.by_name.values() if one.name == "b2"]
        async with httpx.AsyncClient(base_url=second.url) as direct:
            for method, path, body in NAMED[:4]:
                theirs = await direct.request(method, path, json=body)
                ours = await here.oq.request(method, path, json=body)
                assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
        assert asked(simulators, "/api/show") == [0, 6]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"not JSON",
        b'{"model": 7}',
        b'{"model": null}',
        b'{"model": "gamma"}',
        b"[" * 100_000,
        b'{"model": "beta',
        b"\xff\xfe",
    ],
)
async def test_what_names_no_model_that_is_known_goes_to_the_first(body):
    async with fleet(["alpha"], ["beta"]) as (here, simulators):
        answer = await here.oq.post("/api/show", content=body)
        assert asked(simulators, "/api/show") == [1, 0]
        assert 400 <= answer.status_code < 500


async def test_the_model_is_read_behind_a_long_text_and_in_a_compressed_body():
    body = json.dumps({"content": "word " * 200_000, "model": "beta"}).encode()
    async with fleet(["alpha"], ["beta"]) as (here, simulators):
        await here.oq.post("/tokenize", content=body)
        packed = {"Content-Encoding": "gzip"}
        await here.oq.post("/tokenize", content=gzip.compress(body), headers=packed)
        assert asked(simulators, "/tokenize") == [0, 2]


async def test_what_is_compressed_beyond_all_measure_is_not_read_but_passed_on():
    body = gzip.compress(b'{"model": "beta", "x": "' + bytes(32 * 1024 * 1024) + b'"}')
    async with fleet(["alpha"], ["beta"]) as (here, simulators):
        await here.oq.post("/tokenize", content=body, headers={"Content-Encoding": "gzip"})
        assert asked(simulators, "/tokenize") == [1, 0]


async def test_a_model_that_came_without_oq_is_found():
    async with fleet(["alpha"], ["beta"]) as (here, simulators):
        simulators[1].model_files.put("gamma")
        answer = await here.oq.post("/api/show", json={"model": "gamma"})
        assert answer.status_code == 200
        assert asked(simulators, "/api/show") == [0, 1]


async def test_models_that_nobody_has_do_not_make_it_ask_again_and_again():
    async with fleet(["alpha"], ["beta"]) as (here, simulators):
        before = asked(simulators, "/api/tags")
        for number in range(20):
            answer = await here.oq.post("/api/show", json={"model": f"none{number}"})
            assert answer.status_code == 404
        more = [
            now - then for now, then in zip(asked(simulators, "/api/tags"), before, strict=True)
        ]
        assert max(more) <= 3


async def test_one_that_is_up_is_preferred_and_then_one_that_speaks_the_dialect():
    async with fleet(["both"], ["both"], kinds=["openai", "ollama"]) as (here, simulators):
        await here.oq.post("/api/show", json={"model": "both"})
        assert asked(simulators, "/api/show") == [0, 1]
        slots = here.queue._core.board.backends
        slots[1].down = "gone"
        answer = await here.oq.post("/api/show", json={"model": "both"})
        assert answer.status_code == 200, "made of the list of the other one"
        assert asked(simulators, "/api/show") == [0, 1]


async def test_a_model_that_only_a_backend_has_that_is_down_is_not_denied_by_another():
    async with fleet(["alpha"], ["beta"]) as (here, simulators):
        here.queue._core.by_name["b2"]._transport.url = "http://127.0.0.1:1"
        answer = await here.oq.post("/api/show", json={"model": "beta"})
        assert answer.status_code == 502
        assert "127.0.0.1:1" in answer.json()["error"]
        assert asked(simulators, "/api/show") == [0, 0]


async def test_one_that_has_lost_the_model_leaves_it_to_another():
    async with fleet(["both"], ["both"], **ADMIN) as (here, simulators):
        simulators[0].model_files.remove("both")
        for _ in range(3):
            answer = await here.oq.post("/api/show", json={"model": "both"})
            assert answer.status_code == 200
        assert asked(simulators, "/api/show") == [1, 3], "from then on it is known"
        simulators[1].model_files.remove("both")
        answer = await here.oq.request("DELETE", "/api/delete", json={"model": "both"})
        assert (answer.status_code, answer.json()) == (404, {"error": "model 'both' not found"})
        simulators[0].model_files.put("both")
        with trio.fail_after(5):
            while not here.queue._core.board.backends[0].models.has("both"):
                await here.oq.post("/api/show", json={"model": "both"})
        assert (await here.oq.get("/v1/models/both")).status_code == 200


async def test_one_that_has_just_gone_leaves_it_to_another():
    async with fleet(["both"], ["both"]) as (here, simulators):
        here.queue._core.by_name["b"]._transport.url = "http://127.0.0.1:1"
        answer = await here.oq.post("/api/show", json={"model": "both"})
        assert answer.status_code == 200
        assert asked(simulators, "/api/show") == [0, 1]


async def test_changes_go_where_the_model_is_and_are_known_afterwards():
    async with fleet(["alpha"], ["beta"], **ADMIN) as (here, simulators):
        first, second = (one.model_files for one in simulators)
        copy = {"source": "beta", "destination": "gamma"}
        assert (await here.oq.post("/api/copy", json=copy)).status_code == 200
        assert "gamma:latest" in second.names
        assert (await here.oq.post("/api/show", json={"model": "gamma"})).status_code == 200
        gone = await here.oq.request("DELETE", "/api/delete", json={"model": "beta"})
        assert gone.status_code == 200
        assert second.names == {"gamma:latest"}
        gone = await here.oq.request("DELETE", "/api/delete", json={"model": "beta"})
        assert gone.status_code == 404
        assert asked(simulators, "/api/delete") == [1, 1], "nobody has it: the first one says so"
        assert first.names == {"alpha"}


async def test_what_is_new_comes_to_the_first():
    async with fleet(["alpha"], ["beta"], **ADMIN) as (here, simulators):
        await here.oq.post("/api/pull", json={"model": "beta"})
        await here.oq.post("/api/create", json={"model": "gamma", "from": "beta"})
        assert asked(simulators, "/api/pull") == asked(simulators, "/api/create") == [1, 0]


async def test_one_backend_gets_everything_unread():
    async with site(Simulator(models=["alpha"])) as here:
        bomb = gzip.compress(bytes(32 * 1024 * 1024))
        for body, headers in ((b'{"model": "beta"}', {}), (bomb, {"Content-Encoding": "gzip"})):
            await here.oq.post("/api/show", content=body, headers=headers)
        assert [call.body for call in here.simulator.asked("/api/show")] == [
            b'{"model": "beta"}',
            bomb,
        ]
        assert len(here.simulator.asked("/api/tags")) <= 1, "at the start"
