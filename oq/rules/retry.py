"""When a failed attempt is tried again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff: ``min(max_delay, initial_delay * backoff_factor ** (n - 1))`` seconds
    before the n-th retry. With `jitter` the delay is drawn evenly between 0 and that, "full jitter"
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that tasks that
    failed together do not come back together.
    """

    initial_delay: float = 1.0
    max_delay: float = 30.0
    backoff_factor: float = 2.0
    jitter: bool = True

    def delay(
        self, retry: int, draw: Callable[[], float], retry_after: float | None = None
    ) -> float:
        """Seconds before retry number `retry` (from 1). `draw` gives a number in [0, 1).

        It is never less than the backend asked for in Retry-After, and never more than `max_delay`:
        somebody may be waiting. The last attempt's answer says what the backend asked for.
        """
        try:
            curve = self.initial_delay * self.backoff_factor ** (retry - 1)
        except OverflowError:
            curve = math.inf if self.initial_delay else 0.0
        delay = min(self.max_delay, curve)
        if self.jitter:
            delay *= draw()
        return max(delay, min(retry_after or 0.0, self.max_delay))
