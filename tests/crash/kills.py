"""A server that is killed again and again under load, and what is left when its work is done."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from oq.client import Client, generate
from oq.words.task import Status, Task

from .crowd import Crowd, Witness
from .serving import Serving

POISON_RETRIES = 2


@dataclass(frozen=True)
class Aftermath:
    """What the clients know, and what the server says of all tasks in the end."""

    witnesses: list[Witness]
    tasks: dict[str, Task]
    """By id, the oldest first."""
    poison: str
    """The id of a task that ran whenever the server was killed."""

    def acknowledged(self) -> int:
        return sum(len(witness.acknowledged) for witness in self.witnesses)

    def lost(self) -> list[str]:
        """Acknowledged tasks that are missing, or ask for something else."""
        return [
            f"{task_id} ({prompt})"
            for witness in self.witnesses
            for task_id, prompt in witness.acknowledged.items()
            if (task := self.tasks.get(task_id)) is None or task.payload["prompt"] != prompt
        ]

    def changed(self) -> list[str]:
        """Tasks that were seen completed, and are not as they were then: they have run again."""
        return [
            f"{task_id} was {seen}, is {self.tasks.get(task_id)}"
            for witness in self.witnesses
            for task_id, seen in witness.completed.items()
            if self.tasks.get(task_id) != seen
        ]

    def broken(self) -> list[str]:
        """Promises that clients saw broken, and tasks that did not end as they should."""
        seen = [what for witness in self.witnesses for what in witness.broken]
        return seen + [
            f"{task.id} is {task.status}: {task.error}"
            for task in self.tasks.values()
            if task.status is not Status.COMPLETED
            and not (task.status is Status.FAILED and (task.error or "").startswith("poison"))
        ]


def kill_again_and_again(
    data: Path, chance: random.Random, at_work: int, at_start: int
) -> Aftermath:
    """Kill a server so often, at work and as it starts; then let it finish, and read all tasks.
    AssertionError when it ends by itself, or does not start or finish any more.
    """
    crowd = Crowd(chance)
    starts = [True] * at_start + [False] * (at_work - 1)
    chance.shuffle(starts)
    poison = ""
    for as_it_starts in [False, *starts]:
        with Serving(data) as server:
            if as_it_starts:
                assert not server.ended_within(chance.uniform(0, 0.6)), server.said()
                continue
            crowd.meet(server.url())
            if not poison:
                poison = submit_poison(server.url())
            assert not server.ended_within(chance.uniform(0.05, 0.6)), server.said()
    crowd.leave()
    with Serving(data) as server:
        wait_for_all(server.url())
        return Aftermath(crowd.witnesses, everything(server.url()), poison)


def submit_poison(server: str) -> str:
    """A task that runs whenever the server is killed, because it never ends."""
    with Client(server) as client:
        return client.submit(
            generate(
                "m", "poison", priority=100, max_retries=POISON_RETRIES,
                options={"simulate": {"fault": "hang"}},
            )
        )  # fmt: skip


def wait_for_all(server: str) -> None:
    """Return when every task has ended."""
    with Client(server) as client:
        while live := client.list(status=["pending", "running"], limit=1000):
            assert client.get(live[0].id, wait=60).status.ended, "no task ends any more"


def everything(server: str) -> dict[str, Task]:
    """All tasks, by id, the oldest first."""
    decode = msgspec.json.Decoder(list[Task]).decode
    tasks: list[Task] = []
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as http:
        page = "/api/tasks?limit=1000"
        while page:
            answer = http.get(page)
            tasks += decode(answer.raise_for_status().content)
            page = answer.links.get("next", {}).get("url", "")
    return {task.id: task for task in reversed(tasks)}
