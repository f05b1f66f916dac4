"""Where a path that is nearly one of a dialect's leads: Ollama sends such requests on with a 307.

Base URLs that end with a slash make paths like ``//api/chat``, and habits make ``/api/chat/``. The
rules are those of Go's ServeMux, which cleans paths, and of gin, which takes a slash from the end.
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple
from urllib.parse import unquote

from oq.dialects import dialect_at
from oq.http.gateway.allowlist import methods_at


class Redirect(NamedTuple):
    """An answer that leads to another path of this server, which begins with one slash."""

    status: int
    path: str


def redirect(method: str, target: str) -> Redirect | None:
    """Where a request by this path, as it was sent, is sent on to; None if it is not. Only paths
    of the dialects are.
    """
    if not (target.startswith("/") and target.isascii()):
        return None
    if (clean := _clean(target)) != target:
        return Redirect(307, clean) if dialect_at(unquote(clean)) is not None else None
    bare = target.removesuffix("/")
    if bare == target or method not in methods_at(unquote(bare), bare):
        return None
    return Redirect(301 if method == "GET" else 307, bare)


def _clean(target: str) -> str:
    """The path without empty and dot parts. A slash at its end stays."""
    if "//" not in target and "/." not in target:
        return target
    clean = posixpath.normpath("/" + target.lstrip("/"))
    return clean + "/" if target.endswith("/") and clean != "/" else clean
