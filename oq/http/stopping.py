"""How `oq serve` stops: what each signal does, and how the process ends even if the disk hangs."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog
import trio

from oq.logs import reopen
from oq.queue import Queue

log = structlog.get_logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

HURRY = 2.0
"""Seconds that backends have, after a second signal, to let go of what they run."""
LIMIT = 5.0
"""Seconds after a second signal at which the process ends, whatever it waits for."""


class Hangup:
    """What a SIGHUP means. It has two senders: the system when a terminal is lost, and whoever
    rotates logs. It is of the first kind if the standard input, output or error was a terminal at
    the start, and is none any more or there is no log file that could be meant; under nohup, never.

    To be made before a handler for SIGHUP is installed.
    """

    def __init__(self, log_file: str | None) -> None:
        self._terminals = [number for number in range(3) if os.isatty(number)]
        self._has_file = log_file is not None
        self._nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def is_lost_terminal(self) -> bool:
        """Whether a SIGHUP that came just now says that the terminal is gone."""
        if self._nohup or not self._terminals:
            return False
        return not (self._has_file and all(map(os.isatty, self._terminals)))


class Stop:
    """The first SIGTERM or SIGINT drains; a second one breaks off what runs and puts it back in
    line. `everything` is cancelled once there is nothing more to wait for.
    """

    def __init__(self, hangup: Hangup, everything: trio.CancelScope, limit: Limit) -> None:
        self.asked = trio.Event()
        self._hangup = hangup
        self._everything = everything
        self._limit = limit
        self._hurried = False
        self._patience = trio.CancelScope()

    async def watch(self, signals: AsyncIterator[int]) -> None:
        """Do what the signals ask for."""
        async for number in signals:
            log.info("signal", name=signal.Signals(number).name)
            match number:
                case signal.SIGTERM | signal.SIGINT:
                    self._ask()
                case signal.SIGHUP if self._hangup.is_lost_terminal():
                    log.info("the terminal is gone")
                    self.asked.set()  # the system may say so more than once
                case signal.SIGHUP:
                    reopen()

    async def drain(self, queue: Queue) -> None:
        """Let what runs end, or put it back in line; no longer than a second signal allows."""
        with self._patience:
            await queue.drain()
        if self._hurried:
            # On a thread, and one that holds nothing up: the disk may not answer.
            threading.Thread(target=queue.foretell_end, daemon=True).start()
            await queue.drain(0)
            self._everything.cancel()

    def _ask(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
        elif not self._hurried:
            self._hurried = True
            log.warning("stopping at once", within=LIMIT)
            self._patience.cancel()
            self._everything.deadline = trio.current_time() + HURRY
            self._limit.set_off()


class Limit:
    """Ends the process some seconds after `set_off`. A sync that the disk does not answer cannot be
    cancelled, and whoever closes the store waits for it.
    """

    def __init__(self, nowhere: TextIO) -> None:
        self._nowhere = nowhere
        self._timer = threading.Timer(LIMIT, _end)
        self._timer.daemon = True

    def set_off(self) -> None:
        self._timer.start()
        # To say why may take as long as all else, if the log is on that disk. This needs neither
        # the log nor the interpreter.
        faulthandler.dump_traceback_later(LIMIT + 1, exit=True, file=self._nowhere)

    def call_off(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        self._timer.cancel()


@contextmanager
def limit() -> Iterator[Limit]:
    """A `Limit` that is off when the block has ended in time."""
    with open(os.devnull, "w") as nowhere:
        made = Limit(nowhere)
        try:
            yield made
        finally:
            made.call_off()


def _end() -> None:
    log.error("ended without closing the store, since the disk does not answer")
    os._exit(1)
