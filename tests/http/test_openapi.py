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


def test_an_attempt_says_where_its_time_went():
    attempt = DOCUMENT["components"]["schemas"]["Attempt"]
    assert {"first_token_at", "waited_inside", "load"} <= attempt["properties"].keys()
    assert "waited_inside" in attempt["description"]
    assert attempt["required"] == ["started_at"]


def test_calls_that_may_be_translated_say_where_is_told_what_was_left_out():
    told = {
        path
        for path, operations in DOCUMENT["paths"].items()
        if "X-OQ-Left-Out" in operations.get("post", {}).get("description", "")
    }
    assert told == {"/v1/responses", "/v1/messages"}


def test_errors_have_one_shape():
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            for status, response in operation["responses"].items():
                if status != "default" and int(status) >= 400:
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


def test_what_is_checked_is_described():
    schemas = DOCUMENT["components"]["schemas"]
    for path in ENDPOINTS:
        body = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        required = schemas[body["schema"]["$ref"].rpartition("/")[2]].get("required", [])
        assert ("model" in required) is (ENDPOINTS[path].model is None)
    submitted = schemas["Submission"]["properties"]["type"]
    assert submitted["enum"] == ["chat", "embed", "generate"]
    assert set(submitted["enum"]) < set(schemas["TaskType"]["enum"])
    number, names = schemas["Submission"]["properties"]["priority"]["anyOf"]
    assert number == {"type": "integer", "minimum": 0, "maximum": 100}
    assert set(names["enum"]) == {"low", "normal", "high", "critical"}
    listing = {
        one["name"]: one["schema"] for one in DOCUMENT["paths"]["/api/tasks"]["get"]["parameters"]
    }
    assert listing["limit"] == {"type": "integer", "minimum": 1, "maximum": 10_000}
    assert listing["offset"]["minimum"] == 0
    assert listing["since"]["format"] == "date-time"
    [wait] = (
        one
        for one in DOCUMENT["paths"]["/api/tasks/{task_id}"]["get"]["parameters"]
        if one["name"] == "wait"
    )
    assert "pattern" in wait["schema"]


def test_what_any_path_may_answer_is_declared():
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            told = set(operation["responses"])
            assert {"403", "405", "413", "500", "503"} <= told, path
            if "requestBody" in operation:
                assert "400" in told, (method, path)
            if "/api/tasks/{task_id}" in path or path in ENDPOINTS:
                assert "404" in told, (method, path)
            assert all(one["description"] for one in operation["responses"].values())
            assert (path in ENDPOINTS) <= ({"429", "503", "default"} <= told)


def test_its_words_are_explained():
    about = DOCUMENT["info"]["description"]
    for word in ("Task", "Backend", "Priority", "Attempt", "Chunk", "Event", "Call", "Duration"):
        assert f"**{word}**" in about
