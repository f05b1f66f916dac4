"""Whatever calls come, and whoever leaves: what must always be true of the simulated machine."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.unit.simulated.machine import Machine

CALLS = st.lists(
    st.tuples(
        st.integers(0, 30),  # seconds after the one before
        st.sampled_from("abc"),
        st.sampled_from([2048, 4096]),
        st.integers(0, 20),  # seconds that it takes
        st.one_of(st.none(), st.integers(0, 60)),  # when its caller leaves
        st.sampled_from([None, 0, 5, -1]),  # keep_alive
        st.booleans(),  # whether its model is killed
    ),
    max_size=12,
)


async def play(machine, calls):
    async def one(number, model, context, seconds, leaves, keep, killed):
        with trio.move_on_after(float("inf") if leaves is None else leaves):
            await machine.call(
                number,
                model,
                options={"num_ctx": context},
                fields={} if keep is None else {"keep_alive": keep},
                prompt=seconds / 2,
                rate=1,
                tokens=1 + seconds // 2,
                **({"fault": "killed", "at": 1} if killed else {}),
            )

    async with trio.open_nursery() as nursery:
        for number, (gap, *call) in enumerate(calls):
            await trio.sleep(gap + 0.01)
            nursery.start_soon(one, number, *call)


@given(CALLS, st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_all_is_answered_and_nothing_is_left_behind(calls, max_models, parallel, router):
    async def main():
        machine = Machine(load=7, max_models=max_models, parallel=parallel, router=router)
        await play(machine, calls)
        await trio.sleep(100)
        loaded = machine.simulator.loaded
        stayed = {number for number, call in enumerate(calls) if call[4] is None}
        assert stayed <= set(machine.order)
        assert loaded.waiting == 0
        assert loaded.loading is None
        assert len(loaded.runners) <= max_models
        assert all(not runner.users for runner in loaded.runners)
        now = trio.current_time()
        assert all(r.died.is_set() or r.slots.all_free(now) for r in loaded.runners)
        most_at_once = {model: most(runs(machine, calls, model)) for model in "abc" if not router}
        assert all(count <= parallel for count in most_at_once.values())
        # Whatever was left behind, the next call for each model is answered.
        for model in "abc":
            await machine.call(f"last {model}", model)
            assert f"last {model}" in machine.said

    trio.run(main, clock=MockClock(autojump_threshold=0))


def runs(machine, calls, model):
    """When each answered call of a model had its slot."""
    for number, said in machine.said.items():
        if calls[number][1] == model:
            seconds = (said["prompt_eval_duration"] + said["eval_duration"]) / 1e9
            yield machine.ended[number] - seconds, machine.ended[number]


def most(spans):
    """The most of these spans that overlap."""
    edges = [edge for start, end in spans for edge in ((start + 1e-6, 1), (end - 1e-6, -1))]
    count = highest = 0
    for _, step in sorted(edges):
        count += step
        highest = max(highest, count)
    return highest


def test_the_most_that_overlap():
    assert most([]) == 0
    assert most([(0, 2), (2, 3), (1, 4), (5, 6)]) == 2
