"""Numbers of tokens as servers send them: integers, and now and then something else."""

from __future__ import annotations

from typing import Any


def count(value: Any) -> int:
    """A number of tokens: 7 of ``7`` and of ``7.0``; 0 of what is no such number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**53:
        return 0
    return int(value)
