"""Where the server is."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from oq.words.config import ServerConfig
from oq.words.errors import InvalidConfig

DEFAULT_SERVER = f"http://{ServerConfig().host}:{ServerConfig().port}"

# To listen on every address is one thing; to connect, there has to be a particular one.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


def server_url(server: str) -> str:
    """The base URL in what people write: ``localhost:7125``, ``:7125``, ``http://box/oq``.

    InvalidConfig if it is no address, or carries a password, which error messages would show.
    Without a scheme it is http, and then without a port 7125.
    """
    if not isinstance(server, str):
        raise no_address(repr(server))
    text = server.strip()
    bare = "://" not in text
    try:
        parts = urlsplit(f"http://{text}" if bare else text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise no_address(server) from None
    if parts.scheme not in ("http", "https") or not text or any(map(str.isspace, text)):
        raise no_address(server)
    if parts.query or parts.fragment or "@" in parts.netloc or (not host and port is None):
        raise no_address(server)
    if port is None and bare:
        port = ServerConfig().port
    return f"{parts.scheme}://{_authority(host, port)}{parts.path.rstrip('/')}"


def listening_url(config: ServerConfig) -> str:
    """The URL at which a server with these settings is reached from the same machine."""
    return f"http://{_authority(config.host, config.port)}"


def connecting(url: str) -> dict[str, Any]:
    """What httpx's clients are told about each connection to a server of oq."""
    return {
        "base_url": url,
        "trust_env": False,  # a proxy meant for the internet must not see a local queue
        "verify": url.startswith("https:"),  # loading certificates takes 20 ms
        "headers": {"User-Agent": "oq"},
    }


def _authority(host: str, port: int | None) -> str:
    host = _LOOPBACK.get(host, host)
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def no_address(server: str) -> InvalidConfig:
    """What is said of a server address that is none, without the password in it."""
    _, at, host = server.rpartition("@")
    shown = f"***@{host}" if at else server
    return InvalidConfig(
        f"{shown[:80]!r} is not a server address; write localhost:7125 or http://host:7125"
    )
