"""What reaches the backend, and what comes back, is what a direct call sends and gets."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from oq.backends.simulated.model_files import ModelFiles
from tests.dropin.bodies import Sent, calls
from tests.dropin.ways import direct

EVERY_CALL = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
COUNTS = b'"stream_options":{"include_usage":true}'
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
    assert passed_on in upstream(call)
    assert as_told(call, answers[1]) == as_told(call, answers[0])
    machine.simulator.calls.clear()


def ask(http: httpx.Client, call: Sent) -> httpx.Response:
    return http.post(call.path, content=call.body, headers=HEADERS)


def upstream(call: Sent) -> list[bytes]:
    """What may reach the backend. Only `stream` is another, and that only of a call which did not
    stream; with OpenAI's, who then gets counts anyway, these are asked for.
    """
    if call.streams in (True, None):
        return [call.body]
    if call.stream is None:
        bodies = [with_first(call.before, b'"stream":true')]
    else:
        bodies = [call.before + b"true" + call.after]
    if call.path.startswith("/v1/"):
        bodies = [with_first(body, COUNTS) for body in bodies]
    return bodies


def with_first(body: bytes, member: bytes) -> bytes:
    """The object with one more member, before all others."""
    begin = body.index(b"{") + 1
    return body[:begin] + member + b"," + body[begin:]


def as_told(call: Sent, answer: httpx.Response) -> tuple[object, ...]:
    """An answer as it is compared: byte by byte, but for one of OpenAI's that did not stream. Its
    members may come in another order, since oq puts it together from a stream.
    """
    body: object = answer.content
    openais = call.path.startswith("/v1/")
    if openais and call.streams is False and answer.status_code == 200:
        body = json.loads(answer.content)
    return answer.status_code, answer.headers["content-type"], body
