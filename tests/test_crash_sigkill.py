"""`oq serve` is killed again and again while it works, and keeps every promise that it made."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import httpx
import msgspec
import pytest

from oq.client import Client, generate
from oq.client.calls import Tasks
from oq.words.task import Status, Task

from .crash.chance import seeded
from .crash.crowd import Crowd, Witness
from .crash.serving import Serving

KILLS_AT_WORK = 30
KILLS_AT_START = 6
POISON_RETRIES = 2


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory) -> Aftermath:
    """Kill a server under load, 36 times; then let it finish its work, and read all of it."""
    chance = seeded()
    data = tmp_path_factory.mktemp("sigkill") / "data"
    crowd = Crowd(chance)
    starts = [True] * KILLS_AT_START + [False] * (KILLS_AT_WORK - 1)
    chance.shuffle(starts)
    poison = ""
    for at_start in [False, *starts]:
        with Serving(data) as server:
            if at_start:
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


class Aftermath:
    def __init__(self, witnesses: list[Witness], tasks: dict[str, Task], poison: str) -> None:
        self.witnesses = witnesses
        self.tasks = tasks
        self.poison = poison


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
    decode = msgspec.json.Decoder(Tasks).decode
    tasks: list[Task] = []
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as http:
        page = "/api/tasks?limit=1000"
        while page:
            answer = http.get(page)
            tasks += decode(answer.raise_for_status().content)
            page = answer.links.get("next", {}).get("url", "")
    return {task.id: task for task in reversed(tasks)}


def test_enough_was_going_on(aftermath):
    """Or the tests below would prove nothing."""
    tasks = aftermath.tasks.values()
    assert len(tasks) > 500
    assert sum(len(witness.completed) for witness in aftermath.witnesses) > 100
    assert sum(len(task.attempts) > 1 for task in tasks) > 10
    assert {task.priority for task in tasks} == {1, 5, 10, 15, 100}


def test_no_acknowledged_task_is_missing(aftermath):
    for witness in aftermath.witnesses:
        for task_id, prompt in witness.acknowledged.items():
            assert aftermath.tasks[task_id].payload["prompt"] == prompt


def test_a_task_submitted_again_with_its_key_is_one_task(aftermath):
    prompts = [task.payload["prompt"] for task in aftermath.tasks.values()]
    assert len(prompts) == len(set(prompts))


def test_what_was_reported_completed_has_not_run_again(aftermath):
    for witness in aftermath.witnesses:
        assert witness.broken == []
        for task_id, seen in witness.completed.items():
            assert aftermath.tasks[task_id] == seen


def test_every_task_ended_and_only_poison_failed(aftermath):
    for task in aftermath.tasks.values():
        if task.status is not Status.COMPLETED:
            assert task.status is Status.FAILED
            assert task.error.startswith("poison")
            assert len(task.attempts) > task.max_retries
            assert all("oq stopped" in attempt.error for attempt in task.attempts)


def test_a_task_that_runs_at_every_death_is_poison(aftermath):
    task = aftermath.tasks[aftermath.poison]
    assert task.status is Status.FAILED
    assert len(task.attempts) == POISON_RETRIES + 1


def test_inside_a_priority_the_first_starts_are_in_order(aftermath):
    lines: dict[int, list[Task]] = defaultdict(list)
    for task in aftermath.tasks.values():
        lines[task.priority].append(task)
    for line in lines.values():
        for before, after in pairwise(line):
            assert before.attempts[0].started_at <= after.attempts[0].started_at


def test_each_client_has_its_tasks_in_the_order_in_which_it_submitted_them(aftermath):
    for witness in aftermath.witnesses:
        assert list(witness.acknowledged) == sorted(witness.acknowledged)
