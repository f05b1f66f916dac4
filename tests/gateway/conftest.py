"""What the tests of the gateway share."""

from __future__ import annotations

import pytest
from trio.testing import MockClock


@pytest.fixture
def clock() -> MockClock:
    """Jumps when nothing has come over the sockets for a moment."""
    return MockClock(autojump_threshold=0.05)
