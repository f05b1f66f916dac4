"""Where a backend listens, from the forms in which people write it.

As Ollama reads OLLAMA_HOST: a bare host gets port 11434, ``http://`` means 80 and ``https://``
443 unless a port is named, and 0.0.0.0, where a server listens, is called as 127.0.0.1:
https://github.com/ollama/ollama/blob/main/envconfig/config.go
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from oq.words.errors import InvalidConfig

OLLAMA_PORT = 11434

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?")
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - they are replaced, not bound


def base_url(text: str, *, default_port: int = OLLAMA_PORT) -> str:
    """``http://host:port`` and a path if there is one, without a slash at the end.

    `default_port` is for a host without a scheme. InvalidConfig says what is wrong with `text`.
    """
    if "@" in text:  # before anything else is said: what says it may show the text
        raise InvalidConfig(
            "a backend's url must not contain a user or password; use api_key instead"
        )
    written = text.strip().strip("\"'").strip()
    scheme, separator, _ = written.partition("://")
    bare = not separator
    parts, port = _split(f"http://{_bracketed(written)}" if bare else written)
    host = parts.hostname or ""
    # urlsplit drops control characters without a word.
    odd = not written.isprintable() or (not bare and scheme.lower() not in ("http", "https"))
    if odd or not _HOST.fullmatch(host) or not all(_labels(host)):
        raise InvalidConfig(
            f"{text!r} is not the address of a backend; write host, host:port or http://host:port"
        )
    if parts.query or parts.fragment:
        raise InvalidConfig("a backend's url must not contain ? or #")
    host = _WILDCARDS.get(host, host)
    if port is None:
        port = default_port if bare else {"http": 80, "https": 443}[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port}{parts.path.rstrip('/')}"


def check_api_key(key: str | None) -> str | None:
    """The key, if it can stand in a header. InvalidConfig otherwise, which does not show it."""
    if key is None or (key.isascii() and key.isprintable() and key.strip() == key and key):
        return key
    raise InvalidConfig("an api_key must be printable ASCII without spaces around it")


def _labels(host: str) -> list[str]:
    """What is between the dots; a name may end with one. The name system has none that is empty."""
    return host.removesuffix(".").split(".")


def _bracketed(host: str) -> str:
    """An IPv6 address in brackets, as a URL wants it; anything else as it is."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidConfig(f"a backend's url is wrong: {error}") from None
    return parts, port
