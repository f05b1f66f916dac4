"""Keeping the board up to date, and showing it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime

import trio
from rich.live import Live

from oq.cli.tables import console
from oq.cli.top.board import Board
from oq.cli.top.keys import single_keys, until_quit
from oq.cli.top.view import view
from oq.client.aio import AsyncClient
from oq.words.errors import OqError
from oq.words.events import Event, EventType
from oq.words.task import ENDED

_SLOW = 5.0
"""Seconds between two looks when nothing happens."""
_QUICK = 0.5
"""Seconds between two looks while things happen."""
_FRAME, _STILL = 0.1, 1.0
"""Seconds between two pictures, while things happen and otherwise: ages grow by themselves."""
_AWAY = 2.0
_LISTED = 20


async def look(server: str) -> None:
    """Show the queue until it is left. ServerNotReached if there is none to begin with."""
    async with AsyncClient(server) as client:
        board = Board(client.server, await client.status())
        # Signals are taken before the terminal is: they leave as q does, so that it is given back.
        with (
            trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals,
            single_keys() as keyboard,
        ):
            await _Top(client, board).run(signals, keyboard)


class _Top:
    def __init__(self, client: AsyncClient, board: Board) -> None:
        self._client = client
        self._board = board
        self._changed = trio.Event()  # something happened that the listings show
        self._dirty = trio.Event()  # something happened that the picture shows

    async def run(self, signals: AsyncIterator[int], keyboard: int | None) -> None:
        async with trio.open_nursery() as nursery:

            async def leave_after(wish: Awaitable[object]) -> None:
                await wish
                nursery.cancel_scope.cancel()

            nursery.start_soon(leave_after, anext(signals))
            if keyboard is not None:
                nursery.start_soon(leave_after, until_quit(keyboard))
            nursery.start_soon(self._listen)
            nursery.start_soon(self._poll)
            await self._draw()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client.subscribe(types=list(EventType)) as events:
                    async for event in events:
                        self._hear(event)
            except OqError as error:
                self._lost(error)
            await trio.sleep(_AWAY)

    def _hear(self, event: object) -> None:
        if isinstance(event, Event):
            self._board.happened(event, trio.current_time())
            if event.type is EventType.TASK_PROGRESS:
                self._dirty.set()
                return
        self._changed.set()
        self._dirty.set()

    async def _poll(self) -> None:
        while True:
            self._changed = trio.Event()
            try:
                await self._ask()
            except OqError as error:
                self._lost(error)
                await trio.sleep(_AWAY)
                continue
            await trio.sleep(_QUICK)
            with trio.move_on_after(_SLOW - _QUICK):
                await self._changed.wait()

    async def _ask(self) -> None:
        client, board = self._client, self._board
        board.status = await client.status()
        running = await client.list_summaries(status="running", limit=_LISTED)
        ended = await client.list_summaries(status=ENDED, limit=_LISTED)
        board.listed(running, ended)
        board.problem = None
        self._dirty.set()

    def _lost(self, error: OqError) -> None:
        self._board.problem = str(error)
        self._dirty.set()

    async def _draw(self) -> None:
        screen = console()
        with Live(console=screen, screen=True, auto_refresh=False, redirect_stderr=False) as live:
            while True:
                self._dirty = trio.Event()
                size = screen.size
                now = datetime.now(UTC)
                picture = view(self._board, size.width, size.height, now, trio.current_time())
                live.update(picture, refresh=True)
                await trio.sleep(_FRAME)
                with trio.move_on_after(_STILL - _FRAME):
                    await self._dirty.wait()
