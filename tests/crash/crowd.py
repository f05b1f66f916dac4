"""Eight clients, each a thread, that submit to a server which keeps being killed."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field

from oq.client import Client, generate
from oq.words.errors import NotFound, OqError, ServerNotReached, Unavailable
from oq.words.task import Priority, Status, Task

CLIENTS = 8
SUBMITS_IN_A_LIFE = 25
"""What one client submits to one life of the server, so that the work can be done in the end."""

LOOK = 0.1
"""Seconds that a client lets the server hold a look at a task."""


@dataclass
class Witness:
    """What one client knows for certain. Written by its thread, read when that has ended."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """The ids of the tasks that are on disk, as it was told, in that order, and their prompts."""
    completed: dict[str, Task] = field(default_factory=dict)
    """The tasks that it saw completed, as they stood then."""
    broken: list[str] = field(default_factory=list)
    """Promises that were seen broken."""


class Crowd:
    """The clients. `meet` tells them where the server now listens; they go on until `leave`."""

    def __init__(self, chance: random.Random) -> None:
        self.witnesses = [Witness() for _ in range(CLIENTS)]
        self._moved = threading.Condition()
        self._address = ""
        self._life = 0
        self._leaving = False
        self._threads = [
            threading.Thread(
                target=_Member(self, number, witness, random.Random(chance.random())).run,
                name=f"client-{number}",
                daemon=True,
            )
            for number, witness in enumerate(self.witnesses)
        ]
        for thread in self._threads:
            thread.start()

    def meet(self, address: str) -> None:
        """The server has a new life, at this address."""
        with self._moved:
            self._address = address
            self._life += 1
            self._moved.notify_all()

    def leave(self) -> None:
        """No more lives; return when every client has ended. The server must be dead."""
        with self._moved:
            self._leaving = True
            self._moved.notify_all()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} still waits for a dead server"

    def next_life(self, seen: int) -> tuple[int, str] | None:
        """The number and the address of a life after that one; None when there will be none."""
        with self._moved:
            self._moved.wait_for(lambda: self._leaving or self._life > seen)
            return None if self._leaving else (self._life, self._address)


class _Member:
    def __init__(self, crowd: Crowd, number: int, witness: Witness, chance: random.Random) -> None:
        self._crowd = crowd
        self._number = number
        self._witness = witness
        self._chance = chance
        self._sent = 0  # the task that is being submitted, until it is acknowledged
        self._open: list[str] = []  # acknowledged, not seen completed

    def run(self) -> None:
        life = 0
        while (meeting := self._crowd.next_life(life)) is not None:
            life, address = meeting
            try:
                with Client(address, timeout=30) as client:
                    self._live(client)
            except (ServerNotReached, Unavailable):
                pass  # it was killed: what was on its way is not known to be anything
            except OqError as error:
                self._witness.broken.append(f"{type(error).__name__}: {error}")

    def _live(self, client: Client) -> None:
        """Submit and look at tasks until the server is gone."""
        for _ in range(SUBMITS_IN_A_LIFE):
            self._submit(client)
            if self._chance.random() < 0.3:
                self._look(client)
        while True:
            self._look(client)

    def _submit(self, client: Client) -> None:
        """The same task with the same key, life after life, until it is acknowledged."""
        prompt = f"{self._number}-{self._sent}"
        dice = random.Random(prompt)  # the same task each time
        slow = {"delay": dice.uniform(0.02, 0.3)} if dice.random() < 0.05 else {}
        task = generate(
            "m", prompt, priority=dice.choice(list(Priority)), options={"simulate": slow}
        )
        task_id = client.submit(task, idempotency_key=prompt)
        self._witness.acknowledged[task_id] = prompt
        self._open.append(task_id)
        self._sent += 1

    def _look(self, client: Client) -> None:
        """At a task that is still open or, now and then, at one that was seen completed."""
        seen = self._witness.completed
        if seen and (not self._open or self._chance.random() < 0.2):
            task_id = self._chance.choice(list(seen))
        else:
            task_id = self._chance.choice(self._open)
        try:
            task = client.get(task_id, wait=LOOK)
        except NotFound:
            self._witness.broken.append(f"acknowledged, but gone: {task_id}")
            return
        if task_id in seen:
            if task != seen[task_id]:
                self._witness.broken.append(f"reported as {seen[task_id]}, but then {task}")
        elif task.status is Status.COMPLETED:
            seen[task_id] = task
            self._open.remove(task_id)
        elif task.status is Status.FAILED:
            self._open.remove(task_id)
