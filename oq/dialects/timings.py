"""The times in the last line of an answer, in seconds: Ollama's durations, llama.cpp's timings.

Read leniently, as numbers of tokens are (`oq.dialects.reading.count`): what is no such time is
None. Ollama leaves out a duration of 0 (`omitempty` in its api/types.go). llama.cpp's are in
`to_json` of its tools/server/server-common.cpp. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from oq.dialects.reading import read
from oq.words.outcome import Timings

LONGEST = 365 * 86_400
"""Seconds. A server that says more has counted wrongly."""

_SECOND = 1_000_000_000
_TOTAL, _LOAD = "total_duration", "load_duration"
_WORK = ("prompt_eval_duration", "eval_duration")
_NOTHING_SAID = Timings()


def ollama_timings(fields: Mapping[str, Any]) -> Timings | None:
    """The times in a whole answer of Ollama's form, or in the last line of one; None if it has
    none. The values may be decoded or not.

    The call waited for what is left of the total. That is unknown where the work is not said: of an
    embedding, Ollama says the total and the load only.
    """
    if _TOTAL not in fields and _LOAD not in fields:
        return None
    total, load, prompt, generate = (
        _time(fields.get(key), _SECOND) for key in (_TOTAL, _LOAD, *_WORK)
    )
    waited = None
    parts = {_LOAD: load, _WORK[0]: prompt, _WORK[1]: generate}
    known = all(value is not None for key, value in parts.items() if key in fields)
    if total is not None and known and (prompt is not None or generate is not None):
        waited = max(0, total - (load or 0) - (prompt or 0) - (generate or 0))
    return _said(*(_seconds(each, _SECOND) for each in (waited, load, prompt, generate)))


def llama_timings(timings: Any) -> Timings | None:
    """The times in llama.cpp's `timings`, which do not say how long the call waited."""
    if not isinstance(timings, dict):
        return None
    prompt, generate = (_time(timings.get(key), 1000) for key in ("prompt_ms", "predicted_ms"))
    return _said(None, None, _seconds(prompt, 1000), _seconds(generate, 1000))


def _time(value: Any, second: int) -> float | None:
    """A time as it was sent, of which `second` make a second; None if it cannot be one."""
    if isinstance(value, Raw):
        value = read(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value <= LONGEST * second else None


def _seconds(value: float | None, second: int) -> float | None:
    return None if value is None else value / second


def _said(*times: float | None) -> Timings | None:
    timings = Timings(*times)
    return None if timings == _NOTHING_SAID else timings
