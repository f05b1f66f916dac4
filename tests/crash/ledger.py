"""What a queue promised, kept outside of it; and whether a store that was opened again keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from oq.store import Store
from oq.words.task import Status, TaskState

from . import integrity


@dataclass
class Ledger:
    """Nothing is added once the power is gone (`closed`)."""

    closed: bool = False
    prompts: dict[str, str] = field(default_factory=dict)
    """The prompt of each acknowledged task, by its id."""
    batches: dict[str, int] = field(default_factory=dict)
    """How many tasks each batch has whose submit was begun."""
    cancelled: set[str] = field(default_factory=set)
    """Tasks whose cancelling was acknowledged."""
    ended: dict[str, TaskState] = field(default_factory=dict)
    """The tasks that were reported as ended, as they stood then."""

    def acknowledge(self, task_id: str, prompt: str) -> None:
        if not self.closed:
            self.prompts[task_id] = prompt

    def acknowledge_cancel(self, task_id: str) -> None:
        if not self.closed:
            self.cancelled.add(task_id)

    def report(self, state: TaskState) -> None:
        if not self.closed and state.status.ended:
            self.ended[state.id] = state

    def check(self, store: Store) -> None:
        """AssertionError says which promise was broken."""
        states = integrity.check(store)
        for task_id, prompt in self.prompts.items():
            assert task_id in states, f"acknowledged, but gone: {prompt}"
            assert prompt_of(store, task_id) == prompt
        for task_id in self.cancelled:
            assert states[task_id].status is Status.CANCELLED, f"not cancelled: {states[task_id]}"
        for task_id, state in self.ended.items():
            assert states.get(task_id) == state, f"told as ended: {state}; is {states.get(task_id)}"
        self._check_batches(store, states)

    def _check_batches(self, store: Store, states: dict[str, TaskState]) -> None:
        """A batch is there whole, or not at all, and no task is there twice."""
        prompts = [prompt_of(store, task_id) for task_id in states]
        assert len(prompts) == len(set(prompts)), "a task is there twice"
        for batch, size in self.batches.items():
            found = sum(prompt.startswith(f"{batch}/") for prompt in prompts)
            assert found in (0, size), f"{found} of the {size} tasks of batch {batch}"


def prompt_of(store: Store, task_id: str) -> str:
    body = store.body(task_id)
    assert body is not None
    prompt: str = msgspec.json.decode(body.payload)["prompt"]
    return prompt.partition(" ")[0]


def check_first_starts(states: dict[str, TaskState]) -> None:
    """Inside a priority, tasks started in the order of their ids."""
    lines: dict[int, list[TaskState]] = {}
    for state in states.values():
        if state.attempts:
            lines.setdefault(state.terms.priority, []).append(state)
    for line in lines.values():
        for before, after in pairwise(line):
            assert before.attempts[0].started_at <= after.attempts[0].started_at, (
                f"{after.id} overtook {before.id}"
            )
