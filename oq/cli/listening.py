"""Errors of an address that the simulator is to listen on, in words."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import click

_REASONS = {
    errno.EADDRINUSE: "another program listens there; stop it, or choose another --port",
    errno.EACCES: "this user may not listen there; choose a --port above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose another --host",
}


class CannotListen(click.ClickException):
    """The address that a server was to listen on cannot be had."""

    exit_code = 1


@contextmanager
def listening_errors(host: str, port: int) -> Iterator[None]:
    """Turn an error of the address, also one in a nursery's group, into CannotListen."""
    try:
        yield
    except* OSError as group:
        error = group.exceptions[0]
        raise _told(error, host, port) from None


def _told(error: Exception, host: str, port: int) -> Exception:
    unknown_name = isinstance(error, socket.gaierror)
    number = error.errno if isinstance(error, OSError) else None
    reason = "there is no host of that name" if unknown_name else _REASONS.get(number or 0)
    return error if reason is None else CannotListen(f"cannot listen on {host}:{port}: {reason}")
