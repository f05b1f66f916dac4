"""What oq reads of a call's body."""

from __future__ import annotations

import pytest

from oq.dialects import ENDPOINTS, as_shown
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
    assert call.dialect.read(call, body) == ("m", streams, "")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"{}", b'{"model": ""}', b'{"model": 3}', b"null", b"[" * 10_000, b"\xff"],
)
def test_what_cannot_be_read_is_left_to_the_backend(body):
    assert CHAT.dialect.read(CHAT, body) == ("", True, "")


@pytest.mark.parametrize(
    "body",
    [
        b'{"Model": "m", "STREAM": false}',
        b'{"model": "m", "stream": false} {"model": "other"}',
        b'\n{"model": "m", "stream": false} and more',
        b'{"model": "m", "a": "\xe9", "stream": false}',
        b'{"model": "m", "a": 1e999, "stream": false}',
        b'{"model": "m", "a": %b, "stream": false}' % (b"1" * 5000),
        b'{"model": "m", "a": "\\ud83d", "stream": false}',
        b'{"model": "other", "stream": false, "Model": "m"}',
        b'{"model": "other", "model": "m", "stream": false}',
    ],
)
def test_a_body_is_read_as_lenient_servers_read_it(body):
    assert CHAT.dialect.read(CHAT, body) == ("m", False, "")


WITH_OPTIONS = b'{"model": "m", "options": {"num_ctx": 8, "seed": 1}, "shift": false}'


@pytest.mark.parametrize(
    ("path", "load"),
    [
        ("/api/chat", "num_ctx=8,shift=false"),
        ("/api/generate", "num_ctx=8,shift=false"),
        ("/api/embed", "num_ctx=8"),
        ("/api/embeddings", "num_ctx=8"),
        *((path, "") for path in ENDPOINTS if not path.startswith("/api/")),
    ],
)
def test_what_of_a_call_is_another_load(path, load):
    call = ENDPOINTS[path]
    assert call.dialect.read(call, WITH_OPTIONS).load == load


def test_options_behind_a_long_prompt_are_read():
    long = WITH_OPTIONS.replace(b"{", b'{"images": ["%b"], ' % (b"A" * 500_000), 1)
    assert CHAT.dialect.read(CHAT, long).load == "num_ctx=8,shift=false"
    named = long.replace(b'"shift"', b'"Shift"')
    assert CHAT.dialect.read(CHAT, named) == ("m", True, "num_ctx=8")  # the model comes first


def test_a_large_odd_body_is_read_in_linear_time():
    """Half a megabyte of what might be a key in another case."""
    body = b'{"model": "m", "stream": false, "a": "%b"}\xff' % (b'\\"Model\\" ' * 50_000)
    assert CHAT.dialect.read(CHAT, body) == ("m", False, "")


@pytest.mark.parametrize("path", [*ENDPOINTS, "/v1/of-a-newer-version"])
def test_it_is_shown_as_other_tasks_are(path):
    body = b'{"model": "m", "b": [1 , 2], "stream": false, "options": {"seed": 1}, "a": "x"}'
    shown = as_shown(Body(body, call=path))
    assert (shown.payload, shown.options) == (b'{"b":[1 , 2],"a":"x"}', b'{"seed": 1}')
    assert as_shown(Body(b'{"model": "m", "options": null}', call=path)).options == b"{}"
