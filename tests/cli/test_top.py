"""What `oq top` knows, and how it looks: 24 lines of 80 columns, whatever the queue holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oq.cli.top.board import SPAN, Board, Rate
from oq.cli.top.view import view
from oq.words.events import Event, EventType
from oq.words.task import Attempt, Status, Task, TaskType, Usage
from oq.words.views import BackendStatus, QueueStatus

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
EVIL = "\x1b[31mred\x1b]0;title\x07 \x9b2J \r\n\u202e[bold]"
SIZES = [(80, 24), (200, 60), (40, 12), (80, 8), (20, 5)]


def status(**given: object) -> QueueStatus:
    counts = {f"{each.value}_tasks": 1234 for each in Status}
    rest: dict[str, object] = {
        "total_tasks": 5 * 1234,
        "queues_by_priority": {},
        "workers_active": 3,
        "workers_idle": 1,
        "delayed_tasks": 0,
        "retrying_tasks": 0,
        "paused": False,
        "draining": False,
        "uptime": 3725.0,
        "event_seq": 1,
        "problem": None,
        "backends": (),
    }
    return QueueStatus(**counts | rest | given)


def event(kind: EventType, state: Status, task_id: str = "t1", **data: object) -> Event:
    return Event(1, task_id, kind, state, NOW, data or None)


def task(task_id: str, state: Status, **given: object) -> Task:
    return Task(
        id=task_id,
        type=TaskType.CHAT,
        priority=5,
        status=state,
        model="llama3.2:3b",
        created_at=NOW,
        retry_count=0,
        max_retries=3,
        payload={},
        started_at=NOW,
        **given,
    )


def board(**given: object) -> Board:
    return Board("http://127.0.0.1:7125", status(**given))


def picture(shown: Board, width: int = 80, height: int = 24) -> list[str]:
    return view(shown, width, height, NOW + timedelta(seconds=75), 100.0).plain.split("\n")


STARTED = event(EventType.TASK_STARTED, Status.RUNNING, backend="box")
COMPLETED = event(EventType.TASK_COMPLETED, Status.COMPLETED)


def test_a_tasks_way_over_the_board():
    shown = board()
    shown.happened(STARTED, 1.0)
    assert shown.running["t1"].backend == "box"
    shown.listed([task("t1", Status.RUNNING)], [])
    shown.happened(event(EventType.TASK_PROGRESS, Status.RUNNING, tokens=7), 2.0)
    assert (shown.running["t1"].model, shown.running["t1"].tokens) == ("llama3.2:3b", 7)
    shown.listed([task("t1", Status.RUNNING, attempts=(Attempt(NOW, backend="box"),))], [])
    assert shown.running["t1"].tokens == 7, "a listing knows nothing of the tokens so far"
    shown.happened(COMPLETED, 3.0)
    assert shown.running == {}
    assert (shown.ended["t1"].model, shown.ended["t1"].status) == ("llama3.2:3b", Status.COMPLETED)
    usage = Usage(prompt_tokens=1, completion_tokens=9)
    shown.listed([], [task("t1", Status.COMPLETED, completed_at=NOW, usage=usage)])
    assert shown.ended["t1"].tokens == 9


def test_what_a_task_waited_inside_its_backend_is_not_its_time():
    shown = board()
    attempt = Attempt(NOW, NOW + timedelta(seconds=7), None, "box", None, 4.5)
    done = task("t1", Status.COMPLETED, completed_at=attempt.ended_at, attempts=(attempt,))
    shown.listed([], [done])
    [row] = [row for row in picture(shown) if row.startswith(" t1 ")]
    assert row.split()[-2:] == ["2.5s", "completed"]


def test_what_ends_last_comes_first_and_a_retry_runs_no_more():
    shown = board()
    for task_id in ("a", "b", "a"):
        shown.happened(event(EventType.TASK_COMPLETED, Status.COMPLETED, task_id), 1.0)
    assert list(shown.ended) == ["b", "a"]
    shown.happened(STARTED, 1.0)
    shown.happened(event(EventType.TASK_RETRYING, Status.PENDING, error="x"), 2.0)
    assert shown.running == {}


def test_what_has_ended_is_bounded():
    shown = board()
    for number in range(1000):
        shown.happened(event(EventType.TASK_COMPLETED, Status.COMPLETED, str(number)), 1.0)
    assert len(shown.ended) <= 100
    assert "999" in shown.ended


def test_rates_are_of_the_last_seconds():
    rate = Rate()
    assert rate.per_second(0.0) == 0
    for second in range(20):
        rate.add(float(second), 3)
    assert rate.per_second(19.0) == pytest.approx(3)
    assert rate.per_second(19.0 + SPAN / 2) == pytest.approx(1.5, abs=0.31)
    assert rate.per_second(19.0 + SPAN) == 0


def test_tokens_are_counted_once():
    shown = board()
    shown.happened(STARTED, 0.0)
    for tokens in (5, 5, 8):
        shown.happened(event(EventType.TASK_PROGRESS, Status.RUNNING, tokens=tokens), 1.0)
    assert shown.tokens.per_second(1.0) == pytest.approx(8)


def test_tokens_from_before_one_looked_are_not_of_this_second():
    shown = board()
    shown.listed([task("t1", Status.RUNNING)], [])
    for tokens in (500, 503):
        shown.happened(event(EventType.TASK_PROGRESS, Status.RUNNING, tokens=tokens), 1.0)
    assert shown.tokens.per_second(1.0) == pytest.approx(3)


def full(text: str = "name") -> Board:
    backend = BackendStatus(text, "ollama", text, up=False, running=0, error=text)
    lines = {str(priority): priority**3 for priority in range(1, 20)}
    shown = board(queues_by_priority=lines, backends=(backend,) * 9, delayed_tasks=3, paused=True)
    running = [task(f"r{number}{text}", Status.RUNNING) for number in range(30)]
    last = {"completed_at": NOW, "error": text}
    ended = [task(f"e{number}", Status.FAILED, **last) for number in range(30)]
    shown.listed(running, ended)
    return shown


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("shown", [board(), full()], ids=["empty", "full"])
def test_it_fits(shown, width, height):
    rows = picture(shown, width, height)
    assert len(rows) == height
    assert max(map(len, rows)) <= width
    assert rows[-1] == " q leaves"


def test_nothing_of_a_strangers_moves_the_terminal():
    shown = full(EVIL)
    shown.problem = EVIL
    text = "".join(picture(shown, 200, 60))
    assert "red" in text
    assert [char for char in text if not char.isprintable()] == []


def test_what_is_to_be_seen():
    shown = board(
        queues_by_priority={"15": 4, "5": 40, "7": 1},
        backends=(BackendStatus("box", "ollama", "http://box", up=True, running=3),),
    )
    shown.listed([task("run", Status.RUNNING)], [task("end", Status.FAILED, completed_at=NOW)])
    rows = picture(shown)
    text = "\n".join(rows)
    assert "up for 1h2m" in rows[0]
    assert "1,234 pending" in rows[2]
    assert "3 of 4 workers busy" in rows[3]
    bars = [row.split() for row in rows if "█" in row or "▏" in row]
    assert [bar[0] for bar in bars] == ["critical", "of", "normal"]
    assert [bar[-1] for bar in bars] == ["4", "1", "40"]
    assert len(bars[2][1]) == max(len(bar[-2]) for bar in bars), "the longest line, longest bar"
    assert "● box  3 running  http://box" in text
    assert [row.split() for row in rows if row.startswith(" run ")] == [
        ["run", "llama3.2:3b", "1m15s"]
    ]
    assert [row.split() for row in rows if row.startswith(" end ")] == [
        ["end", "llama3.2:3b", "0ms", "failed"]
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"paused": True}, "paused; `oq resume` goes on"),
        ({"paused_models": ("a", "b:7b")}, "paused: a, b:7b; `oq resume --model NAME`"),
        ({"paused_models": ("a",), "draining": True}, "shutting down"),
        ({"draining": True}, "shutting down"),
        ({"problem": "the disk is full"}, "the disk is full"),
    ],
)
def test_what_is_wrong_stands_at_the_top(given, said):
    assert said in picture(board(**given))[0]


def test_a_few_of_the_ended_are_always_to_be_seen():
    rows = picture(full())
    assert sum(row.startswith(" e") and "ended" not in row for row in rows) >= 2
    assert sum(row.startswith(" r") and "running" not in row for row in rows) >= 2
    assert any("running" in row and "+" in row for row in rows), "and how many more run"
