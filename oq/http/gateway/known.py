"""The requests of Ollama's and OpenAI's APIs that are no tasks, and what each of them does.

What is on no list is not passed on: a server that runs models may answer more than its API says,
and whatever listens at its address may be something else by now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from werkzeug.exceptions import MethodNotAllowed, NotFound

from oq.words.calls import CALLS, Dialect

_MODELS = "changes the models of the backend"
_ACCOUNT = "is about the backend's account at ollama.com"


class Known(NamedTuple):
    """One request. `does` is what it does that `gateway.allow_admin` must allow; None if it only
    reads. The last part of a path in braces stands for any name.
    """

    method: str
    path: str
    summary: str
    does: str | None = None


KNOWN = (
    Known("GET", "/api/tags", "The models of the backend"),
    Known("GET", "/api/ps", "The models that it has in memory"),
    Known("GET", "/api/version", "Its version"),
    Known("POST", "/api/show", "All about one model"),
    Known("GET", "/v1/models", "The models of the backend, as OpenAI lists them"),
    Known("GET", "/v1/models/{model}", "One of them"),
    Known("POST", "/api/pull", "Fetch a model", _MODELS),
    Known("POST", "/api/push", "Publish a model", _MODELS),
    Known("POST", "/api/create", "Make a model", _MODELS),
    Known("POST", "/api/copy", "Give a model another name", _MODELS),
    Known("DELETE", "/api/delete", "Delete a model", _MODELS),
    Known("HEAD", "/api/blobs/{digest}", "Whether a file is there"),
    Known("POST", "/api/blobs/{digest}", "Upload a file", _MODELS),
    Known("POST", "/api/me", "Who is signed in", _ACCOUNT),
    Known("POST", "/api/signout", "Sign out", _ACCOUNT),
    Known("DELETE", "/api/user/keys/{key}", "Sign out", _ACCOUNT),
)
"""As the document at /openapi.json lists them."""

_NAMES = {
    "{model}": re.compile(r"[^%?#\\]+"),  # there may be slashes in it
    "{digest}": re.compile(r"[0-9a-z]+[:-][0-9A-Fa-f]+"),
    "{key}": re.compile(r"[0-9A-Za-z_=-]+"),
}
"""What may stand for each, once it is decoded."""


def find(method: str, path: str, raw: str) -> Known:
    """What is asked for by this path, `raw` as it was sent and `path` decoded.

    NotFound if it is not known, MethodNotAllowed if it is only by other methods.
    """
    call = CALLS.get(path)
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


def _all() -> Iterator[Known]:
    for known in KNOWN:
        yield known
        if known.method == "GET":
            yield known._replace(method="HEAD")
    for call in CALLS.values():  # posted to it is a task; how it is asked, Ollama says itself
        if call.dialect is Dialect.OLLAMA:
            yield Known("GET", call.path, "")
            yield Known("HEAD", call.path, "")


_BY_PLACE: dict[str, dict[str, Known]] = {}
for _one in _all():
    _BY_PLACE.setdefault(_one.path, {})[_one.method] = _one

_PREFIXES = {
    place[: place.index("{")]: place[place.index("{") :] for place in _BY_PLACE if "{" in place
}
