"""`oq serve`: the whole process, from binding the address to closing the store."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Sequence
from functools import partial

import structlog
import trio

from oq.backends.base import Backend
from oq.http.app import create_app
from oq.http.files import within_files
from oq.http.listen import beyond_loopback, bind_all, check_not_backend, url
from oq.http.server import Server
from oq.http.stopping import SIGNALS, Hangup, Stop, limit
from oq.logs import configured
from oq.queue import open_queue
from oq.words.config import Config
from oq.words.errors import OqError, lone

log = structlog.get_logger()

Announce = Callable[[str], None]


def run(
    config: Config,
    *,
    announce: Announce | None = None,
    backends: Sequence[Backend] | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Serve the queue until SIGTERM or SIGINT; return once the store is closed.

    `announce` is called with the server's URL when it takes requests. `backends` that are made
    already stand in for those that the settings describe; `remarks` go to the log. The first signal
    drains: new tasks are refused, running ones get `queue.drain_timeout`; a second one ends it
    within seconds.
    What other signals do is in `oq.http.stopping`. Raises InvalidConfig, Unavailable when the
    address is in use, and StoreError.
    """
    with configured(config.logging):
        config = within_files(config)
        sockets, priorities = bind_all(config)
        for remark in remarks:
            log.warning("a setting to look at", remark=remark)
        try:
            if backends is None:
                check_not_backend(config, sockets)
            trio.run(partial(_serve, config, sockets, priorities, announce, backends))
        except Exception as error:
            only = lone(error)
            if not isinstance(only, OqError):  # those are for people; this is for whoever mends it
                log.exception("stopped by an internal error", exc_info=only)
            raise only from None
        finally:
            for one in sockets:
                one.close()


async def _serve(
    config: Config,
    sockets: Sequence[socket.socket],
    priorities: dict[int, int],
    announce: Announce | None,
    backends: Sequence[Backend] | None,
) -> None:
    hangup = Hangup(config.logging.file)
    with trio.open_signal_receiver(*SIGNALS) as signals, limit() as end:
        async with trio.open_nursery() as nursery:
            stop = Stop(hangup, nursery.cancel_scope, end)
            nursery.start_soon(stop.watch, signals)
            await _serve_queue(config, sockets, priorities, announce, backends, stop)
            nursery.cancel_scope.cancel()
    log.info("stopped")


async def _serve_queue(
    config: Config,
    sockets: Sequence[socket.socket],
    priorities: dict[int, int],
    announce: Announce | None,
    backends: Sequence[Backend] | None,
    stop: Stop,
) -> None:
    async with open_queue(config, backends=backends) as queue, trio.open_nursery() as nursery:
        app = create_app(queue)
        app.gateway.listening.update(priorities)
        server = Server(
            app,
            app.fast_path,
            sockets,
            max_connections=config.server.max_connections,
            max_client_connections=config.server.max_client_connections,
            max_unsent_bytes=config.server.max_unsent_bytes,
        )
        await nursery.start(server.run)
        gc.freeze()  # what is here by now stays: the collector need not look at it ever again
        where = url(config.server, list(sockets))
        if addresses := beyond_loopback(sockets):
            log.warning(
                "listening beyond this machine, without any password: whoever reaches these"
                " addresses can read all prompts and answers, and submit and delete tasks;"
                " set server.host to 127.0.0.1, or let only those in who may",
                addresses=sorted(set(addresses)),
            )
        log.info("ready", url=where, pending=queue.status().pending_tasks)
        if announce is not None:
            announce(where)
        await stop.asked.wait()
        log.info("draining", running=queue.status().running_tasks)
        await stop.drain(queue)
        app.context.close()
        server.stop()
