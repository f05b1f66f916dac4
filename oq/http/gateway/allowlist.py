"""Lists the requests of Ollama's and OpenAI's APIs that oq passes on to a backend.

oq passes nothing else on: a backend may answer more than its API says, and another program may
listen at its address by now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from werkzeug.exceptions import MethodNotAllowed, NotFound

from oq.words.endpoints import ENDPOINTS, Dialect

_MODELS = "changes the models of the backend"
_ACCOUNT = "is about the backend's account at ollama.com"


class AllowedRequest(NamedTuple):
    """One request. `admin_effect` says what it changes, which `gateway.allow_admin` must allow;
    None if it only reads. A last part of the path in braces stands for any name.
    """

    method: str
    path: str
    summary: str
    admin_effect: str | None = None


ALLOWED = (
    AllowedRequest("GET", "/api/tags", "The models of the backend"),
    AllowedRequest("GET", "/api/ps", "The models that it has in memory"),
    AllowedRequest("GET", "/api/version", "Its version"),
    AllowedRequest("POST", "/api/show", "All about one model"),
    AllowedRequest("GET", "/v1/models", "The models of the backend, as OpenAI lists them"),
    AllowedRequest("GET", "/v1/models/{model}", "One of them"),
    AllowedRequest("POST", "/api/pull", "Fetch a model", _MODELS),
    AllowedRequest("POST", "/api/push", "Publish a model", _MODELS),
    AllowedRequest("POST", "/api/create", "Make a model", _MODELS),
    AllowedRequest("POST", "/api/copy", "Give a model another name", _MODELS),
    AllowedRequest("DELETE", "/api/delete", "Delete a model", _MODELS),
    AllowedRequest("HEAD", "/api/blobs/{digest}", "Whether a file is there"),
    AllowedRequest("POST", "/api/blobs/{digest}", "Upload a file", _MODELS),
    AllowedRequest("POST", "/api/me", "Who is signed in", _ACCOUNT),
    AllowedRequest("POST", "/api/signout", "Sign out", _ACCOUNT),
    AllowedRequest("DELETE", "/api/user/keys/{key}", "Sign out", _ACCOUNT),
)
"""As the document at /openapi.json lists them."""

_NAMES = {
    "{model}": re.compile(r"[^%?#\\]+"),  # there may be slashes in it
    "{digest}": re.compile(r"[0-9a-z]+[:-][0-9A-Fa-f]+"),
    "{key}": re.compile(r"[0-9A-Za-z_=-]+"),
}
"""What may stand for each, once it is decoded."""


def find(method: str, path: str, raw: str) -> AllowedRequest:
    """What is asked for by this path, `raw` as it was sent and `path` decoded.

    NotFound if it is not known, MethodNotAllowed if it is only by other methods.
    """
    call = ENDPOINTS.get(path)
    if call is not None and (call.dialect is Dialect.OPENAI or method not in ("GET", "HEAD")):
        raise MethodNotAllowed(["POST"])
    place = _place(path, raw)
    methods = _BY_PLACE.get(place)
    if methods is None:
        raise NotFound
    if method not in methods:
        raise MethodNotAllowed(sorted(methods))
    return methods[method]


def _place(path: str, raw: str) -> str:
    """The path of the list that this one is: its fixed parts must be written out."""
    if raw in _BY_PLACE:
        return raw
    for prefix, name in _PREFIXES.items():
        if raw.startswith(prefix) and _NAMES[name].fullmatch(path, len(prefix)):
            return prefix + name
    return ""


def _all() -> Iterator[AllowedRequest]:
    for allowed in ALLOWED:
        yield allowed
        if allowed.method == "GET":
            yield allowed._replace(method="HEAD")
    for call in ENDPOINTS.values():  # posted to it is a task; how it is asked, Ollama says itself
        if call.dialect is Dialect.OLLAMA:
            yield AllowedRequest("GET", call.path, "")
            yield AllowedRequest("HEAD", call.path, "")


_BY_PLACE: dict[str, dict[str, AllowedRequest]] = {}
for _one in _all():
    _BY_PLACE.setdefault(_one.path, {})[_one.method] = _one

_PREFIXES = {
    place[: place.index("{")]: place[place.index("{") :] for place in _BY_PLACE if "{" in place
}
