"""Variables that are not oq's settings, although they look so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

CLIENTS = ("OQ_SERVER",)
"""Variables that only the clients read."""

# Kubernetes tells each container of each service: one that is called oq-server sets
# OQ_SERVER_PORT=tcp://10.0.0.1:7125, OQ_SERVER_SERVICE_HOST, OQ_SERVER_PORT_7125_TCP and more.
_SERVICE_NAME = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_[0-9]+_(TCP|UDP|SCTP)")
_SERVICE_VALUE = re.compile(r"(tcp|udp|sctp)://")


def read_variable(name: str, environ: Mapping[str, str]) -> str:
    """The variable's text; empty if it is not set, or not meant for oq. Quotes around it are left
    out, as Ollama does it: what runs a service may keep them.
    """
    text = environ.get(name, "").strip().strip("\"'")
    return "" if name.endswith("_PORT") and _SERVICE_VALUE.match(text) else text


def unread(environ: Mapping[str, str], known: Iterable[str]) -> Iterator[str]:
    """A remark for each variable that is named as oq's are, and sets nothing."""
    names = {*known, *CLIENTS}
    for name in sorted(environ):
        if name.startswith("OQ_") and name not in names and not _is_of_a_service(name, environ):
            yield f"{name} sets nothing" + _meant(name, names)


def _is_of_a_service(name: str, environ: Mapping[str, str]) -> bool:
    return bool(_SERVICE_NAME.search(name) or _SERVICE_VALUE.match(environ[name]))


def _meant(name: str, names: set[str]) -> str:
    """The variable that may be meant: its end counts, as in OQ_LOG_LEVEL."""
    bare = name.removeprefix("OQ_")
    close = [bare] if bare in names else get_close_matches(name, sorted(names), n=1)
    return f"; did you mean {close[0]}?" if close else ""
