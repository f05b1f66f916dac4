"""The table of routes as an OpenAPI 3.1 document: https://spec.openapis.org/oas/v3.1.1"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, reduce
from http import HTTPStatus
from importlib.metadata import version
from inspect import cleandoc, getdoc
from operator import or_
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, Raw, Struct
from msgspec.structs import fields

from oq.http.responses import ErrorAnswer
from oq.http.route import Parameter, Route
from oq.http.shapes import FIELDS, NEEDS_PRIORITY, ONE_OF_TWO, payload_rules

_REF = "#/components/schemas/{name}"
_IN_PATH = re.compile(r"{(\w+)}")
_ALWAYS = {
    403: "The Host or Origin header names a server or a page that may not ask",
    405: "The path does not take this method; the Allow header lists those that it takes",
    408: "The body did not arrive in time",
    413: "The body has more bytes than the setting queue.max_payload allows",
    500: "A fault of oq; the log has the reference that the error names",
    503: "The server is shutting down, cannot store anything now, or holds too many bodies, or the"
    " wait would be longer than X-OQ-Max-Wait; the Retry-After header has a number of seconds",
}
"""What any path may answer, and why."""
_WHY = {
    400: "The request is wrong; the error names the field or the parameter",
    404: "There is no such thing",
    409: "The state of the task, or an earlier request, does not allow it",
    410: "The task was removed",
    416: "The answer has no such part; the Content-Range header has its size",
    429: "As many tasks are pending as may be (queue.max_pending); the Retry-After header has a"
    " number of seconds",
    502: "The backend did not answer, or broke off",
    504: "There was no answer within the time of X-OQ-Timeout",
}
_ABOUT = """oq is a queue of tasks for servers that run large language models.

- **Task**: one prompt for a model, with all that belongs to it. It is stored on disk before its
  submission is answered, and runs when it is its turn. It is pending, running, completed, failed or
  cancelled.
- **Backend**: a server that runs models, such as Ollama or a llama.cpp server.
- **Priority**: tasks with a higher one run first. Those of the same priority run in the order of
  their submission.
- **Attempt**: one run of a task at a backend. If it fails for a reason that may pass, the task is
  retried: it is pending again until its `run_at`, and then has another attempt. It says where its
  time went: how long it waited inside the backend, and for the model to be loaded.
- **Chunk**, **offset**: a piece of what a task generates, and the number of bytes up to its end.
- **Event**, **seq**: what happened to a task, and the number of the event. Numbers grow.
- **Call**: a request of Ollama's or OpenAI's API. oq runs it as a task, and its answer is the
  backend's.
- **Duration**: a length of time, in seconds or as Go writes it: 30, 300ms, 1h30m.

Times are in the format of RFC 3339. An error is an object whose `error` says what happened, which
value caused it, and what to do; those of OpenAI's API have the form that its clients read.
"""

Json = dict[str, Any]


def document(routes: Iterable[Route]) -> Json:
    """The document that describes these routes."""
    routes = tuple(routes)
    types = list(dict.fromkeys(_types(routes)))
    described = map(_described, types)
    schemas, components = msgspec.json.schema_components(described, ref_template=_REF)
    _require_what_is_sent(routes, components)
    components["Submission"]["allOf"] = payload_rules()
    components["BulkRequest"] |= {"oneOf": ONE_OF_TWO, "allOf": [NEEDS_PRIORITY]}
    for shape in components.values():
        shape["description"] = cleandoc(shape.get("description", ""))
    schema = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "oq",
            "version": version("oq"),
            "summary": "A durable priority queue in front of LLM servers",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _require_what_is_sent(routes: Iterable[Route], components: dict[str, Json]) -> None:
    """An answer has all its fields, also those with defaults, unless its type leaves these out."""
    answers = {kind for route in routes for _, kind in route.answers.values()}
    for struct in {found for kind in answers for found in _structs(kind)}:
        if not struct.__struct_config__.omit_defaults:
            shape = components[struct.__name__]
            unset = {one.name for one in fields(struct) if one.default is UNSET}
            shape["required"] = [name for name in shape["properties"] if name not in unset]


def _structs(kind: Any) -> Iterable[type[Struct]]:
    """The structs of which a type is made."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        yield kind
        for field in fields(kind):
            yield from _structs(field.type)
    for part in get_args(kind):
        yield from _structs(part)


def _types(routes: Iterable[Route]) -> Iterable[Any]:
    yield ErrorAnswer
    for route in routes:
        yield from (kind for _, kind in route.answers.values() if kind is not None)
        yield from (parameter.type for parameter in (*route.query, *route.headers))
        if route.body is not None:
            yield route.body
        if route.error is not None:
            yield route.error
        if route.or_gives is not None:
            yield route.or_gives


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(route: Route, schema: dict[str, Json]) -> Json:
    operation: Json = {
        "operationId": route.name or route.handler.__name__,
        "summary": route.summary,
        "description": route.description or getdoc(route.handler),
        "responses": _responses(route, schema),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _IN_PATH.findall(route.path)
    ]
    parameters += [_parameter(one, "query", schema) for one in route.query]
    parameters += [_parameter(one, "header", schema) for one in route.headers]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {"application/json": {"schema": schema[_key(route.body)]}}
        for media, text in route.also_takes.items():
            content[media] = {"schema": {"type": "string", "description": text}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(route: Route, schema: dict[str, Json]) -> Json:
    responses: Json = {}
    for status, (text, kind) in route.answers.items():
        responses[str(status)] = {"description": text}
        if kind is not None:
            shapes = [schema[_key(one)] for one in (kind, route.or_gives) if one is not None]
            shape = {"schema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}}
            responses[str(status)]["content"] = dict.fromkeys(
                (route.media, *route.also_gives), shape
            )
    error = {"application/json": {"schema": schema[_key(route.error or ErrorAnswer)]}}
    if route.others:  # a server that lacks a path may say so in plain text
        error["text/plain"] = {"schema": {"type": "string"}}
    own = {*route.errors, *((400,) if route.strict or route.body is not None else ())}
    texts = {**{status: _WHY.get(status, HTTPStatus(status).phrase) for status in own}, **_ALWAYS}
    for status in sorted(texts):
        responses[str(status)] = {"description": texts[status], "content": error}
    if route.others:
        responses["default"] = {"description": route.others}
    return responses


def _parameter(parameter: Parameter, where: str, schema: dict[str, Json]) -> Json:
    one = schema[_key(parameter.type)]
    shape: Json = {
        "name": parameter.name,
        "in": where,
        "description": parameter.text,
        "schema": {"type": "array", "items": one} if parameter.many else one,
    }
    if parameter.many:
        shape |= {"style": "form", "explode": False}
    return shape


def _described(kind: Any) -> Any:
    """The type as the document has it: undecoded fields as the JSON objects that they hold, and
    those of `FIELDS` as what is checked.
    """
    if get_origin(kind) is list:
        return list[_described(get_args(kind)[0])]  # type: ignore[misc]
    if get_origin(kind) is Annotated:
        of, *rules = get_args(kind)
        return Annotated[(_described(of), *rules)]
    if isinstance(kind, UnionType):
        return reduce(or_, map(_described, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Struct):
        if kind.__name__ in FIELDS or any(_is_raw(one.type) for one in fields(kind)):
            return _as_checked(kind)
    return kind


@cache  # one type for each: two of the same name would be two schemas
def _as_checked(kind: type[Struct]) -> type[Struct]:
    checked = FIELDS.get(kind.__name__, {})
    shown: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in fields(kind):
        default = () if field.required else (None if _is_raw(field.type) else field.default,)
        if field.default_factory is not NODEFAULT:
            default = (msgspec.field(default_factory=field.default_factory),)
        if field.name in checked:
            shown.append((field.name, checked[field.name], *default))
        elif not _is_raw(field.type):
            shown.append((field.name, _described(field.type), *default))
        elif field.required:
            shown.append((field.name, dict[str, Any]))
        else:
            shown.append((field.name, dict[str, Any] | None, None))
    described = msgspec.defstruct(
        kind.__name__,
        shown,
        kw_only=True,
        forbid_unknown_fields=kind.__struct_config__.forbid_unknown_fields,
    )
    described.__doc__ = kind.__doc__
    return described


def _is_raw(kind: Any) -> bool:
    return kind is Raw or Raw in get_args(kind)
