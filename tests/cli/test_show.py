"""What `oq status` and `oq backends` say of attempts and of backends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest
from msgspec.structs import replace

from oq.cli.expected import expected, expected_at
from oq.cli.figures import slots_said
from oq.cli.models import show_models
from oq.cli.options import Output
from oq.cli.show_queue import condition_of
from oq.cli.show_task import print_outcome, print_task, print_tasks, said_of
from oq.cli.waiting import where
from oq.words.stats import ModelStats
from oq.words.task import Attempt, Eta, Status, Summary, Task, TaskType, TimeRange
from oq.words.views import BackendStatus, Slots

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=6.5)
SWAP = "b → c, 2 of b still running"


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (Attempt(NOW), ": running"),
        (Attempt(NOW, LATER, None, "box"), " on box: ok"),
        (Attempt(NOW, LATER, "503", "box"), " on box: 503"),
        (Attempt(NOW, LATER, None, "box", NOW, 0.01, 0.0), " on box: ok"),
        (Attempt(NOW, None, None, "box", LATER), " on box: running (first token after 6.5s)"),
        (
            Attempt(NOW, LATER, None, "box", LATER, 4.71, 0.85),
            " on box: ok (waited 4.71s inside, load 850ms, first token after 6.5s)",
        ),
    ],
    ids=["runs", "ok", "failed", "at once", "began", "waited"],
)
def test_an_attempt_says_where_its_time_went_if_that_was_noticeable(attempt, said):
    assert said_of(attempt) == said


def test_what_a_task_waited_inside_its_backend_is_not_what_it_took(
    capsys: pytest.CaptureFixture[str],
):
    task = Task(
        id="t1",
        type=TaskType.CHAT,
        priority=5,
        status=Status.COMPLETED,
        model="m",
        created_at=NOW,
        retry_count=0,
        max_retries=3,
        payload={},
        started_at=NOW,
        completed_at=LATER,
        attempts=(Attempt(NOW, LATER, None, "box1", LATER, 4.75),),
    )
    print_task(task, Output.PLAIN)
    rows = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert rows["took"] == "1.75s"
    assert rows["waited inside"] == "4.75s in box1"
    assert rows["attempt 1"].endswith(" on box1: ok (waited 4.75s inside, first token after 6.5s)")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "up, 2 of 3 running"),
        (
            {"swap": "b → c, 2 of b still running"},
            "up, 2 of 3 running; b → c, 2 of b still running",
        ),
        ({"held": "it is full"}, "up, 2 of 3 running; held: it is full"),
        ({"up": False, "error": "refused", "held": "it is full"}, "down: refused"),
    ],
    ids=["up", "swap", "held", "down"],
)
def test_a_backend_says_what_it_is_busy_with(given, said):
    status = {"up": True, "running": 2, "max_concurrency": 3, **given}
    assert condition_of(BackendStatus("box1", "ollama", "http://box1", **status)) == said


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        (Slots(1, "measured", "it is slow", 0, "b"), "1 slot of b, measured: it is slow"),
        (Slots(2, "measured", "so", 0, "b", "num_ctx=4096"),
         "2 slots of b (num_ctx=4096), measured: so"),
        (Slots(4, "told", "nothing is known yet", 0), "4 slots, told"),
        (Slots(4, "set", "nothing is known yet", 0), "4 slots, set"),
    ],
    ids=["measured", "options", "told", "set"],
)  # fmt: skip
def test_slots_say_how_their_number_is_known(slots, said):
    assert slots_said(slots) == said


def in_seconds(*seconds: float) -> TimeRange:
    return TimeRange(*(NOW + timedelta(seconds=each) for each in seconds))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ((0, 0.2, 0.9), "any moment"),
        ((0, 0.2, 3.2), "any moment, within 3s"),
        ((8.2, 12.4, 19), "in about 12s (8s to 19s)"),
        ((61, 183, 487), "in about 3m (1m to 8m)"),
        ((4000, 7250, 90000), "in about 2h (1h7m to 25h)"),
        ((12, 12.1, 12.2), "in about 12s"),
    ],
)
def test_an_estimate_is_said_as_well_as_it_is_known(seconds, said):
    assert expected(in_seconds(*seconds), NOW) == said


def test_a_time_far_away_has_its_day(monkeypatch):
    monkeypatch.setattr("oq.cli.expected.local", lambda moment: moment)
    assert expected_at(NOW + timedelta(seconds=183), NOW) == "in about 3m, at 00:03"
    assert expected_at(NOW + timedelta(hours=30), NOW) == "in about 30h, at 2026-01-02 06:00"
    assert expected_at(NOW, NOW) == "any moment"


@pytest.mark.parametrize("columns", [60, 80, 98])
def test_in_a_narrow_list_a_task_has_two_lines_however_long_its_words_are(
    columns, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    task = Summary(
        id="t" * 36, type=TaskType.CHAT, priority=5, status=Status.FAILED, model="long/" * 40,
        created_at=NOW, retry_count=0, max_retries=3, excerpt="", error="it broke " * 20,
    )  # fmt: skip
    print_tasks([task, task], Output.TABLE)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * 2
    assert max(map(len, lines)) <= columns


def test_a_retry_that_is_due_and_waits_for_a_slot_is_in_line(capsys):
    waits = Summary(
        id="t1", type=TaskType.CHAT, priority=5, status=Status.PENDING, model="m",
        created_at=NOW, run_at=LATER, retry_count=1, max_retries=3, excerpt="",
    )  # fmt: skip
    print_tasks([waits, replace(waits, queue_position=4)], Output.PLAIN)
    later, in_line = capsys.readouterr().out.splitlines()
    assert "\tretry 1 of 3, not before 20" in later
    assert in_line.endswith("\t#4 in line")


MODELS = [
    ModelStats(
        model=f"maker/{name}:latest", waiting=12, running=3, completed=1200, failed=7,
        prompt_tokens_per_second=812.3, tokens_per_second=96.1, wait_p50=0.25, wait_p95=75.0,
        run_p50=2.5, run_p95=36.0,
    )
    for name in ("nomic-embed-text", "m" * 100)
]  # fmt: skip


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_figures_of_a_model_are_not_cut_off_and_its_name_is_whole(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    show_models(MODELS)
    out = capsys.readouterr().out
    assert "…" not in out
    assert out.count("250ms–1m15s") == out.count("2.5s–36s") == 2
    assert "maker/nomic-embed-text:latest" in out
    assert out.count("m") >= 100
    if columns < 100:
        assert "m" * 100 in out


def test_a_task_that_waits_says_when_it_starts(capsys):
    soon = in_seconds(10, 20, 30)
    task = Task(
        id="t", type=TaskType.CHAT, priority=5, status=Status.PENDING, model="m", created_at=NOW,
        retry_count=0, max_retries=3, payload={}, queue_position=3, eta=Eta(soon, soon),
    )  # fmt: skip
    assert where(task).startswith("is #3 in line, starts ")
    print_task(task, Output.TABLE)
    shown = capsys.readouterr().out
    assert "starts" in shown
    assert "ends" in shown


def test_a_task_of_which_nobody_knows_when_it_starts_says_why_it_waits():
    why = "only two has beta: two is down since 14:02 UTC"
    task = Task(
        id="t", type=TaskType.CHAT, priority=5, status=Status.PENDING, model="beta",
        created_at=NOW, retry_count=0, max_retries=3, payload={}, queue_position=1, waits_for=why,
    )  # fmt: skip
    assert where(task) == f"is #1 in line: {why}"


def test_an_answer_that_the_disk_has_damaged_is_none(capsys):
    task = Task(
        id="t1", type=TaskType.CHAT, priority=5, status=Status.COMPLETED, model="m",
        created_at=NOW, retry_count=0, max_retries=3, payload={}, damaged=True,
        error="the result of task t1 cannot be read",
    )  # fmt: skip
    with click.Context(click.Command("result")), pytest.raises(click.exceptions.Exit) as ended:
        print_outcome(task, Output.TABLE)
    assert ended.value.exit_code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "has completed, but its result is lost: the result of task t1 cannot be read" in said.err
