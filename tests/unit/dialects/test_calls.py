"""What oq reads of a call's body, and the one thing that it changes."""

from __future__ import annotations

import json

import pytest

from oq.dialects import ENDPOINTS, as_shown
from oq.words.errors import InvalidTask
from oq.words.task import Body

CHAT, GENERATE, EMBED = (ENDPOINTS[f"/api/{name}"] for name in ("chat", "generate", "embed"))
COMPLETIONS = ENDPOINTS["/v1/chat/completions"]


@pytest.mark.parametrize(
    ("call", "said", "streams"),
    [
        (CHAT, "", True),
        (CHAT, ', "stream": null', True),
        (CHAT, ', "stream": false', False),
        (GENERATE, ', "stream": true', True),
        (EMBED, ', "stream": true', False),
        (COMPLETIONS, "", False),
        (COMPLETIONS, ', "stream": true', True),
    ],
)
def test_whether_a_call_streams(call, said, streams):
    body = f'{{"model": "m"{said}}}'.encode()
    assert call.dialect.read(call, body) == ("m", streams)
    if streams or call is EMBED:
        assert call.dialect.upstream(call, body) is body


def test_a_call_that_does_not_stream_does_upstream():
    body = b'{"model": "m", "stream": false, "messages": [ ]}'
    assert CHAT.dialect.upstream(CHAT, body) == b'{"model": "m", "stream": true, "messages": [ ]}'


def test_a_call_of_openais_keeps_its_counts():
    assert json.loads(COMPLETIONS.dialect.upstream(COMPLETIONS, b'{"model": "m", "n": 2}')) == {
        "stream_options": {"include_usage": True},
        "stream": True,
        "model": "m",
        "n": 2,
    }
    given = b'{"model": "m", "stream": false, "stream_options": {"x": 1}}'
    assert json.loads(COMPLETIONS.dialect.upstream(COMPLETIONS, given))["stream_options"] == {
        "x": 1,
        "include_usage": True,
    }


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'{"model": ""}', b'{"model": 3}'])
def test_what_is_no_call_is_refused(body):
    with pytest.raises(InvalidTask):
        CHAT.dialect.read(CHAT, body)


@pytest.mark.parametrize("path", [*ENDPOINTS, "/v1/of-a-newer-version"])
def test_it_is_shown_as_other_tasks_are(path):
    body = b'{"model": "m", "b": [1 , 2], "stream": false, "options": {"seed": 1}, "a": "x"}'
    shown = as_shown(Body(body, call=path))
    assert (shown.payload, shown.options) == (b'{"b":[1 , 2],"a":"x"}', b'{"seed": 1}')
    assert as_shown(Body(b'{"model": "m", "options": null}', call=path)).options == b"{}"
