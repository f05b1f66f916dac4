"""What the tests of clients share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

SOON = 20
"""Seconds in which an async test is over."""


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs an async function under one of the two."""

    def run(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(SOON):
                return await function(*args)

        return anyio.run(bounded, backend=request.param)

    return run
