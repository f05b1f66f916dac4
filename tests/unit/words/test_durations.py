"""Durations: Go's grammar, plain seconds, and nothing else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.words.durations import Duration, format_age, format_duration, parse_duration

YEAR = 365 * 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300ms", 0.3),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h1m1s1ms1us1ns", 3661.001001001),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("5.s", 5),
        ("+5s", 5),
        ("0", 0),
        ("-0s", 0),
        ("1m1m", 120),
        ("30s5m", 330),
        ("100µs", 1e-4),  # U+00B5, the micro sign
        ("100μs", 1e-4),  # U+03BC, the Greek letter
        ("30", 30),
        ("0.25", 0.25),
        (30, 30),
        (0.25, 0.25),
        ("87600h", 10 * YEAR),
        ("7d", 7 * 86400),
        ("1d12h", 36 * 3600),
    ],
)
def test_what_go_writes_is_understood_and_a_bare_number_is_seconds(text, seconds):
    parsed = parse_duration(text)
    assert parsed == pytest.approx(seconds, rel=1e-12)
    assert isinstance(parsed, Duration)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        ".",
        ".s",
        "s",
        "5 m",
        " 5m",
        "5m ",
        "5m\n",
        "5M",
        "5w",
        "5min",
        "1,5s",
        "1e3",
        "0x10s",
        "1_000s",
        "--5s",
        "1s-1ms",
        "nan",
        "inf",
        "soon",
        None,
        True,
        [],
        b"5s",
        float("nan"),
    ],
    ids=repr,
)
def test_what_is_no_duration_is_called_that_with_examples(value):
    with pytest.raises(ValueError, match=r"'1h30m'|ten years"):
        parse_duration(value)


@pytest.mark.parametrize("value", [-1, "-1s", "87601h", 1e300, float("inf"), "9" * 400 + "s"])
def test_what_is_out_of_all_reason_is_refused(value):
    with pytest.raises(ValueError, match="ten years"):
        parse_duration(value)


@pytest.mark.parametrize("value", [10**400, "\N{ARABIC-INDIC DIGIT FIVE}s"], ids=["huge", "digits"])
def test_numbers_that_only_python_knows_are_refused_as_the_others(value):
    with pytest.raises(ValueError, match=r"duration|ten years"):
        parse_duration(value)


@given(st.integers(0, 9), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_add_up(hours, minutes, seconds, millis):
    text = f"{hours}h{minutes}m{seconds}s{millis}ms"
    assert parse_duration(text) == pytest.approx(
        hours * 3600 + minutes * 60 + seconds + millis / 1000
    )


@given(st.text("0123456789.+-hmsnuµ ", max_size=8))
def test_whatever_is_written_it_is_a_duration_in_bounds_or_a_value_error(text):
    with suppress(ValueError):
        assert 0 <= parse_duration(text) <= 10 * YEAR


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.85, "850ms"),
        (0.9999, "1s"),
        (2.5, "2.5s"),
        (30, "30s"),
        (60, "1m"),
        (90, "1m30s"),
        (3599.7, "1h"),
        (7500, "2h5m"),
        (36 * 3600, "36h"),
        (7 * 86400, "7d"),
        (7.5 * 86400, "7d12h"),
    ],
)
def test_people_read_a_short_form(seconds, text):
    assert format_duration(seconds) == text


@given(st.floats(0, YEAR))
def test_the_short_form_is_a_duration_again_and_close(seconds):
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.02, abs=0.001)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0ms"),
        (172_799, "47h59m"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (-180_000, "2d2h"),
        (800 * 86400, "2y"),
    ],
)
def test_an_age_is_told_in_the_units_of_people(seconds, text):
    assert format_age(seconds) == text
