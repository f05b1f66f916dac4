"""The server does what /openapi.json says: schemathesis draws right and wrong requests from it,
and judges the answers.

The seed is fixed, so a failure comes again. To look for more, run it with other seeds:
``OQ_SCHEMA_SEED=7 make test ARGS=tests/http/test_schema.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from oq.http.app import openapi
from oq.http.gateway.openapi import GATEWAY
from tests.support.servers import served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("schema"),
    # The server is a thread of this process, and has random numbers of its own to draw.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies"),
]

SEED = int(os.environ.get("OQ_SCHEMA_SEED", "0"))
EXAMPLES = 6
"""Requests of each kind for each operation."""
ENDLESS = {"GET /api/events", "GET /ws"}
"""Feeds: a request that is right is answered for ever."""

DOCUMENT: dict[str, Any] = msgspec.json.decode(openapi())
OPERATIONS = {
    one.label: one
    for one in (each.ok() for each in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())
    if one.label not in ENDLESS
}
FOR_THE_BACKEND = {f"{route.method} {route.path}" for route in GATEWAY}
"""What is right is the backend's to judge, which has rules of its own."""
UNSAID = {"GET /api/tasks", "POST /api/tasks/batch"}
"""What no schema can say: `after` has another form for each `sort`; an idempotency key in a batch
may belong to a task that an earlier example has stored."""


def ways() -> Iterator[Any]:
    """Each operation with right requests, and with wrong ones if it takes anything."""
    for label, one in OPERATIONS.items():
        yield pytest.param(label, GenerationMode.POSITIVE, id=f"{label} right")
        if one.query or one.headers or one.body:
            yield pytest.param(label, GenerationMode.NEGATIVE, id=f"{label} wrong")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(server={"port": 0, "max_wait": 0.01}) as server:
        yield server.url


@pytest.mark.parametrize(("label", "mode"), list(ways()))
def test_the_server_does_what_the_document_says(label: str, mode: GenerationMode, url: str):
    # oq takes some requests that the document does not have, such as a priority in a text.
    excluded = [negative_data_rejection]
    if label in FOR_THE_BACKEND | UNSAID:
        excluded.append(positive_data_acceptance)

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        case.body = as_written(case.body)
        case.headers.pop("X-OQ-Timeout", None)  # a nanosecond of time is answered with a 502
        case.validate_response(answer(case, url), excluded_checks=excluded)

    try:
        holds()
    finally:  # in whatever order these tests run
        requests.post(f"{url}/api/queue/resume", timeout=10).raise_for_status()
        for model in requests.get(f"{url}/api/status", timeout=10).json()["paused_models"]:
            body = {"model": model}
            requests.post(f"{url}/api/models/resume", json=body, timeout=10).raise_for_status()


def answer(case: Any, url: str) -> Any:
    """The answer to the request. If there is none, it is said what the queue does instead."""
    try:
        return case.call(base_url=url, timeout=10)
    except requests.Timeout:
        looks = ("/api/status", "/api/tasks?status=running", "/api/tasks?status=pending")
        said = [requests.get(url + path, timeout=10).text[:3000] for path in looks]
        pytest.fail(f"no answer to {case.method} {case.path}: {case.body!r}; {said}")


def as_written(value: Any) -> Any:
    """The value with its whole numbers as people write them. For JSON Schema 5.0 is an integer."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: as_written(part) for key, part in value.items()}
        case list():
            return [as_written(part) for part in value]
        case _:
            return value
