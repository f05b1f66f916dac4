"""A task's life: each step that the table allows does what it says, and no other step happens."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules import lifecycle
from oq.rules.lifecycle import ATTEMPTS_KEPT, ERROR_LENGTH, FOLLOWS
from oq.words.errors import Conflict
from oq.words.events import EventType
from oq.words.outcome import Aborted, Completed, Failed, Interrupted, Refusal, Timings
from oq.words.steps import Change
from oq.words.task import Attempt, Status, TaskState, Usage
from tests.support.builders import DONE, NOW, at, checked, finish, new, start, task_id

AGAIN = Failed("503 from the backend", retryable=True)
NEVER = Failed("unknown model", retryable=False)
DRAINED = Interrupted("oq was shut down")
REFUSED = Interrupted("connection refused", ran=False)


def in_state(status: Status, **fields: object) -> TaskState:
    """A task that came to this state the usual way."""
    pending = new(**fields).state
    running = start(pending).state
    return {
        Status.PENDING: pending,
        Status.RUNNING: running,
        Status.COMPLETED: finish(running).state,
        Status.FAILED: finish(running, NEVER).state,
        Status.CANCELLED: lifecycle.cancelled(pending, NOW).state,
    }[status]


# -- the table

STEPS = {
    "started": start,
    "completed": finish,
    "failed for good": lambda state: finish(state, NEVER),
    "failed for now": lambda state: finish(state, AGAIN),
    "interrupted": lambda state: finish(state, DRAINED),
    "refused": lambda state: finish(state, REFUSED),
    "aborted": lambda state: finish(state, Aborted()),
    "died": lambda state: lifecycle.died(state, NOW),
    "cancelled": lambda state: lifecycle.cancelled(state, NOW),
    "reprioritised": lambda state: lifecycle.reprioritised(state, 9),
    "requeued": lifecycle.requeued,
}
ENDS = {"completed", "failed for good", "aborted", "failed for now", "interrupted", "refused"}
ALLOWED = {
    Status.PENDING: {"started", "cancelled", "reprioritised"},
    Status.RUNNING: {*ENDS, "died", "cancelled"},
    Status.COMPLETED: set(),
    Status.FAILED: {"requeued"},
    Status.CANCELLED: {"requeued"},
}


def allowed(status: Status) -> list[str]:
    return sorted(ALLOWED[status])


@pytest.mark.parametrize(
    ("status", "step"), [(status, step) for status in Status for step in allowed(status)]
)
def test_a_step_that_is_allowed_goes_where_the_table_says(status, step):
    before = in_state(status)
    change = STEPS[step](before)
    assert change.before is status
    assert change.state.status in FOLLOWS[status]
    assert change.state.id == before.id
    assert change.event is not None, "every step is told"


@pytest.mark.parametrize(
    ("status", "step"),
    [(s, step) for s in Status for step in sorted({"started", "requeued", "reprioritised"})
     if step not in ALLOWED[s]],
)  # fmt: skip
def test_a_step_that_is_not_allowed_is_a_conflict_that_names_the_state(status, step):
    with pytest.raises(Conflict, match=status.value):
        STEPS[step](in_state(status))


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
@pytest.mark.parametrize("step", ["completed", "failed for good", "aborted", "cancelled"])
def test_a_task_ends_once(status, step):
    """Not even the end of its attempt, told once more, changes how it ended."""
    ended = msgspec.structs.replace(in_state(status), attempts=(Attempt(NOW),))
    with pytest.raises(Conflict, match=status.value):
        STEPS[step](ended)


@pytest.mark.parametrize("step", sorted(ENDS | {"died"}))
def test_nothing_at_all_happens_to_a_completed_task(step):
    completed = msgspec.structs.replace(in_state(Status.COMPLETED), attempts=(Attempt(NOW),))
    with pytest.raises(Conflict, match="completed"):
        STEPS[step](completed)


def test_the_table_is_the_one_that_is_promised():
    every = {(before, after) for before, states in FOLLOWS.items() for after in states}
    pending, running = Status.PENDING, Status.RUNNING
    assert every == {
        (None, pending),
        (pending, pending),
        (pending, running),
        (pending, Status.CANCELLED),
        (running, pending),
        (running, Status.COMPLETED),
        (running, Status.FAILED),
        (running, Status.CANCELLED),
        (Status.FAILED, pending),
        (Status.CANCELLED, pending),
    }


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=40))
def test_in_any_life_retries_and_attempts_stay_bounded(steps):
    """Whatever happens, in whatever order: the record stays small and says what is so."""
    state = new(max_retries=2).state
    for step in steps:
        if step not in ALLOWED[state.status]:
            continue
        state = STEPS[step](state).state
        assert 0 <= state.retry_count <= state.terms.max_retries
        assert state.deaths <= state.terms.max_retries + 1
        assert len(state.attempts) <= ATTEMPTS_KEPT
        assert (state.completed_at is not None) is state.status.ended
        assert (state.started_at is not None) or state.status is not Status.RUNNING
        running = [attempt for attempt in state.attempts if attempt.ended_at is None]
        assert len(running) == (state.status is Status.RUNNING)
        assert state.run_at is None or state.status is Status.PENDING


# -- submitting


def test_a_new_task_is_pending_and_carries_what_was_asked():
    change = new(7, priority=9, max_retries=2, timeout="5m", key="k")
    assert (change.before, change.event) == (None, EventType.TASK_SUBMITTED)
    assert (change.state.id, change.state.created_at) == (task_id(7), NOW)
    assert (change.state.terms.priority, change.state.terms.max_retries) == (9, 2)
    assert (change.state.terms.timeout, change.state.terms.idempotency_key) == (300.0, "k")
    assert change.fingerprint == b"mark of k"
    assert change.body is not None


@pytest.mark.parametrize(("run_at", "kept"), [(at(1), at(1)), (NOW, None), (at(-1), None)])
def test_only_a_time_to_come_delays_a_task(run_at, kept):
    assert new(run_at=run_at).state.run_at == kept


# -- the attempt's end


def test_a_completed_task_has_its_result_its_usage_and_no_error():
    usage = Usage(3, 5)
    failed_once = start(finish(in_state(Status.RUNNING), AGAIN).state).state
    change = finish(failed_once, Completed(b'{"response":"hi"}', usage), at(5))
    assert (change.state.status, change.result) == (Status.COMPLETED, b'{"response":"hi"}')
    assert (change.state.completed_at, change.state.usage) == (at(5), usage)
    assert change.state.error is None
    assert change.state.attempts[-1] == Attempt(NOW, at(5), None, "ollama")


def test_an_attempt_says_when_its_answer_began_and_how_long_it_waited_inside_the_backend():
    done = Completed(b"{}", None, Timings(4.7, 0.5, 0.1, 1.4))
    change = finish(in_state(Status.RUNNING), done, at(7), at(6))
    assert change.state.attempts[-1] == Attempt(NOW, at(7), None, "ollama", at(6), 4.7, 0.5)


@pytest.mark.parametrize(
    "outcome", [AGAIN, NEVER, DRAINED, Aborted()], ids=["again", "never", "drained", "aborted"]
)
def test_so_does_an_attempt_that_gave_no_answer_if_one_had_begun(outcome):
    attempt = finish(in_state(Status.RUNNING), outcome, at(7), at(6)).state.attempts[-1]
    assert (attempt.ended_at, attempt.first_token_at, attempt.load) == (at(7), at(6), None)


def test_a_failed_attempt_is_retried_after_the_policys_delay():
    change = finish(in_state(Status.RUNNING), AGAIN, at(2))
    assert (change.state.status, change.event) == (Status.PENDING, EventType.TASK_RETRYING)
    assert (change.state.retry_count, change.state.run_at) == (1, at(3))
    assert change.state.error == AGAIN.error
    assert change.state.attempts[-1].error == AGAIN.error
    assert change.data == {"error": AGAIN.error, "retry_count": 1, "run_at": at(3)}


def test_retries_wait_longer_each_time_and_then_end():
    state, waits = in_state(Status.RUNNING, max_retries=3), []
    while (change := finish(state, AGAIN)).state.status is Status.PENDING:
        waits.append((change.state.run_at - NOW).total_seconds())
        state = start(change.state).state
    assert waits == [1, 2, 4]
    assert (change.state.status, change.state.retry_count) == (Status.FAILED, 3)
    assert len(change.state.attempts) == 4


def test_what_the_backend_asks_for_in_retry_after_is_waited():
    change = finish(in_state(Status.RUNNING), Failed("busy", True, retry_after=20.0))
    assert change.state.run_at == at(20)


def impatient(seconds: float) -> TaskState:
    """A call that runs, and whose caller waits for so long in all."""
    call = msgspec.structs.replace(checked(timeout=seconds), impatient=True)
    return start(lifecycle.submitted(call, "t", NOW).state).state


@pytest.mark.parametrize(
    ("asked", "status"), [(4.0, Status.PENDING), (5.0, Status.FAILED), (6.0, Status.FAILED)]
)
def test_what_would_be_too_late_for_its_caller_is_not_tried_again(asked, status):
    change = finish(impatient(5.0), Failed("busy", True, asked, Refusal(503, b"busy")))
    assert change.state.status is status
    assert (change.refusal is None) is (status is Status.PENDING)


def test_the_deadline_of_a_caller_that_has_gone_does_not_count():
    """As for a call that was kept over a restart."""
    pending = lifecycle.submitted(
        msgspec.structs.replace(checked(timeout=5.0), impatient=True), "t", NOW
    ).state
    assert pending.time_left(NOW) == 5.0
    assert pending.time_left(at(5)) == math.inf
    late = lifecycle.started(pending, "b", at(5)).state
    assert finish(late, AGAIN).state.status is Status.PENDING


def test_other_timeouts_are_no_deadline():
    state = lifecycle.submitted(checked(timeout=5.0), "t", NOW).state
    assert (state.deadline, state.time_left(NOW), state.overdue_from) == (None, math.inf, None)


def test_without_retries_the_first_failure_is_the_last():
    change = finish(in_state(Status.RUNNING, max_retries=0), AGAIN)
    assert (change.state.status, change.event) == (Status.FAILED, EventType.TASK_FAILED)


def test_what_can_never_work_is_not_tried_again():
    change = finish(in_state(Status.RUNNING, max_retries=1000), NEVER)
    assert (change.state.status, change.state.error) == (Status.FAILED, NEVER.error)


def test_an_interruption_burns_no_retry_and_does_not_delay():
    change = finish(in_state(Status.RUNNING, max_retries=0), DRAINED, at(1))
    state = change.state
    assert (state.status, state.retry_count, state.deaths) == (Status.PENDING, 0, 0)
    assert (state.run_at, state.error) == (None, None)
    assert state.attempts == (Attempt(NOW, at(1), DRAINED.reason, "ollama"),)


def test_an_attempt_that_never_began_leaves_no_trace():
    state = finish(in_state(Status.RUNNING), REFUSED).state
    assert state == in_state(Status.PENDING)


def test_an_aborted_attempt_is_a_cancelled_task():
    change = finish(in_state(Status.RUNNING), Aborted(), at(1))
    assert (change.state.status, change.event) == (Status.CANCELLED, EventType.TASK_CANCELLED)
    assert change.state.attempts[-1].error == "cancelled"


def test_errors_are_cut_to_a_length_wherever_they_are_kept():
    endless = Failed("x" * 1_000_000, retryable=True)
    for retries in (0, 1):
        change = finish(in_state(Status.RUNNING, max_retries=retries), endless)
        assert len(change.state.error) == ERROR_LENGTH
        assert len(change.state.attempts[-1].error) == ERROR_LENGTH
        assert len(change.data["error"]) == ERROR_LENGTH


def test_the_latest_attempts_are_the_ones_that_are_kept():
    state = new(max_retries=0).state
    for second in range(ATTEMPTS_KEPT + 5):
        state = finish(start(state, at(second)).state, DRAINED, at(second)).state
    assert len(state.attempts) == ATTEMPTS_KEPT
    assert state.attempts[0].started_at == at(5)
    assert state.attempts[-1].started_at == at(ATTEMPTS_KEPT + 4)


# -- deaths


def die(state: TaskState, times: int) -> Change:
    """The process dies this many times while the task runs."""
    for _ in range(times - 1):
        state = start(lifecycle.died(state, NOW).state).state
    return lifecycle.died(state, NOW)


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_a_task_fails_as_poison_after_one_death_more_than_it_has_retries(max_retries):
    running = in_state(Status.RUNNING, max_retries=max_retries)
    if max_retries:
        spared = die(running, max_retries).state
        assert (spared.status, spared.retry_count) == (Status.PENDING, 0)
        assert spared.deaths == max_retries
    poisoned = die(running, max_retries + 1)
    assert (poisoned.state.status, poisoned.event) == (Status.FAILED, EventType.TASK_FAILED)
    assert poisoned.state.deaths == max_retries + 1
    assert "poison" in poisoned.state.error
    assert len(poisoned.state.attempts) == max_retries + 1


def test_a_death_does_not_count_as_a_retry():
    state = start(die(in_state(Status.RUNNING, max_retries=2), 2).state).state
    assert finish(state, AGAIN).state.retry_count == 1


def test_a_task_that_is_damaged_on_disk_fails_at_once_with_what_is_wrong():
    """It cannot be run: nobody knows what it asks for."""
    running = in_state(Status.RUNNING, max_retries=3)
    damaged = msgspec.structs.replace(running, damaged=True, error="it cannot be read")
    state = lifecycle.died(damaged, at(1)).state
    assert (state.status, state.error, state.deaths) == (Status.FAILED, "it cannot be read", 0)
    with pytest.raises(Conflict, match="damaged on disk: it cannot be run, only deleted"):
        lifecycle.requeued(state)


# -- what users ask


def test_a_cancelled_task_waits_for_no_time_any_more():
    state = lifecycle.cancelled(new(run_at=at(60)).state, at(1)).state
    assert (state.run_at, state.completed_at) == (None, at(1))
    assert state.attempts == ()


def test_another_priority_changes_nothing_else():
    before = new(run_at=at(60)).state
    change = lifecycle.reprioritised(before, 42)
    terms = msgspec.structs.replace(before.terms, priority=42)
    assert change.state == msgspec.structs.replace(before, terms=terms)
    assert change.data == {"priority": 42, "before": before.terms.priority}


def test_a_task_that_is_queued_again_has_all_its_retries_and_keeps_its_attempts():
    failed = die(in_state(Status.RUNNING, max_retries=0), 1).state
    state = lifecycle.requeued(failed).state
    assert (state.retry_count, state.deaths, state.error, state.completed_at) == (0, 0, None, None)
    assert (state.id, state.created_at) == (failed.id, failed.created_at), "it keeps its place"
    assert state.attempts == failed.attempts
    assert finish(start(state).state, DONE).state.status is Status.COMPLETED
