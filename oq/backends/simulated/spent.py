"""Where the time of a call goes."""

from __future__ import annotations

from typing import NamedTuple


class Spent(NamedTuple):
    """What a call spends before its first token, in seconds: for the `load` of its model, while it
    `waited` for a slot, and for reading its `prompt`.
    """

    load: float = 0
    waited: float = 0
    prompt: float = 0

    def generating(self, elapsed: float) -> float:
        """The seconds that are left for its tokens, of `elapsed` in all."""
        return max(0.0, elapsed - sum(self))
