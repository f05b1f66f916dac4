"""What the tests of backends share: a server that answers as both kinds do."""

from __future__ import annotations

import pytest

from oq.backends.simulated import Simulator
from oq.backends.simulated.server import serve_simulator


@pytest.fixture
def simulator():
    return Simulator(models={"m"})


@pytest.fixture
async def url(nursery, simulator):
    return await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)
