"""The limit of open files: raised as far as it may be, and kept by bounding the connections."""

from __future__ import annotations

import resource
from contextlib import suppress

import structlog
from msgspec.structs import replace

from oq.rules import open_files
from oq.words.config import MOST_WORKERS, Config
from oq.words.errors import InvalidConfig

log = structlog.get_logger()

MANY_FILES = 65_536
"""As far as the limit is raised, where it may be: a big store has many files."""
_FEWEST = 8
"""Connections with which a server is of use."""


def within_files(config: Config) -> Config:
    """The settings, with no more connections than the limit of open files has room for.

    InvalidConfig if it has none.
    """
    limit = _raise_limit()
    if limit is None:
        return config
    workers = config.queue.max_workers or open_files.workers(limit, MOST_WORKERS)
    if config.queue.max_workers is None and workers < MOST_WORKERS:
        config = replace(config, queue=replace(config.queue, max_workers=workers))
    room = open_files.connections(limit, workers)
    if limit < open_files.LEAST or room < _FEWEST:
        raise InvalidConfig(
            f"only {limit} files may be open, which is too few for the store, for"
            f" {workers} tasks at once (queue.max_workers) and for connections;"
            " raise the limit of this process (`ulimit -n 4096`, or LimitNOFILE= of systemd)"
        )
    wanted = config.server.max_connections
    if room >= wanted:
        return config
    log.warning(
        "few files may be open, so fewer connections are taken; see `ulimit -n`",
        files=limit,
        connections=room,
        wanted=wanted,
    )
    return replace(config, server=replace(config.server, max_connections=room))


def _raise_limit() -> int | None:
    """The limit of open files once it is as high as it may be; None if there is none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(MANY_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # then it stays as it was
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return None if soft == resource.RLIM_INFINITY else soft
