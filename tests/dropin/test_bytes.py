"""What reaches the backend, and what comes back, is what a direct call sends and gets."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from oq.backends.simulated.model_files import ModelFiles
from tests.dropin.bodies import Sent, calls
from tests.dropin.ways import direct

EVERY_CALL = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEADERS = {"content-type": "application/json", "accept": "*/*"}


@pytest.fixture
def straight(machine):
    """Directly to a machine on which every model exists."""
    machine.simulator.model_files = ModelFiles()
    with direct(machine) as way:
        yield way


@EVERY_CALL
@given(calls())
def test_200_calls(straight, through, machine, call):
    answers = [ask(way.http, call) for way in (straight, through)]
    sent, passed_on = (asked.body for asked in machine.calls[-2:])
    assert sent == call.body
    assert passed_on == call.body
    assert as_told(answers[1]) == as_told(answers[0])
    machine.simulator.calls.clear()


def ask(http: httpx.Client, call: Sent) -> httpx.Response:
    return http.post(call.path, content=call.body, headers=HEADERS)


def as_told(answer: httpx.Response) -> tuple[object, ...]:
    return answer.status_code, answer.headers["content-type"], answer.content
