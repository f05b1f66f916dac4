"""kill -9 with responses in the background: all of them are there afterwards, and their streams go
on. The official client asks for them.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.dropin.callers import openai_client
from tests.dropin.ways import Way, kill, serving

SETTINGS: dict[str, Any] = {
    "queue": {"max_workers": 1},
    "retry_config": {"max_retries": 3},
}
PACE = "OQ_SIMULATED_TOKENS_PER_SECOND"
LONG = " ".join(f"word{number}" for number in range(40))
"""A second a word is far longer than it takes to kill oq behind the first one."""
KIND = pytest.mark.parametrize("kind", ["ollama", "openai", "simulated"])


def create(client: Any, text: str, *, stream: bool, **more: Any) -> Any:
    return client.responses.create(model="m", input=text, background=True, stream=stream, **more)


def said(events: list[Any]) -> str:
    return "".join(one.delta for one in events if one.type == "response.output_text.delta")


def ended(way: Way, client: Any, name: str) -> Any:
    """The response, once it has ended."""
    [task] = [one for one in way.tasks() if one["id"].replace("-", "") in name]
    way.ended(task["id"])
    return client.responses.retrieve(name)


@KIND
def test_a_kill_loses_no_response_and_their_streams_go_on(machine, tmp_path, kind, monkeypatch):
    monkeypatch.setenv(PACE, "1")
    with (
        serving(machine, tmp_path, kind, **SETTINGS) as (way, server),
        openai_client(way.url, asynchronous=False) as client,
    ):
        whole = list(create(client, "one two", stream=True, max_output_tokens=2))
        done = ended(way, client, whole[0].response.id)
        if kind != "simulated":
            machine.push(text=LONG, fault="hang", at=2)
        stream = create(client, LONG, stream=True)
        seen = [next(stream)]
        while not said(seen):
            seen.append(next(stream))
        queued = create(client, "three", stream=False)
        assert queued.status == "queued"
        kill(server)
    monkeypatch.setenv(PACE, "0")
    with (
        serving(machine, tmp_path, kind, **SETTINGS) as (way, _),
        openai_client(way.url, asynchronous=False) as client,
    ):
        assert client.responses.retrieve(done.id) == done
        assert list(client.responses.retrieve(done.id, stream=True)) == whole
        after = whole[2].sequence_number
        rest = list(client.responses.retrieve(done.id, stream=True, starting_after=after))
        assert rest == whole[3:]
        name, last = seen[0].response.id, seen[-1].sequence_number
        anew = list(client.responses.retrieve(name, stream=True, starting_after=last))
        assert anew[0].type == "response.created"
        assert [one.sequence_number for one in anew] == list(
            range(anew[0].sequence_number, anew[0].sequence_number + len(anew))
        )
        assert anew[0].sequence_number > last
        assert anew[-1].type == "response.completed"
        assert said(anew) == anew[-1].response.output_text
        assert anew[-1].response == client.responses.retrieve(name)
        assert list(client.responses.retrieve(name, stream=True)) == [*seen[:2], *anew]
        third = ended(way, client, queued.id)
        assert (third.status, third.created_at) == ("completed", queued.created_at)


@KIND
def test_cancel_and_delete(machine, tmp_path, kind, monkeypatch):
    monkeypatch.setenv(PACE, "1")
    with (
        serving(machine, tmp_path, kind, **SETTINGS) as (way, _),
        openai_client(way.url, asynchronous=True) as client,
    ):
        if kind != "simulated":
            machine.push(text=LONG, fault="hang", at=2)
        runs, waits = (create(client, LONG, stream=False) for _ in range(2))
        way.until_status(running_tasks=1, pending_tasks=1)
        for made in (waits, runs):
            assert client.responses.cancel(made.id).status == "cancelled"
            assert client.responses.cancel(made.id).status == "cancelled"
            client.responses.delete(made.id)
        assert way.status()["total_tasks"] == 0
