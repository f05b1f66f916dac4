"""The names by which a server may be called: what stands in the Host header of its requests.

A name that somebody else owns can be made to point here (DNS rebinding), and then a page of that
name is, for a browser, a page of this server. So only names are let in that no other site can own.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from oq.words.config import ServerConfig

ANY = "*"
_LOCAL_ENDS = (".localhost", ".local", ".internal")
"""No domain of these can be registered: RFC 6761, RFC 6762, and ICANN's resolution 2024.07.29.06.
"""
_LABEL = r"[a-z0-9_-]{1,63}"
_WITH_PORT = re.compile(rf"(?:\[([0-9a-z:.%]+)\]|({_LABEL}(?:\.{_LABEL})*)\.?)(?::[0-9]*)?")
MAX_NAME = 253
"""Characters. The name system has no longer names, nor labels of over 63: RFC 1035, 3.1."""
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))

Address = IPv4Address | IPv6Address


class HostNames:
    """The names of the server of these settings: those that Ollama answers to, those of the address
    that it listens on, and `server.allowed_hosts`.
    """

    def __init__(self, server: ServerConfig) -> None:
        names = {host_name(_sent(name)) for name in (*server.allowed_hosts, server.host)} - {""}
        self._names = frozenset({*names, "localhost", socket.gethostname().lower()})
        self._any = ANY in server.allowed_hosts
        bound = _address(server.host)
        # No name that somebody else owns can be an address: it cannot be made to point here.
        self._any_address = not server.host or (bound is not None and bound.is_unspecified)

    def allow(self, host: str) -> bool | None:
        """Whether a request with this Host header may be answered; None if it names no host."""
        name = host_name(host)
        if not name:
            return None
        if self._any or name in self._names:
            return True
        if (address := _address(name)) is not None:
            return self._any_address or _is_local(address)
        return name.endswith(_LOCAL_ENDS)


def host_name(host: str) -> str:
    """The name in a Host header, in lower case, without port, brackets and a final dot. Empty if
    no host can have it: what reads such a header may fail, or take it for another one.
    """
    if host.count(":") > 1 and not host.startswith("["):
        return _if_address(host.lower())
    if not (parts := _WITH_PORT.fullmatch(host.lower())):
        return ""
    if parts[1]:
        return _if_address(parts[1])
    return parts[2] if len(parts[2]) <= MAX_NAME else ""


def _if_address(name: str) -> str:
    """The name, if it is an address of IPv6: no other has colons or brackets."""
    return name if isinstance(_address(name), IPv6Address) else ""


def _sent(name: str) -> str:
    """A name as clients send it: what is not ASCII is encoded (IDNA, RFC 3490)."""
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def _is_local(address: Address) -> bool:
    """Whether the address is of this machine, or of a private network."""
    plain = getattr(address, "ipv4_mapped", None) or address
    if plain.is_loopback or plain.is_unspecified:
        return True
    return any(plain in network for network in _PRIVATE) or _is_of_this_machine(address)


def _is_of_this_machine(address: Address) -> bool:
    """Whether a network interface has the address: then a socket can be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _address(name: str) -> Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
