"""The soak: a short one goes well on a real server, and a long one that grows is found out."""

import random

import pytest

from bench import report, soak, trend
from bench.probe import Sample, size_of
from bench.soak import FIGURES, Soak

STEADY = Sample(memory=100, disk=40, descriptors=30, threads=5, health=1, dispatch=2, waiting=0)
MINUTES = 60


def hour(**gains):
    """An hour of samples that go up and down; each figure named gains so much by its end."""
    drawn = random.Random(7)

    def sample(at):
        noisy = {
            name: getattr(STEADY, name) * drawn.uniform(0.95, 1.05) + gains.get(name, 0) * at
            for name in FIGURES
        }
        return Sample(**noisy)

    samples = [(minute, sample(minute / MINUTES)) for minute in range(1, MINUTES + 1)]
    return Soak(samples, tasks=720_000, seconds=MINUTES * 60)


def test_an_hour_that_goes_up_and_down_is_flat():
    assert hour().failings() == []
    assert "**Flat.**" in soak.text(hour())


@pytest.mark.parametrize(
    ("name", "gain"),
    [("memory", 30), ("disk", 40), ("descriptors", 10), ("health", 5), ("dispatch", 10)],
)
def test_what_grows_all_the_time_is_named(name, gain):
    grown = hour(**{name: gain})
    (found,) = grown.failings()
    assert found.startswith(f"{FIGURES[name].what} grew by ")
    assert grown.gain(name) == pytest.approx(gain * 3 / 4, rel=0.3)
    assert f"**Not flat.** {found}" in soak.text(grown)


def test_a_start_that_settles_is_no_growth():
    flat = hour()
    flat.samples = [
        (minute, one if minute > 14 else Sample(**(vars_of(one) | {"memory": minute * 5.0})))
        for minute, one in flat.samples
    ]
    assert flat.growing() == []


def test_what_comes_while_the_buffers_fill_is_no_growth():
    slow = hour()
    slow.warm = 30
    slow.samples = [
        (minute, one if minute > 30 else Sample(**(vars_of(one) | {"memory": minute * 3.0})))
        for minute, one in slow.samples
    ]
    assert slow.growing() == []
    slow.warm = 31
    assert not slow.judged
    assert "Growth is not judged" in soak.text(slow)


def vars_of(sample):
    return {name: getattr(sample, name) for name in sample.__struct_fields__}


def test_a_single_wild_value_is_no_growth():
    wild = hour()
    wild.samples[-1] = (MINUTES, Sample(**(vars_of(STEADY) | {"memory": 900.0})))
    assert wild.growing() == []


def test_what_went_wrong_and_what_was_left_out_fail_a_run_of_any_length():
    short = Soak(seconds=60, left_out=31, problems={"one: Unavailable: gone": 2})
    assert short.failings() == [
        "the work of 31 of 60 s was left out, as the server had enough to do: try a lower --rate",
        "2 times: one: Unavailable: gone",
    ]
    assert Soak(seconds=60, left_out=30).failings() == []


def test_memory_is_told_in_bytes_a_task():
    assert hour(memory=720).bytes_a_task() == pytest.approx(1049, rel=0.05)  # 1 KB a task


def test_a_slope_is_sure_only_beyond_chance():
    up = [(minute, float(minute)) for minute in range(30)]
    assert trend.slope(up) == trend.sure_slope(up) == 1
    wavy = [(minute, float(minute % 2)) for minute in range(30)]
    assert trend.sure_slope(wavy) <= 0
    with pytest.raises(ValueError, match="two times"):
        trend.slope([(1, 1.0)])


def test_a_file_that_goes_while_the_disk_is_looked_at_counts_nothing(tmp_path):
    (tmp_path / "kept").write_bytes(b"x" * 2**20)
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert size_of(tmp_path) == 1


def test_a_run_is_written_down_with_its_chart(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    soak.save(hour(), {"date": "today"})
    page = (tmp_path / "soak.md").read_text()
    assert "date today" in page
    assert "720,000 tasks in 60 minutes, 200 a second; in 0 of 3600 s" in page
    assert "open descriptors" in (tmp_path / "soak.svg").read_text()
    assert (tmp_path / "soak.json").read_text().count('"minute"') == MINUTES


def test_users_of_a_real_server_meet_no_problem_and_all_is_measured():
    short = soak.run(minutes=0.07, rate=10)
    assert short.failings() == []
    assert short.tasks > 10 * 4
    (_, sample), *_ = short.samples
    assert sample.memory > 10
    assert sample.descriptors > 5
    assert sample.dispatch > 0
    assert "Growth is not judged: that takes 15 minutes" in soak.text(short)
