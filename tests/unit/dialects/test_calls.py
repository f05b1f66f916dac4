"""What oq reads of a call's body."""

from __future__ import annotations

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
