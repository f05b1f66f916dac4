"""Finds a request among those that the dialects let oq pass on to a backend.

oq passes nothing else on: a backend may answer more than its API says, and another program may
listen at its address by now.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl

from werkzeug.exceptions import MethodNotAllowed, NotFound

from oq.dialects import DIALECTS, ENDPOINTS
from oq.dialects.base import AllowedRequest
from oq.http.request import Request

_ODD = ("", ".", "..")


def find(method: str, path: str, raw: str) -> AllowedRequest:
    """What is asked for by this path, `raw` as it was sent and `path` decoded.

    NotFound if it is not known, MethodNotAllowed if it is only by other methods.
    """
    known = _BY_PLACE.get(_place(path, raw), {})
    if method in known:
        return known[method]
    if methods := methods_at(path, raw):
        raise MethodNotAllowed(methods)
    raise NotFound


def methods_at(path: str, raw: str) -> list[str]:
    """The methods of the calls and of the requests on the list by this path, sorted; empty if
    nothing is there. A call is asked by POST, whatever else is passed on.
    """
    if path in ENDPOINTS:
        return ["POST"]
    return sorted(_BY_PLACE.get(_place(path, raw), ()))


def requests_at(path: str, raw: str) -> list[AllowedRequest] | None:
    """What is on the list by this path, whatever the method; None if nothing is there, no call
    either.
    """
    known = _BY_PLACE.get(_place(path, raw))
    return list(known.values()) if known else [] if path in ENDPOINTS else None


def is_odd(path: str) -> bool:
    """Whether a backend or a client might take it for another path than it looks like."""
    return not path.isprintable() or any(part in _ODD for part in path[1:].split("/"))


def named_in_target(allowed: AllowedRequest, request: Request) -> str:
    """The model that the path or the query of this request names; empty if it names none."""
    fixed, _, part = allowed.path.partition("{")
    if part == "model}":
        return request.path[len(fixed) :]
    query = parse_qsl(request.scope["query_string"].decode("latin-1")) if allowed.model_in else ()
    return next((value for name, value in query if name in allowed.model_in), "")


def _place(path: str, raw: str) -> str:
    """The path of the list that this one is: its fixed parts must be written out."""
    if raw in _BY_PLACE:
        return raw
    for prefix, (part, place) in _PREFIXES.items():
        if raw.startswith(prefix) and part.fullmatch(path, len(prefix)):
            return place
    return ""


def _all() -> Iterator[AllowedRequest]:
    for dialect in DIALECTS:
        for allowed in dialect.allowed:
            yield allowed
            if allowed.method == "GET":
                yield allowed._replace(method="HEAD")


_BY_PLACE: dict[str, dict[str, AllowedRequest]] = {}
for _one in _all():
    _BY_PLACE.setdefault(_one.path, {})[_one.method] = _one

_PREFIXES = {
    one.path.partition("{")[0]: (one.part, one.path) for one in _all() if one.part is not None
}
