"""Replays on servers that differ, whose times can be worked out by hand.

A task takes 10 s, and nothing takes time to load. Once a task has run, one that has n others before
it in line is expected to wait for n times 10 s, where the box is all that is below.
"""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from oq.plan.figures import Served, figures
from oq.plan.orders import parse_order
from oq.plan.rates import GENERATED, PROMPT, Rates
from oq.plan.replay import Replayed, replay
from oq.plan.servers import NotServed, Server, Setup, alike, setup_of
from oq.words.config import MOST_WORKERS, to_config
from tests.unit.plan.builders import asked, numbered

POLICIES = ["fifo", "plain", "affinity"]
BOX = Server("box")


def cloud(**more) -> Server:
    given = {"slots": 2, "models": None, "tier": 1, "overflow_after": 25.0}
    return Server("cloud", **given | more)


def run(tasks, *servers: Server, policy: str = "fifo", load: float = 0.0, **more) -> Replayed:
    workers, restart_at = more.pop("workers", None), more.pop("restart_at", None)
    line = numbered(tasks)
    rates = {task.model: Rates(load=load) for task in line}
    return replay(line, parse_order(policy), Setup(servers, workers), rates, restart_at)


def at(*times: float, **more) -> list:
    return [asked(time, took=10, **more) for time in times]


def ran(replayed: Replayed) -> list[tuple[str, float]]:
    """Where each began, and when."""
    return [(call.server, call.began) for call in replayed.calls]


@pytest.mark.parametrize("policy", POLICIES)
def test_those_that_would_wait_too_long_go_up_and_the_others_stay(policy):
    """In 25 s the box takes two more: those behind them go up, as far as the cloud has slots. The
    last one finds none, and when there is one again it is the second in line.
    """
    replayed = run([*at(0), *at(12, 12, 12, 12, 12, 12)], BOX, cloud(), policy=policy)
    assert ran(replayed) == [
        ("box", 0), ("box", 12), ("box", 22), ("box", 32),
        ("cloud", 12), ("cloud", 12), ("box", 42),
    ]  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
def test_a_longer_patience_keeps_more_on_the_box(policy):
    tasks = [*at(0), *at(12, 12, 12, 12, 12, 12)]
    replayed = run(tasks, BOX, cloud(overflow_after=45.0), policy=policy)
    assert [call.server for call in replayed.calls] == ["box"] * 6 + ["cloud"]


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_goes_up_before_a_task_has_run(policy):
    """Nobody knows then how long tasks take, however short the patience is."""
    replayed = run(at(0, 0, 11, 11), BOX, cloud(overflow_after=0.0), policy=policy)
    assert ran(replayed) == [("box", 0), ("box", 10), ("cloud", 11), ("cloud", 11)]


@pytest.mark.parametrize("policy", [*POLICIES, "ollama"])
def test_a_model_that_only_the_cloud_has_runs_there_at_once(policy):
    tasks = [*at(0, 0, model="small"), *at(0, model="large")]
    box = Server("box", has=("small",))
    replayed = run(tasks, box, cloud(has=("*",)), policy=policy)
    assert ran(replayed) == [("box", 0), ("box", 10), ("cloud", 0)]


def test_of_two_clouds_the_upper_one_has_all_others_below():
    """Box and first together start a task each 5 s: in 12 s two more, as the box alone in 25 s."""
    first = Server("first", tier=1, overflow_after=25.0, models=None)
    second = Server("second", tier=2, overflow_after=12.0, models=None)
    tasks = [*at(0), *at(12, 12, 12, 12, 12, 12)]
    replayed = run(tasks, BOX, first, second)
    assert [call.server for call in replayed.calls[4:]] == ["first", "second", "box"]
    more = Server("second", tier=2, overflow_after=25.0, models=None)
    replayed = run(tasks, BOX, first, more)
    assert [call.server for call in replayed.calls[4:]] == ["first", "box", "first"]


def test_each_server_has_its_own_speed():
    """A prompt of 2.5 s takes half, an answer of 7.5 s a third."""
    fast = {"a": Rates(2 * PROMPT, 3 * GENERATED, load=0.0)}
    box, fast_one = Server("box", has=("b",)), Server("fast", has=("a",), rates=fast)
    a, b = run([*at(0), *at(0, model="b")], box, fast_one).calls
    assert (a.server, a.began, a.answered, a.ended) == ("fast", 0, 1.25, 3.75)
    assert (b.server, b.began, b.answered, b.ended) == ("box", 0, 2.5, 10)


def test_each_server_loads_at_its_own_speed():
    slow = Server("slow", has=("a",), rates={"a": Rates(load=7.0)})
    replayed = run([*at(0), *at(0, model="b")], slow, Server("box", has=("b",)), load=3.0)
    assert ran(replayed) == [("slow", 7), ("box", 3)]


@pytest.mark.parametrize("policy", POLICIES)
def test_where_all_models_are_in_memory_nothing_loads_and_they_share_the_slots(policy):
    tasks = [task for name in "abc" for task in at(0, model=name)]
    replayed = run(tasks, Server("cloud", slots=2, models=None), policy=policy, load=5.0)
    assert ran(replayed) == [("cloud", 0), ("cloud", 0), ("cloud", 10)]
    assert (replayed.loads, replayed.swaps) == (0, 0)


def test_settings_bound_what_a_server_gets():
    replayed = run(at(0, 0, 0), Server("box", slots=3, most=1))
    assert [call.sent for call in replayed.calls] == [0, 10, 20]
    replayed = run(at(0, 0, 0), Server("box", slots=1, most=2))
    assert [call.sent for call in replayed.calls] == [0, 0, 10]
    assert [call.began for call in replayed.calls] == [0, 10, 20], "the second waits inside"


@pytest.mark.parametrize("policy", [*POLICIES, "ollama"])
def test_a_limit_of_a_model_counts_where_there_is_a_queue(policy):
    box = Server("box", slots=3, models=None, most=3, limits={"big": 1, "*": "auto"})
    replayed = run([*at(0, 0, 0, model="big"), *at(0, 0, model="small")], box, policy=policy)
    began = [call.began for call in replayed.calls]
    assert began == ([0, 0, 0, 0, 0] if policy == "ollama" else [0, 10, 20, 0, 0])
    assert replayed.late is None, "those behind pass it for however long that is"


def test_workers_bound_all_together():
    replayed = run(at(0, 0, 0), Server("one"), Server("two"), workers=1)
    assert [call.began for call in replayed.calls] == [0, 10, 20]


def test_without_a_queue_nothing_goes_up():
    replayed = run(at(0, 0, 0, 30, 30), BOX, Server("other"), cloud(), policy="ollama")
    assert [call.server for call in replayed.calls] == ["box", "other", "box", "box", "other"]


def test_after_a_restart_what_ran_in_the_cloud_runs_again():
    replayed = run([*at(0), *at(12, 12, 12, 12)], BOX, cloud(), restart_at=15)
    assert ran(replayed) == [("box", 0), ("box", 15), ("box", 25), ("box", 35), ("cloud", 15)]
    assert [call.broken_off for call in replayed.calls] == [0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("servers", "late"),
    [((BOX, Server("other")), 0), ((BOX, cloud()), None), ((BOX, Server("b", has=("b",))), None)],
)
def test_where_servers_differ_nobody_promises_who_is_passed_over(servers, late):
    assert run(at(0, 0, 0), *servers).late == late


def test_what_no_server_has_is_an_error():
    tasks = [*at(0), *(task for n in range(7) for task in at(1, model=f"m{n}:latest"))]
    with pytest.raises(NotServed, match=r"no backend has 'm0', .*'m4' and 2 more, which tasks"):
        run(tasks, Server("box", has=("a",)))


def test_the_figures_say_what_each_server_did():
    found = figures(run([*at(0), *at(12, 12, 12, 12)], BOX, cloud(), Server("idle", tier=2)))
    assert found.by_server == {
        "box": Served(4, 20, 20), "cloud": Served(1, 5, 5), "idle": Served(0, 0, 0),
    }  # fmt: skip


def test_servers_that_are_alike():
    assert alike(2, 3, 4).servers == (Server("box1", 3, 4), Server("box2", 3, 4))
    assert alike().workers is None


BACKENDS = [
    {"name": "box", "kind": "ollama", "url": "http://box:11434"},
    {"name": "big", "kind": "ollama", "url": "http://big:11434", "max_models": 3},
    {"name": "one", "kind": "openai", "url": "http://one:8000", "max_models": 1,
     "model_limits": {"a*": 1, "b": "auto"}},
    {
        "name": "cloud", "kind": "openai", "url": "https://cloud", "models": ["a*", "b"],
        "max_concurrency": 100, "tier": 2, "overflow_after": "90s",
    },
]  # fmt: skip


def test_the_backends_of_settings():
    setup = setup_of(to_config({"backends": BACKENDS}), slots=4, models=2)
    assert setup.servers == (
        Server("box", 4, 2),
        Server("big", 4, 3),
        Server("one", 4, 1, limits={"a*": 1, "b": "auto"}),
        Server("cloud", 100, None, ("a*", "b"), 2, 90.0, MOST_WORKERS),
    )
    assert setup.workers == MOST_WORKERS
    few = setup_of(to_config({"backends": BACKENDS, "queue": {"max_workers": 5}}))
    assert (few.workers, few.servers[3].most) == (5, 5)


def test_settings_without_backends_have_the_one_of_ollama():
    assert setup_of(to_config({})).servers == (Server("ollama"),)


@seed(21)
@settings(max_examples=300, deadline=None, database=None)
@given(
    tasks=st.lists(
        st.builds(
            asked,
            at=st.integers(0, 200).map(lambda n: n / 4),
            model=st.sampled_from("aaabc"),
            took=st.integers(0, 80).map(lambda n: n / 4),
            priority=st.sampled_from([5, 5, 10, 1]),
        ),
        min_size=1,
        max_size=50,
    ),
    after=st.sampled_from([0.0, 3.0, 20.0, 1e6]),
    policy=st.sampled_from(POLICIES),
    load=st.sampled_from([0.0, 2.0]),
)
def test_each_task_runs_once_where_its_model_is_and_no_server_gets_too_many(
    tasks, after, policy, load
):
    fast = {name: Rates(2 * PROMPT, 2 * GENERATED, load) for name in "ac"}
    box = Server("box", slots=2, has=("a", "b"))
    upper = cloud(has=("a", "c"), overflow_after=after, most=3, slots=3, rates=fast)
    calls = run(tasks, box, upper, policy=policy, load=load).calls
    for call in calls:
        assert call.asked.at <= call.sent <= call.began <= call.answered <= call.ended < inf
        assert (
            call.server in {"a": ("box", "cloud"), "b": ("box",), "c": ("cloud",)}[call.asked.model]
        )
        took = call.asked.reads + call.asked.writes
        assert call.ended - call.began == pytest.approx(
            took / 2 if call.server == "cloud" else took
        )
    for name, most in (("box", 2), ("cloud", 3)):
        there = [call for call in calls if call.server == name]
        for one in there:
            at_once = sum(other.began <= one.began < other.ended for other in there)
            assert at_once <= most
    if after == 1e6:
        assert all(call.server == "box" for call in calls if call.asked.model == "a")
