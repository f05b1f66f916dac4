"""When tasks start: what is guessed, what it is made of, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from oq.rules import forecast
from oq.rules.backlog import Backlog
from oq.rules.board import Board
from oq.rules.calibration import Interval
from oq.rules.fleet import Fleet
from oq.rules.forecast import LATER
from oq.rules.pace import STARTS, Pace
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.service_times import LATELY, MODELS, ServiceTimes
from oq.rules.slots import BackendSlots
from oq.words.config import FairnessConfig, ReserveConfig, SchedulerConfig
from oq.words.messages import SERVED, Ended
from oq.words.views import BackendFacts
from tests.support.builders import at


class Queue:
    """A board and its clock. A task takes `took` seconds."""

    def __init__(
        self,
        *backends: BackendSlots,
        affinity: bool = False,
        reserve: Sequence[ReserveConfig] = (),
        took: float = 2.0,
    ) -> None:
        fleet = Fleet(backends or [BackendSlots("box", 1)])
        settings = SchedulerConfig(affinity=affinity, reserve=tuple(reserve))
        policy = POLICIES[settings.policy](fleet, settings, FairnessConfig())
        most = settings.max_bypass if affinity else None
        self.board = Board(64, fleet, policy, paused=False, bypass=most)
        self.forecast = self.board.forecast
        self.now = 0.0
        self.took = took
        self.answers = True  # whether the answers begin at once
        self.came = 0
        self.running: dict[str, float] = {}
        self.due = False  # whether a record was due when something started last

    def add(self, number: int = 1, model: str = "m", priority: int = 5) -> str:
        for _ in range(number):
            self.came += 1
            self.board.place(f"{self.came:06d}", Place(priority, model))
        return f"{self.came:06d}"

    def start(self) -> None:
        for job in self.board.starts(self.now):
            self.running[job.task_id] = self.now + self.took
            if self.answers:
                self.board.answered(job.task_id, self.now)
        self.due = self.forecast.settle(self.now)

    def run(self, number: int, ended: Ended = SERVED) -> None:
        """Until so many have ended."""
        for _ in range(number):
            self.start()
            task_id = min(self.running, key=self.running.__getitem__)
            self.now = max(self.now, self.running.pop(task_id))
            self.board.end(task_id)
            self.board.free(task_id, self.now, ended)
        self.start()

    def starts(self, task_id: str) -> Interval:
        estimate = self.forecast.of(task_id, self.now)
        assert estimate is not None
        return estimate.starts


def test_nothing_is_told_while_nothing_is_known() -> None:
    queue = Queue()
    last = queue.add(5)
    queue.start()
    assert queue.forecast.of(last, 0.0) is None
    assert queue.forecast.until_started(3) is None
    assert queue.forecast.until_empty(0.0) is None


def test_a_task_that_does_not_wait_has_no_estimate() -> None:
    queue = Queue()
    running = queue.add(2)
    queue.run(1)
    assert queue.forecast.of(running, queue.now) is None
    assert queue.forecast.of("unknown", queue.now) is None


@pytest.mark.parametrize("slots", [1, 4])
def test_the_work_before_it_decides(slots: int) -> None:
    queue = Queue(BackendSlots("box", slots))
    queue.add(400)
    queue.run(200)
    last = f"{400:06d}"
    before = (400 - 200 - slots - 1) * 2.0 / slots
    told = queue.starts(last)
    assert told.p50 == pytest.approx(before, rel=0.1)
    assert told.p10 < before < told.p90
    ends = queue.forecast.of(last, queue.now)
    assert ends is not None
    assert ends.ends.p50 == pytest.approx(before + 2.0, rel=0.1)


def test_further_in_front_it_is_sooner() -> None:
    queue = Queue()
    queue.add(200)
    queue.run(100)
    waits = [queue.starts(f"{n:06d}").p50 for n in (110, 130, 160, 200)]
    assert waits == sorted(waits)
    assert waits[-1] > 5 * waits[0]


def test_what_is_more_urgent_is_before_it() -> None:
    queue = Queue()
    queue.add(100)
    queue.run(80)
    low = queue.add(1, priority=1)
    alone = queue.starts(low).p50
    queue.add(50, priority=9)
    assert queue.starts(low).p50 == pytest.approx(alone + 100, rel=0.2)


def test_models_that_take_longer_count_for_more() -> None:
    queue = Queue()
    queue.add(40, "short")
    queue.run(40)
    queue.took = 20.0
    queue.add(40, "long")
    queue.run(40)
    after_short, after_long = queue.add(20, "short"), queue.add(21, "long")
    queue.start()
    queue.now += 2.0  # what waits is weighed anew
    short, long = queue.starts(after_short).p50, queue.starts(after_long).p50
    assert long - short > 0.5 * 20 * 20.0


def test_the_line_of_another_backend_does_not_matter() -> None:
    boxes = [BackendSlots(name, 1, models=[name]) for name in ("a", "b")]
    queue = Queue(*boxes)
    queue.add(60, "a")
    queue.add(60, "b")
    queue.run(80)
    mine = queue.add(1, "b")
    alone = queue.starts(mine).p50
    queue.add(500, "a", priority=9)
    queue.now += 2.0
    assert queue.starts(mine).p50 == pytest.approx(alone, rel=0.2)


def test_a_backend_that_is_down_tells_nothing() -> None:
    queue = Queue()
    last = queue.add(20)
    queue.run(10)
    backend = queue.board.backends[0]
    backend.down = "gone"
    assert queue.forecast.of(last, queue.now) is None


def test_while_tasks_of_its_model_are_held_nothing_is_told() -> None:
    queue = Queue()
    last = queue.add(40)
    queue.run(20)
    queue.board.note_wedged("box", "m", "", queue.now)
    assert queue.forecast.of(last, queue.now) is None


def test_a_task_that_would_start_at_once_is_told_nothing() -> None:
    queue = Queue()
    queue.add(10)
    queue.run(9)
    place = Place(5, "m")
    assert queue.forecast.of_next(place, queue.now) is not None
    queue.run(1)
    assert queue.forecast.of_next(place, queue.now) is None


def test_when_it_will_be_empty() -> None:
    queue = Queue()
    queue.add(200)
    queue.run(100)
    left = queue.forecast.until_empty(queue.now)
    assert left == pytest.approx(200, rel=0.1)
    assert queue.forecast.until_started(10) == pytest.approx(20, rel=0.1)
    queue.run(99)
    assert queue.forecast.until_empty(queue.now) == pytest.approx(2.0, rel=0.1)


def test_a_model_that_has_not_its_turn_waits_for_it() -> None:
    queue = Queue(BackendSlots("box", 8, max_models=1), affinity=True)
    queue.board.note_facts("box", BackendFacts(slots=8), 0.0)
    queue.add(1, "warm")
    queue.run(1)
    queue.add(2, "warm")
    queue.start()
    cold = queue.add(1, "cold")
    queue.start()
    told = queue.forecast.of(cold, queue.now)
    assert told is not None
    assert told.starts.p50 == pytest.approx(35, rel=0.1)  # max_bypass, and a load of 5 s


def test_a_failure_is_no_service() -> None:
    queue = Queue()
    last = queue.add(20)
    queue.run(10, Ended())
    assert queue.forecast.of(last, queue.now) is None


def test_what_leaves_counts_no_more() -> None:
    queue = Queue()
    queue.add(100)
    queue.run(40)
    last = queue.add()
    for n in range(50, 100):
        queue.board.settle(f"{n:06d}")
    assert queue.starts(last).p50 == pytest.approx(20, rel=0.2)


def test_after_a_restart_it_is_told_the_same() -> None:
    queue = Queue(BackendSlots("box", 2))
    queue.add(400)
    queue.run(200)
    again = Queue(BackendSlots("box", 2))
    again.forecast.restore(queue.forecast.record())
    again.board.load((f"{n:06d}", Place(5, "m")) for n in range(201, 401))
    again.start()
    assert again.starts("000400") == pytest.approx(queue.starts("000400"), rel=0.1)


@pytest.mark.parametrize("record", [b"", b"{}", b"[1]", b"nonsense"])
def test_a_record_that_cannot_be_read_is_left_out(record: bytes) -> None:
    queue = Queue()
    queue.forecast.restore(record)
    last = queue.add(20)
    queue.run(10)
    assert queue.forecast.of(last, queue.now) is not None


def test_a_record_is_due_now_and_then() -> None:
    queue = Queue()
    queue.add(100)
    queue.start()
    assert not queue.due, "nothing was learnt yet"
    queue.run(2)
    assert queue.due
    queue.forecast.step(queue.now)
    queue.run(1)
    assert not queue.due
    queue.now += 60
    queue.start()
    assert queue.due


HOURS = 3 * 3600.0


def pause_queue(queue: Queue) -> None:
    queue.board.paused = not queue.board.paused


def pause_model(queue: Queue) -> None:
    queue.board.pause_model("m", paused=not queue.board.paused_models)


def go_down(queue: Queue) -> None:
    if queue.board.backends[0].down is None:
        queue.board.mark_down("box", "gone", at(0))
    else:
        queue.board.mark_up("box", queue.now)


@pytest.mark.parametrize("stop", [pause_queue, pause_model, go_down])
@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("one_stays", [False, True])
def test_a_stop_of_hours_says_nothing_of_how_fast_tasks_are_worked_off(
    stop: Callable[[Queue], None], slots: int, *, one_stays: bool
) -> None:
    """`one_stays`: a task runs all the time, so the backend is never idle."""
    queue = Queue(BackendSlots("box", slots))
    queue.add(200)
    queue.run(100)
    before = queue.forecast.until_started(100)
    assert before == pytest.approx(200 / slots, rel=0.1)
    stop(queue)
    queue.run(slots - one_stays)
    left = min(queue.running, default=None)
    queue.now += HOURS
    if left is not None:
        queue.running[left] = queue.now + 1.0
    stop(queue)
    last = queue.add(100)
    if left is not None:
        queue.run(1, Ended())
    queue.run(60)
    assert queue.forecast.until_started(100) == pytest.approx(before, rel=0.1)
    waits = queue.board.position(last)
    assert waits is not None
    assert queue.starts(last).p50 == pytest.approx(2.0 * waits / slots, rel=0.2)


@pytest.mark.parametrize("slots", [1, 4])
def test_nor_does_an_outage_in_which_tasks_are_tried_for_long(slots: int) -> None:
    queue = Queue(BackendSlots("box", slots))
    queue.add(400)
    queue.run(100)
    before = queue.forecast.until_started(100)
    queue.answers, queue.took = False, HOURS / 20
    for n in range(20):
        queue.run(len(queue.running), Ended(failed="no answer"))
        if n == 19:
            queue.answers, queue.took = True, 2.0
        while not queue.running:
            queue.now = min(queue.board.due(queue.now), queue.now + 60.0)
            queue.start()
    queue.run(60)
    assert queue.forecast.until_started(100) == pytest.approx(before, rel=0.1)


def test_while_all_that_waits_is_paused_others_say_nothing_of_their_pace() -> None:
    queue = Queue(BackendSlots("box", 2), took=50.0)
    queue.add(100, "paused")
    queue.board.pause_model("paused", paused=True)
    for _ in range(3 * STARTS):  # each comes before the last one has ended
        queue.add(1, "m")
        queue.start()
        if len(queue.running) > 1:
            queue.run(1)
        queue.now += 40.0
    assert not queue.forecast._paces["box"].known


# -- its parts


def test_the_price_of_work_is_measured_while_others_wait() -> None:
    pace = Pace()
    assert pace.prices(4, 9.0) == (0.25, 9.0)
    for n in range(2 * STARTS):
        pace.started(1, 3.0, n * 1.5, swap=False, waits=True)
    assert pace.known
    assert pace.prices(4, 9.0) == (pytest.approx(0.5), 9.0)


def test_a_swap_has_a_price_of_its_own() -> None:
    pace, now = Pace(), 0.0
    for n in range(40 * STARTS):
        swap = (n // STARTS) % 4 == n % 4
        now += 1.0 + 10.0 * swap
        pace.started(1, 2.0 + n % 3, now, swap=swap, waits=True)
    work, swap_price = pace.prices(1, 0.0)
    assert swap_price == pytest.approx(10, rel=0.05)
    assert work == pytest.approx(1 / 3, rel=0.05)


def test_time_in_which_nobody_waits_does_not_count() -> None:
    pace = Pace()
    for n in range(4 * STARTS):
        pace.started(1, 1.0, n // 2 * 100.0 + n % 2, swap=False, waits=n % 2 == 0)
    assert pace.prices(1, 0.0)[0] == pytest.approx(1.0)


def test_time_in_which_the_backend_did_nothing_does_not_count() -> None:
    pace = Pace()
    for n in range(2 * STARTS):
        pace.idle(n * 100.0 + 1.0)
        assert pace.started(1, 1.0, (n + 1) * 100.0, swap=False, waits=True) is None
    assert not pace.known


def test_service_times_follow_and_are_bounded() -> None:
    times = ServiceTimes()
    assert (times.usual, times.of("m")) == (None, 0.0)
    for _ in range(10 * LATELY):
        times.note("m", [4.0])
    for n in range(MODELS):
        times.note(f"model-{n}", [1.0])
    assert len(times) == MODELS
    assert times.of("m") == times.usual  # it is forgotten
    assert times.of("model-3") == 1.0
    assert len(times.record(5).models) == 5
    assert times.record(0).models == []


def test_the_backlog_is_empty_when_all_have_left() -> None:
    times = ServiceTimes()
    backlog = Backlog(times, Fleet([BackendSlots("box", 1)]))
    places = [Place(n % 2, f"m{n % 3}") for n in range(30)]
    for n, place in enumerate(places):
        times.note(place.model, [float(n)])
        backlog.add(place.priority, place.model, 1)
    lane = backlog.lane(1)
    assert lane is not None
    assert (lane.count, lane.swaps) == (15, 14)
    assert [place.model for place in backlog.last_of_each()] == ["m0", "m1", "m2"]
    backlog.weigh(5.0)
    assert lane.work == pytest.approx(5 * sum(times.of(f"m{n}") for n in range(3)))
    for place in places:
        backlog.start(place, 1)
    assert backlog.lane(0) is backlog.lane(1) is None


def test_what_happened_is_taken_in_a_little_later_or_when_it_is_asked_for():
    asked, not_asked = Queue(), Queue()
    for queue in (asked, not_asked):
        queue.took = LATER / 100
        queue.add(200)
        queue.run(70)
    assert not_asked.forecast.starts, "many starts in a moment are taken in together"
    for _ in range(50):
        asked.run(1)
        asked.forecast.until_empty(asked.now)
        assert not asked.forecast.starts
    not_asked.run(50)
    last = f"{not_asked.came:06d}"
    assert asked.starts(last).p50 == pytest.approx(not_asked.starts(last).p50)


def test_what_was_learnt_of_very_many_models_is_kept_of_some(monkeypatch) -> None:
    queue = Queue()
    names = [f"{number:03d}-{'x' * 50}" for number in range(100)]
    for name in names:
        queue.add(model=name)
    queue.run(100)
    whole = len(queue.forecast.record())
    monkeypatch.setattr(forecast, "MOST_RECORDED", whole // 2)
    record = queue.forecast.record()
    assert whole // 4 < len(record) <= whole // 2
    other = Queue()
    other.forecast.restore(record)
    assert other.forecast._times.usual == queue.forecast._times.usual


def test_one_that_comes_with_another_priority_has_no_model_before_its_own() -> None:
    """But for those of higher priorities."""
    queue = Queue(BackendSlots("box", 1, max_models=1), affinity=True)
    queue.add(model="a")
    queue.run(1)
    for name in "abcd":
        queue.add(10, model=name)
    queue.start()
    high, usual = (queue.forecast.of_next(Place(p, "d"), queue.now) for p in (10, 5))
    assert high is not None
    assert usual is not None
    assert high.starts.p50 < usual.starts.p50 / 2
