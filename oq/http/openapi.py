"""The table of routes as an OpenAPI 3.1 document: https://spec.openapis.org/oas/v3.1.1"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from inspect import cleandoc, getdoc
from typing import Any, get_args, get_origin

import msgspec
from msgspec import UNSET, Raw, Struct

from oq.http.responses import ErrorAnswer
from oq.http.routes import Parameter, Route

_REF = "#/components/schemas/{name}"
_IN_PATH = re.compile(r"{(\w+)}")
# What the guard, the body's reader and the last resort answer on any path.
_ALWAYS = (403, 500)

Json = dict[str, Any]


def document(routes: Iterable[Route]) -> Json:
    """The document that describes these routes."""
    routes = tuple(routes)
    types = list(dict.fromkeys(_types(routes)))
    described = map(_described, types)
    schemas, components = msgspec.json.schema_components(described, ref_template=_REF)
    _require_what_is_sent(routes, components)
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
            unset = {one.name for one in msgspec.structs.fields(struct) if one.default is UNSET}
            shape["required"] = [name for name in shape["properties"] if name not in unset]


def _structs(kind: Any) -> Iterable[type[Struct]]:
    """The structs of which a type is made."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
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
    for status in sorted({*route.errors, *_ALWAYS}):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": error}
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
    """The type with its undecoded fields as what they hold: all of them are JSON objects."""
    if get_origin(kind) is list:
        return list[_described(get_args(kind)[0])]  # type: ignore[misc]
    if isinstance(kind, type) and issubclass(kind, Struct):
        if any(_is_raw(field.type) for field in msgspec.structs.fields(kind)):
            return _without_raw(kind)
    return kind


@cache  # one type for each: two of the same name would be two schemas
def _without_raw(kind: type[Struct]) -> type[Struct]:
    shown: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(kind):
        if not _is_raw(field.type):
            default = () if field.required else (field.default,)
            shown.append((field.name, field.type, *default))
        elif field.required:
            shown.append((field.name, dict[str, Any]))
        else:
            shown.append((field.name, dict[str, Any] | None, None))
    described = msgspec.defstruct(kind.__name__, shown, kw_only=True)
    described.__doc__ = kind.__doc__
    return described


def _is_raw(kind: Any) -> bool:
    return kind is Raw or Raw in get_args(kind)
