"""The document at /openapi.json: valid, complete, and true."""

from __future__ import annotations

from typing import Any

import msgspec
from openapi_spec_validator import OpenAPIV31SpecValidator

from oq.dialects import ENDPOINTS, dialect_at
from oq.http.gateway.openapi import GATEWAY
from oq.http.openapi import document
from oq.http.responses import ErrorAnswer
from oq.http.routes import ROUTES
from tests.support.http import GENERATE, api

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document((*ROUTES, *GATEWAY))))


def test_it_is_valid():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


async def test_every_route_is_in_it_and_nothing_else():
    async with api() as oq:
        served = {
            (method, rule.rule.replace("<", "{").replace(">", "}"))
            for rule in oq.app.url_map.iter_rules()
            for method in (rule.methods or {"GET"}) - {"HEAD", "OPTIONS"}
        }
    described = {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item
    }
    beyond = {(route.method, route.path) for route in GATEWAY}  # whose door looks at no table
    assert served | beyond == described
    assert {("POST", path) for path in ENDPOINTS} <= beyond


def test_every_call_says_what_it_does_and_has_its_own_name():
    operations = [operation for item in DOCUMENT["paths"].values() for operation in item.values()]
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["responses"]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))


def test_errors_have_one_shape():
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    schema = response["content"]["application/json"]["schema"]
                    dialect = dialect_at(path)
                    shape = (dialect and dialect.error_shape) or ErrorAnswer
                    assert schema["$ref"].endswith(f"/{shape.__name__}"), (path, status)


def test_a_submission_is_described_field_by_field():
    submission = DOCUMENT["components"]["schemas"]["Submission"]
    assert set(submission["required"]) == {"type", "model", "payload"}
    assert submission["properties"]["payload"] == {"type": "object"}
    kinds = [kind["type"] for kind in submission["properties"]["options"]["anyOf"]]
    assert kinds == ["object", "null"]
    assert {"priority", "run_at", "timeout", "metadata", "max_retries"} <= set(
        submission["properties"]
    )


async def test_a_task_has_the_fields_that_are_described():
    schema = DOCUMENT["components"]["schemas"]["Task"]
    async with api() as oq:
        task = await oq.ended(await oq.submit({**GENERATE, "metadata": {"a": 1}}))
        assert set(task) <= set(schema["properties"])
        assert set(schema["required"]) <= set(task)


async def test_it_is_served():
    async with api() as oq:
        reply = await oq.get("/openapi.json")
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.json == DOCUMENT


def test_an_answer_has_all_its_fields_unless_its_type_leaves_them_out():
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["Point"]["required"]) == set(schemas["Point"]["properties"])
    assert set(schemas["Usage"]["required"]) == {"prompt_tokens", "completion_tokens"}
    assert "error" not in schemas["BackendStatus"]["required"], "one that is up has none"
