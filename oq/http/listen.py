"""Opens the sockets that the server listens on, before anything else starts."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from msgspec.structs import replace

from oq.backends.address import base_url
from oq.rules.terms import parse_priority
from oq.words.config import Config, ServerConfig
from oq.words.errors import InvalidConfig, Unavailable

BACKLOG = 1024
USER_TIMEOUT = 30_000
"""Milliseconds after which the kernel gives up a peer that acknowledges nothing: one whose machine
is gone, or that has stopped reading (tcp(7), TCP_USER_TIMEOUT)."""
KEEP_IDLE = 60
"""Seconds after which the kernel asks a silent peer whether it is there: one that waits for a task
to begin says nothing and is told nothing for as long as that takes (tcp(7), TCP_KEEPIDLE)."""


class AddressInUse(Unavailable):
    """Another program listens on the address already."""


def bind_all(config: Config) -> tuple[list[socket.socket], dict[int, int]]:
    """The sockets of `server` and of `gateway.listen`, and the priorities by the ports of the
    latter. The errors are those of `bind`.
    """
    sockets = bind(config.server)
    priorities: dict[int, int] = {}
    try:
        for index, one in enumerate(config.gateway.listen):
            key = f"gateway.listen[{index}].port"
            more = bind(replace(config.server, port=one.port), key=key)
            sockets += more
            priorities[more[0].getsockname()[1]] = parse_priority(one.priority)
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return sockets, priorities


def check_not_backend(config: Config, sockets: Sequence[socket.socket]) -> None:
    """InvalidConfig if a backend is where these sockets listen: each task would wait for itself."""
    bound = [one.getsockname()[:2] for one in sockets]
    for index, backend in enumerate(config.backend_list()):
        if backend.kind == "simulated":
            continue
        there = urlsplit(base_url(backend.url))
        near = [host for host, port in bound if port == there.port]
        if near and any(_is_at(each, near) for each in _addresses(there.hostname or "")):
            key = f"backends[{index}].url" if config.backends else "ollama.host"
            raise InvalidConfig(
                f"{key}: {backend.url!r} is where this oq listens itself; name the server that runs"
                " the models, or let oq listen elsewhere with --port"
            )


def _addresses(host: str) -> list[str]:
    with suppress(OSError, UnicodeError):  # whoever calls it will be told
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None)]
    return []


def _is_at(address: str, bound: Iterable[str]) -> bool:
    """Whether one of these sockets takes what is sent to the address."""
    if address in bound:
        return True
    return any(ip_address(each).is_unspecified for each in bound) and _is_ours(address)


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))  # only an address of this machine can be bound
        return True
    return False


def bind(server: ServerConfig, *, key: str = "server.port") -> list[socket.socket]:
    """Listening sockets for each address of `server.host`; with port 0 they share a free one.

    Raises AddressInUse, or InvalidConfig if the address can never be used here; `key` is the
    setting that has the port.
    """
    port = server.port
    sockets: list[socket.socket] = []
    problems: list[OSError] = []
    try:
        for family, address in _resolve(server):
            try:
                sockets.append(_listen(family, (address, port)))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                problems.append(error)  # "localhost" often has a second address that is not up
            else:
                port = sockets[-1].getsockname()[1]
        if not sockets:
            raise problems[0]
    except OSError as error:
        for one in sockets:
            one.close()
        raise _say(server, error, key) from None
    return sockets


def url(server: ServerConfig, sockets: list[socket.socket]) -> str:
    """Where a client on this machine finds the server."""
    host, port = server.host, sockets[0].getsockname()[1]
    with suppress(ValueError):
        address = ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1"
        elif isinstance(address, IPv6Address):
            host = f"[{host}]"
    return f"http://{host or '127.0.0.1'}:{port}"


def beyond_loopback(sockets: Sequence[socket.socket]) -> list[str]:
    """The addresses that are reached from other machines too."""
    addresses = [str(one.getsockname()[0]) for one in sockets]
    return [text for text in addresses if not ip_address(text.partition("%")[0]).is_loopback]


def _resolve(server: ServerConfig) -> list[tuple[int, str]]:
    try:
        found = socket.getaddrinfo(
            server.host or "0.0.0.0",  # noqa: S104 - an empty host means every address
            server.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except (socket.gaierror, UnicodeError) as error:
        raise InvalidConfig(
            f"server.host: {server.host!r} is not an address or a name of this machine ({error})"
        ) from None
    return list(dict.fromkeys((int(family), str(where[0])) for family, *_, where in found))


def _listen(family: int, address: tuple[str, int]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Those who connect get these from the listening socket.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_IDLE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)
        if family == socket.AF_INET6:
            # "::" means every address, those of IPv4 too; any other is what it says.
            only = 0 if address[0] == "::" else 1
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        one.bind(address)
        one.listen(BACKLOG)
        one.setblocking(False)
    except BaseException:
        one.close()
        raise
    return one


def _say(server: ServerConfig, error: OSError, key: str) -> Exception:
    where = f"{server.host}:{server.port}"
    flag = "--port or " if key == "server.port" else ""
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"{where} is in use by another program (perhaps an oq that runs already);"
            f" stop it, or choose another port with {flag}{key}"
        )
    if error.errno == errno.EACCES:
        return InvalidConfig(
            f"{key}: {where} may not be used by this user; choose a port from 1024 up"
        )
    why = os.strerror(error.errno) if error.errno else str(error)
    return InvalidConfig(
        f"server.host: {where} cannot be listened on ({why}); choose an address of this machine"
    )
