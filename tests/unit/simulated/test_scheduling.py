"""The simulated machine lines calls up as Ollama's scheduler was seen to.

Each behaviour is held here on the mock clock, through the in-process backend. What was looked at on
a real Ollama is said in `test_seen.py`.
"""

from __future__ import annotations

import json
import math

import pytest
import trio
import trio.testing

from oq.backends.simulated.loaded import LoadedModels
from oq.words.task import TaskType
from tests.unit.simulated.machine import SECOND, Machine


@pytest.fixture
async def open_machine(nursery):
    def make(**how):
        machine = Machine(**how)

        async def begin(*args, **kwargs):
            """Start a call, and let it come as far as it gets at once."""
            nursery.start_soon(lambda: machine.call(*args, **kwargs))
            await trio.testing.wait_all_tasks_blocked()

        machine.begin = begin
        return machine

    return make


async def until(machine, seconds):
    await trio.sleep_until(machine.began + seconds)


TEN_TOKENS = {"delay": 1, "rate": 10, "tokens": 11}
"""Two seconds: one until the first token, one until the last."""


async def test_calls_beyond_the_slots_wait_in_order_and_only_the_total_says_so(
    open_machine, autojump_clock
):
    machine = open_machine(load=0)
    for name in "abc":
        await machine.begin(name, **TEN_TOKENS)
    await until(machine, 100)
    assert machine.ended == {"a": 2, "b": 4, "c": 6}
    assert machine.seconds("c") == {
        "total": 6, "load": 0, "prompt_eval": 1, "eval": 1, "waited": 4
    }  # fmt: skip


@pytest.mark.parametrize(("parallel", "ends"), [(2, [2, 2, 4, 4]), (None, [2, 2, 2, 2])])
async def test_as_many_run_at_once_as_there_are_slots(open_machine, autojump_clock, parallel, ends):
    machine = open_machine(load=0, parallel=parallel)
    for name in "abcd":
        await machine.begin(name, **TEN_TOKENS)
    await until(machine, 100)
    assert [machine.ended[name] for name in "abcd"] == ends


async def test_a_model_that_embeds_has_one_slot(open_machine, autojump_clock):
    machine = open_machine(load=0, parallel=4)
    for name in "ab":
        await machine.begin(name, "nomic-embed-text", TaskType.EMBED, delay=3)
    await until(machine, 100)
    assert machine.ended == {"a": 3, "b": 6}
    assert machine.said["b"]["total_duration"] == 6 * SECOND
    assert machine.said["b"]["load_duration"] == 0
    assert "eval_duration" not in machine.said["b"]


async def test_each_model_has_slots_of_its_own(open_machine, autojump_clock):
    machine = open_machine(load=0)
    await machine.begin("a", "one", **TEN_TOKENS)
    await machine.begin("b", "two", **TEN_TOKENS)
    await until(machine, 100)
    assert machine.ended == {"a": 2, "b": 2}


async def test_who_only_waits_beside_a_load_has_it_in_his_load_duration_too(
    open_machine, autojump_clock
):
    machine = open_machine(parallel=2)
    await machine.begin("first", **TEN_TOKENS)
    await until(machine, 4)
    await machine.begin("second", **TEN_TOKENS)
    assert machine.simulator.loaded.names == [], "what loads is not in memory yet"
    assert machine.simulator.loaded.loading == "m"
    await until(machine, 100)
    assert machine.seconds("first")["load"] == 10
    assert machine.seconds("second") == {
        "total": 8, "load": 6, "prompt_eval": 1, "eval": 1, "waited": 0
    }  # fmt: skip


async def test_a_call_for_a_loaded_model_passes_by_and_so_a_busy_one_never_leaves(
    open_machine, autojump_clock
):
    machine = open_machine(max_models=1)
    await machine.begin("b", "b", **TEN_TOKENS)
    await until(machine, 11)
    await machine.begin("c", "c", **TEN_TOKENS)
    for number in range(5):  # before the one has ended, the next is there
        await machine.begin(f"b{number}", "b", **TEN_TOKENS)
        await until(machine, 13 + 2 * number)
    assert machine.order == ["b", "b0", "b1", "b2", "b3"]
    await until(machine, 100)
    assert machine.simulator.loaded.loads == ["b", "c"]
    assert machine.ended["c"] == machine.ended["b4"] + 10 + 2
    assert machine.seconds("c")["load"] == machine.ended["b4"] - 11 + 10


async def test_the_first_in_the_line_blocks_those_behind_it(open_machine, autojump_clock):
    machine = open_machine(max_models=2)
    await machine.begin("a", "a", delay=100, load=0)
    await machine.begin("b", "b", delay=101, load=0)
    await machine.begin("again", "a", options={"num_ctx": 8192})
    await machine.begin("other", "c")
    await machine.begin("b too", "b", delay=0)
    await until(machine, 99)
    assert machine.order == []
    await until(machine, 1000)
    # The second call for b has passed by the line, so it ends first. Then b leaves for c.
    assert machine.order == ["a", "b", "b too", "again", "other"]
    assert machine.simulator.loaded.loads == ["a", "b", "a", "c"]


async def test_one_load_at_a_time(open_machine, autojump_clock):
    machine = open_machine()
    for name in "abc":
        await machine.begin(name, name)
    await until(machine, 100)
    assert machine.ended == {"a": 10, "b": 20, "c": 30}
    assert [machine.seconds(name)["load"] for name in "abc"] == [10, 20, 30]


async def test_alternating_calls_load_each_time(open_machine, autojump_clock):
    machine = open_machine(max_models=1)
    for number in range(6):
        await machine.begin(str(number), "bc"[number % 2], delay=1)
    await until(machine, 1000)
    assert machine.order == list("012345")
    assert machine.simulator.loaded.loads == list("bcbcbc")
    assert machine.ended["5"] == 6 * 11


LOADS_AGAIN = [
    {"options": {"num_ctx": 2048}}, {"options": {"num_batch": 64}}, {"options": {"num_thread": 2}},
    {"options": {"num_gpu": 0}}, {"options": {"main_gpu": 0}}, {"fields": {"shift": False}},
]  # fmt: skip
LOADS_NOT = [
    {"options": {"temperature": 0}}, {"options": {"seed": 7}}, {"options": {"num_keep": 4}},
    {"options": {"use_mmap": False}}, {"options": {"num_predict": 3}},
    {"options": {"num_ctx": 4096}}, {"options": {"num_batch": 512}},
    {"options": {"num_gpu": -1}}, {"fields": {"shift": True}},
    {"fields": {"keep_alive": "1h"}}, {"fields": {"format": "json"}}, {"fields": {"think": True}},
    {"fields": {"system": "Be brief."}}, {"fields": {"truncate": False}},
]  # fmt: skip


@pytest.mark.parametrize("change", LOADS_AGAIN, ids=str)
async def test_what_loads_a_model_again(open_machine, autojump_clock, change):
    machine = open_machine()
    await machine.call("plain")
    await machine.call("changed", **change)
    await machine.call("changed again", **change)
    assert [machine.seconds(name)["load"] for name in machine.order] == [10, 10, 0]


@pytest.mark.parametrize("change", LOADS_NOT, ids=str)
async def test_what_does_not(open_machine, autojump_clock, change):
    machine = open_machine()
    await machine.call("plain")
    await machine.call("changed", **change)
    assert machine.simulator.loaded.loads == ["m"]


async def test_a_model_takes_no_more_context_than_its_own(open_machine, autojump_clock):
    machine = open_machine(context=8192)
    for number, tokens in enumerate((8192, 32_768, 1_000_000)):
        await machine.call(str(number), options={"num_ctx": tokens})
    assert machine.simulator.loaded.loads == ["m"]
    assert machine.simulator.loaded.runners[0].group.num_ctx == 8192


async def test_a_call_that_leaves_num_gpu_to_ollama_takes_any(open_machine, autojump_clock):
    machine = open_machine()
    for number, options in enumerate(({"num_gpu": 0}, {}, {"num_gpu": 0}, {"num_gpu": 5})):
        await machine.call(str(number), options=options)
    assert machine.simulator.loaded.loads == ["m", "m"]


async def test_two_names_of_one_model_are_one(open_machine, autojump_clock):
    machine = open_machine()
    files = machine.simulator.model_files
    files.copy("m", "mine")
    files.derive("m", "made:7b")
    for name in ("m", "m:latest", "mine", "made:7b"):
        await machine.call(name, name)
    assert machine.simulator.loaded.loads == ["m"]
    assert files.digest("m") == files.digest("m:latest") == files.digest("mine")
    assert files.digest("made:7b") != files.digest("m")


async def test_of_idle_models_the_one_with_the_shortest_keep_alive_leaves(
    open_machine, autojump_clock
):
    machine = open_machine(max_models=3)
    for name, kept in (("a", "1h"), ("b", 60), ("c", -1)):
        await machine.call(name, name, fields={"keep_alive": kept})
    await machine.call("d", "d")
    assert machine.simulator.loaded.names == ["a", "c", "d"]
    await machine.call("e", "e")
    assert sorted(machine.simulator.loaded.names) == ["a", "c", "e"], "five minutes, as usual"


async def test_a_busy_one_is_chosen_only_if_all_are_busy_and_then_it_is_waited_for(
    open_machine, autojump_clock
):
    machine = open_machine(max_models=2, load=0)
    await machine.begin("a", "a", delay=50, fields={"keep_alive": 60})
    await machine.begin("b", "b", delay=10, fields={"keep_alive": 90})
    await machine.begin("c", "c", delay=0)
    await until(machine, 49)
    assert machine.order == ["b"], "it waits for a, although b has become idle"
    await until(machine, 60)
    assert machine.order == ["b", "a", "c"]


async def test_an_idle_one_leaves_rather_than_a_busy_one(open_machine, autojump_clock):
    machine = open_machine(max_models=2, load=0)
    await machine.begin("a", "a", delay=50, fields={"keep_alive": 60})
    await machine.call("b", "b", fields={"keep_alive": "1h"})
    await machine.call("c", "c")
    assert machine.now == 0
    assert machine.simulator.loaded.names == ["a", "c"]


async def test_a_full_line_is_told_at_once_and_a_loaded_model_is_not_in_it(
    open_machine, autojump_clock
):
    machine = open_machine(max_queue=2, max_models=1)
    await machine.call("m")
    await machine.begin("long", delay=100)
    for number in range(4):
        await machine.begin(str(number), "other")
    # One is at the head of the line, two wait behind it.
    error = machine.failed["3"]
    assert error.status == 503
    assert error.retry_after is None
    assert json.loads(error.body) == {
        "error": "server busy, please try again.  maximum pending requests exceeded"
    }
    for number in range(9):
        await machine.begin(f"m{number}")
    await until(machine, 1000)
    assert set(machine.failed) == {"3"}


async def test_load_and_unload_calls(open_machine, autojump_clock):
    machine = open_machine()
    nothing = {"messages": []}
    await machine.call("load", fields=nothing, tokens=5)
    assert machine.said["load"]["done_reason"] == "load"
    assert "total_duration" not in machine.said["load"]
    assert (machine.now, machine.simulator.loaded.names) == (10, ["m"])
    await machine.begin("busy", delay=7)
    await machine.call("another load", fields=nothing)
    assert machine.now == 10, "it needs no slot"
    await machine.call("unload", fields=nothing | {"keep_alive": 0})
    assert machine.said["unload"]["done_reason"] == "unload"
    assert machine.now == 10, "it does not wait"
    assert machine.simulator.loaded.names == ["m"], "the model is in use"
    await until(machine, 18)
    assert machine.simulator.loaded.names == []
    await machine.call("unload what is not there", "x", fields=nothing | {"keep_alive": "0s"})
    assert machine.simulator.loaded.loads == ["m"]


async def test_keep_alive_0_with_a_prompt_unloads_behind_it(open_machine, autojump_clock):
    machine = open_machine()
    await machine.call("once", fields={"keep_alive": 0})
    assert machine.simulator.loaded.names == []
    await machine.call("twice", fields={"keep_alive": 0})
    assert machine.simulator.loaded.loads == ["m", "m"]


async def test_an_idle_model_leaves_when_its_time_has_come(open_machine, autojump_clock):
    machine = open_machine(load=0)
    await machine.call("a", "a")
    await machine.call("b", "b", fields={"keep_alive": "20s"})
    await until(machine, 19)
    assert machine.simulator.loaded.names == ["a", "b"]
    await until(machine, 20)
    assert machine.simulator.loaded.names == ["a"]
    await until(machine, 299)
    await machine.call("a again", "a")
    await until(machine, 598)
    assert machine.simulator.loaded.names == ["a"]
    await until(machine, 599)
    assert machine.simulator.loaded.names == []


async def test_a_keep_alive_saves_what_was_to_leave(open_machine, autojump_clock):
    """The call passes by, and the one that waits for the place waits until that time is over."""
    machine = open_machine(max_models=1, load=0)
    await machine.begin("b", "b", delay=10)
    await machine.begin("c", "c")
    await until(machine, 5)
    await machine.begin("b again", "b", fields={"keep_alive": "1m"}, delay=1)
    await until(machine, 1000)
    assert machine.ended == {"b": 10, "b again": 11, "c": 71}


# -- who hangs up


async def leave(machine, seconds, *args, **kwargs):
    """Start a call whose caller hangs up after so many seconds; what the hang-up took."""
    began = trio.current_time()
    with trio.move_on_at(began + seconds) as scope:
        await machine.call(*args, **kwargs)
    assert scope.cancelled_caught
    return trio.current_time() - began - seconds


async def test_a_waiting_call_and_a_generating_one_end_at_once(open_machine, autojump_clock):
    machine = open_machine(load=0)
    await machine.begin("first", delay=10)
    assert await leave(machine, 3, "waits for a slot") == 0
    await machine.begin("next", delay=1)
    await until(machine, 12)
    assert machine.ended == {"first": 10, "next": 11}
    assert await leave(machine, 5, "generates", delay=1, rate=1, tokens=100) == 0
    await machine.call("free", delay=1)
    assert machine.ended["free"] == 18


@pytest.mark.parametrize("kind", [TaskType.CHAT, TaskType.EMBED])
async def test_a_prompt_is_read_to_the_end_of_its_batch(open_machine, autojump_clock, kind):
    """The caller is gone at once, the slot is not free before."""
    machine = open_machine(load=0)
    assert await leave(machine, 2, "long", kind=kind, prompt=8) == 0
    await machine.call("next", delay=1)
    assert machine.ended["next"] == 9
    assert machine.seconds("next")["waited"] == 6
    assert await leave(machine, 9, "later", prompt=8, rate=1, tokens=100) == 0
    await machine.call("at once", delay=1)
    assert machine.ended["at once"] == 9 + 9 + 1
    assert await leave(machine, 2, "in batches", kind=kind, prompt=9, batch=3) == 0
    await machine.call("behind the batch", delay=1)
    assert machine.ended["behind the batch"] == 19 + 3 + 1


async def test_a_load_ends_with_the_call_that_loads(open_machine, autojump_clock):
    machine = open_machine()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave, machine, 4, "loads")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(machine.call, "beside it")
    assert machine.ended == {"beside it": 14}, "the next begins anew"
    assert machine.simulator.loaded.loads == ["m"]


async def test_what_a_caller_who_has_left_was_driving_out_leaves_all_the_same(
    open_machine, autojump_clock
):
    machine = open_machine(max_models=1, load=0)
    await machine.begin("b", "b", delay=10)
    assert await leave(machine, 5, "c", "c") == 0
    assert machine.simulator.loaded.waiting == 1, "its place is not free before"
    await until(machine, 11)
    assert machine.simulator.loaded.names == []
    assert machine.simulator.loaded.waiting == 0


async def test_who_leaves_the_middle_of_the_line_keeps_his_place_until_it_is_reached(
    open_machine, autojump_clock
):
    machine = open_machine(max_models=1, max_queue=1, load=0)
    await machine.begin("b", "b", delay=10)
    await machine.begin("c", "c")
    await leave(machine, 5, "d", "d")
    await machine.begin("e", "e")
    assert set(machine.failed) == {"e"}, "the line is full of callers who have left"
    await until(machine, 11)
    assert machine.simulator.loaded.names == ["c"], "nothing leaves for one who has left"
    await machine.call("f", "f")
    assert machine.simulator.loaded.loads == ["b", "c", "f"]


async def test_who_leaves_at_the_moment_when_the_load_lets_him_in_holds_no_slot(autojump_clock):
    for _ in range(20):  # trio decides at random which of the two comes first
        loaded = LoadedModels(1, 10, parallel=1)

        async def use(leaves, loaded=loaded):
            with trio.move_on_after(leaves):
                async with loaded.use("m", {}):
                    await trio.sleep(5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, math.inf)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(use, 10)
        with trio.fail_after(1):
            async with loaded.use("m", {}) as hold:
                assert hold.waited == 0
        [runner] = loaded.runners
        assert runner.users == 0


# -- a model whose process dies


async def test_a_killed_model_ends_all_that_runs_on_it_and_the_next_call_loads_it(
    open_machine, autojump_clock
):
    machine = open_machine(parallel=2)
    killed = "an error was encountered while running the model: unexpected EOF"
    await machine.begin("killed", rate=1, fault="killed", at=3)
    await machine.begin("beside it", rate=1, tokens=100)
    await machine.begin("waits for a slot")
    await machine.begin("other", "other", load=0, delay=100)
    await until(machine, 13.5)
    assert set(machine.failed) == {"killed", "beside it", "waits for a slot"}
    assert killed in str(machine.failed["killed"])
    assert killed in str(machine.failed["beside it"])
    waited = machine.failed["waits for a slot"]
    assert json.loads(waited.body) == {"error": "llama-server process no longer running: unknown "}
    assert waited.status == 500
    assert set(machine.simulator.loaded.names) == {"m", "other"}, "nobody has noticed yet"
    await machine.call("next")
    assert machine.seconds("next")["load"] == 10


async def test_a_model_can_be_killed_from_outside(open_machine, autojump_clock):
    machine = open_machine(load=0)
    await machine.begin("never ends", fault="hang")
    machine.simulator.loaded.kill("m")
    await trio.testing.wait_all_tasks_blocked()
    assert machine.failed["never ends"].status == 500
    machine.simulator.loaded.kill("m")
    await machine.call("next")
    assert machine.simulator.loaded.loads == ["m", "m"]


async def test_the_same_calls_take_the_same_times_again(open_machine, autojump_clock):
    """Unless two of them come or end at the very same moment: trio's order is random then."""
    results = []
    for _ in range(2):
        machine = open_machine(max_models=2)
        for number in range(40):
            pace = {"delay": math.sqrt(number), "rate": 9}
            await machine.begin(number, "abc"[number * number % 3], **pace)
            await trio.sleep(math.sqrt(number) / 2)
        await until(machine, 10_000)
        ended = {number: round(seconds, 6) for number, seconds in machine.ended.items()}
        results.append((machine.order, ended, machine.simulator.loaded.loads))
    assert results[0] == results[1]


async def test_those_that_a_load_lets_in_together_run_in_the_order_of_coming(
    open_machine, autojump_clock
):
    machine = open_machine()
    for number in range(20):
        await machine.begin(number, delay=1)
    await until(machine, 100)
    assert machine.order == list(range(20))
