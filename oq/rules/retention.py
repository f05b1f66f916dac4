"""How many ended tasks are kept."""

from __future__ import annotations


def surplus(ended: int, keep: int) -> int:
    """How many of `ended` tasks are to go, the oldest first; `keep` 0 keeps them all."""
    return max(0, ended - keep) if keep else 0
