"""oq in front of several simulated machines, which have different models; all on sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

from oq.backends.simulated import Simulator
from tests.support.gateway import Site, serving, site


@asynccontextmanager
async def fleet(
    *machines: Sequence[str], kinds: Sequence[str] = (), **sections: Any
) -> AsyncIterator[tuple[Site, list[Simulator]]]:
    """oq before machines that have these models, and the machines. It knows what they have."""
    simulators = [Simulator(models=models) for models in machines]
    kinds = kinds or ["ollama"] * len(machines)
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serving(each)) for each in simulators[1:]]
        others = [
            {"name": f"b{place}", "kind": kind, "url": url}
            for place, (kind, url) in enumerate(zip(kinds[1:], urls, strict=True), 2)
        ]
        here = await stack.enter_async_context(
            site(simulators[0], kind=kinds[0], others=others, **sections)
        )
        await known(here)
        yield here, simulators


async def known(here: Site) -> None:
    """Until each backend that is up has said which models it has."""
    with trio.fail_after(5):
        while any(one.held for one in here.queue._core.board.backends if one.down is None):
            await trio.lowlevel.checkpoint()


def asked(simulators: Sequence[Simulator], path: str) -> list[int]:
    """How often each was asked by this path."""
    return [len(one.asked(path)) for one in simulators]
