"""Durations as Go writes them (``"300ms"``, ``"1h30m"``); a bare number is seconds.

The grammar is that of Go's ``time.ParseDuration``: https://pkg.go.dev/time#ParseDuration
One unit is added: ``d``, a day of 24 hours, for what is kept for days.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta

from oq.words.errors import InvalidTask

TEN_YEARS = 10 * 365 * 86400
"""Seconds. No duration is longer, and what is farther away is shown as that."""
_UNITS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3,
    "s": 1, "m": 60, "h": 3600, "d": 86400,
}  # fmt: skip
_PART = re.compile(r"(\d++(?:\.\d*+)?|\.\d++)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_LONGEST = 1000
"""Characters. What is longer is no duration, and is not looked at."""
_WHOLE = re.compile(rf"[+-]?({_PART.pattern})+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d++(?:\.\d*+)?|\.\d++)", re.ASCII)


Time = float | str | timedelta
"""A length of time as callers may give it: seconds, a Go duration (``"5m"``) or a timedelta."""


class Duration(float):
    """Seconds. A float in every way; the type marks the settings that accept Go's notation."""


def parse_duration(value: object) -> Duration:
    """Seconds from a Go duration, a number of seconds or a timedelta, or ValueError."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str) and len(value) > _LONGEST:
        raise ValueError(f"{value[:64]!r}... is not a duration; it is too long")
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value) if abs(value) < 1e18 else math.inf
    elif isinstance(value, str) and _WHOLE.fullmatch(value):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
        seconds = -seconds if value.startswith("-") else seconds
    else:
        raise ValueError(f"{value!r} is not a duration; write 30, '500ms', '5m', '1h30m' or '7d'")
    if not 0 <= seconds <= TEN_YEARS:
        raise ValueError(f"{value!r} is not between 0 and ten years")
    return Duration(seconds)


def seconds_of(name: str, value: Time) -> float:
    """The seconds of an argument that says how long to wait. Infinity means without end, and a
    negative number means 0. InvalidTask names the argument if it is not a length of time.
    """
    if isinstance(value, timedelta):
        return max(0.0, value.total_seconds())
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value):
        return max(0.0, float(value))
    try:
        return float(parse_duration(value))
    except ValueError as error:
        raise InvalidTask(name, str(error)) from None


def format_duration(seconds: float) -> str:
    """A short form for people: ``"850ms"``, ``"2.5s"``, ``"1m30s"``, ``"2h5m"``, ``"7d"``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    days, hours = divmod(round(hours + minutes / 60), 24)
    return f"{days}d{hours}h" if hours else f"{days}d"


def format_age(seconds: float) -> str:
    """How long ago or in how long, roughly: as `format_duration`, and beyond two days ``"3d4h"``,
    beyond two years ``"7973y"``. For people only: years are no unit.
    """
    days, rest = divmod(round(abs(seconds)), 86400)
    if days < 2:
        return format_duration(float(round(abs(seconds))))
    if days >= 730:
        return f"{days // 365}y"
    return f"{days}d{rest // 3600}h" if rest >= 3600 else f"{days}d"
