"""How fast models are, by the times in a trace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oq.plan.rates import GENERATED, LOAD, PROMPT, Rates, asked, learn_rates, rates_on
from oq.plan.trace import Ran

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def ran(
    model: str = "m", *, at: float = 0, prompt: int | None = 100, tokens: int | None = 10, **more
) -> Ran:
    for name in ("started_at", "first_token_at", "completed_at"):
        if name in more:
            more[name] = NOON + timedelta(seconds=more[name])
    return Ran(
        created_at=NOON + timedelta(seconds=at), model=model, type="chat", priority=5,
        status="completed", prompt_tokens=prompt, completion_tokens=tokens, **more,
    )  # fmt: skip


def test_they_are_all_tokens_over_all_seconds():
    rates = learn_rates(
        [
            ran(started_at=0, first_token_at=3, completed_at=5, load=1.0, waited_inside=1.0),
            ran(prompt=200, tokens=50, started_at=9, first_token_at=11, completed_at=15),
            ran("other:7b"),
        ]
    )
    assert rates == {
        "m:latest": Rates(prompt=100, generated=10, load=1),
        "other:7b": Rates(PROMPT, GENERATED, LOAD),
    }


def test_of_an_embedding_all_is_the_prompt():
    [rate] = learn_rates([ran(tokens=0, started_at=0, completed_at=4)]).values()
    assert rate == Rates(25, GENERATED, LOAD)


@pytest.mark.parametrize(
    ("loads", "load"),
    [
        ((0.01, 0.02, 0.01, 2.0, 2.1, 2.0, 2.2), 2.0),
        ((2.0, 0.01, 2.0, 4.0, 4.0, 6.0, 8.0), 2.0),  # those that waited for other loads, too
        ((0.01, 0.02, 0.2), 0.2),
        ((0.01, 0.02, 0.01, 2.0, 2.1, 2.0, 600.0), 2.0),
        ((0.0,), LOAD),
    ],
)
def test_a_load_is_told_from_a_model_that_is_there_and_from_a_wait(loads, load):
    [rate] = learn_rates([ran(load=one) for one in loads]).values()
    assert rate.load == load


def test_what_is_given_counts_for_all():
    trace = [ran(started_at=0, first_token_at=3, completed_at=5, load=1.0), ran("n")]
    rates = learn_rates(trace, prompt=7, generated=8, load=0)
    assert set(rates.values()) == {Rates(7, 8, 0)}


def test_tasks_come_in_the_order_of_submission_and_take_what_their_tokens_take():
    one, two = asked(
        [ran(at=9, prompt=50, tokens=20, tenant="ann"), ran("m:latest", at=1)],
        {"m:latest": Rates(100, 10, 1)},
    )
    assert (one.number, one.at, one.model, one.reads, one.writes) == (0, 0, "m:latest", 1, 1)
    assert (two.number, two.at, two.model, two.reads, two.writes) == (1, 8, "m:latest", 0.5, 2)
    assert (two.tenant, two.tokens) == ("ann", 70)


def test_a_task_without_tokens_takes_what_it_took():
    picture = ran(prompt=0, tokens=0, started_at=1, completed_at=9, waited_inside=2.0, load=1.0)
    failure = ran(prompt=0, tokens=0)
    rates = {"m:latest": Rates()}
    assert [one.writes for one in asked([picture, failure], rates)] == [pytest.approx(5), 0]


def test_a_backend_is_as_fast_as_what_ran_there_and_else_as_usual():
    """On the cloud 100 tokens of a prompt took a second, and 10 of an answer half a second."""
    trace = [
        ran(backend="box", started_at=0, first_token_at=3, completed_at=5, load=1.0),
        ran(backend="cloud", started_at=0, first_token_at=1, completed_at=1.5),
        ran("other", backend="box", started_at=0, first_token_at=2, completed_at=3),
    ]
    usual = learn_rates(trace)
    assert rates_on("cloud", trace, usual) == {
        "m:latest": Rates(prompt=100, generated=20, load=usual["m:latest"].load),
        "other:latest": usual["other:latest"],
    }
    assert rates_on("box", trace, usual)["m:latest"] == Rates(prompt=50, generated=5, load=1)
    assert rates_on("none", trace, usual) == usual


def test_what_is_given_of_a_backend_counts():
    trace = [ran(backend="cloud", started_at=0, first_token_at=1, completed_at=1.5)]
    [rate] = rates_on("cloud", trace, learn_rates(trace), prompt=7, generated=8, load=0).values()
    assert rate == Rates(7, 8, 0)


def test_tokens_that_are_not_known_are_none_and_the_time_counts():
    tasks = [ran(prompt=None, tokens=None, started_at=1, completed_at=4), ran(tokens=None)]
    rates = learn_rates(tasks)
    assert rates == {"m:latest": Rates(PROMPT, GENERATED, LOAD)}
    first, second = asked(tasks, rates)
    assert (first.tokens, first.reads, first.writes) == (0, 0.0, 3.0)
    assert (second.tokens, second.generated, second.writes) == (100, 0, 0.0)
