"""A backend's key is shown nowhere, whatever the backend says, and no other word is touched."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from oq.backends.secrets import ScrubbedStream, Secret
from oq.dialects.answer_errors import MAX_QUOTED, MAX_TEXT, error_text, quoted
from oq.dialects.stated_errors import MAX_STATED
from oq.words.errors import BackendFailure
from tests.gateway.test_liars import KEY, http, lying
from tests.support.gateway import CHAT

LINE = b'{"model":"m","message":{"role":"assistant","content":"a"},"done":false}\n'
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
ODD = 'sk/very+secret="<0123>\\456&789"'


@pytest.mark.parametrize(
    "written",
    [
        ODD,
        json.dumps(ODD)[1:-1],
        json.dumps(ODD)[1:-1].replace("/", "\\/"),
        'sk/very+secret=\\"\\u003c0123\\u003e\\\\456\\u0026789\\"',
        "sk%2Fvery%2Bsecret%3D%22%3C0123%3E%5C456%26789%22",
        "sk%2fvery%2bsecret%3d%22%3c0123%3e%5c456%26789%22",
        json.dumps(ODD)[1:-1].replace("/", "\\u002f").replace("=", "\\u003D"),
        "".join(f"\\u{ord(each):04x}" for each in ODD),
        json.dumps(json.dumps(ODD)[1:-1])[1:-1],
        json.dumps("".join(f"\\u{ord(each):04X}" for each in ODD))[1:-1],
    ],
)
def test_a_key_is_found_in_every_form_in_which_servers_write_it(written):
    said = f"no such key: {written}, sorry".encode()
    assert Secret(ODD).scrub(said) == b"no such key: ***, sorry"


@pytest.mark.parametrize("key", [None, "-", "ollama", "fifteen-letters"])
def test_a_short_key_is_a_word(key):
    said = b"ollama - fifteen-letters None"
    assert Secret(key).scrub(said) == said
    assert Secret("sixteen--letters").scrub(b"a sixteen--letters b") == b"a *** b"


@given(st.lists(st.integers(0, 80)), st.booleans())
def test_a_key_is_found_wherever_the_network_cuts(cuts, keep_length):
    said = f"{KEY[:9]} {KEY}{KEY} {KEY[:-1]} end {KEY[:5]}".encode()
    stream, places = ScrubbedStream(Secret(KEY), keep_length=keep_length), sorted([*cuts, 0, 200])
    passed = [stream.feed(said[a:b]) for a, b in pairwise(places)]
    whole = b"".join([*passed, stream.rest()])
    mask = b"*" * len(KEY) if keep_length else b"***"
    assert whole == said.replace(KEY.encode(), mask)
    assert not keep_length or len(whole) == len(said)


@pytest.mark.parametrize(
    "given",
    [
        [f"Bearer {KEY}"], [f"Bearer {KEY} x"], [f"{KEY}"], [f"Bearer\t{KEY} ,"],
        [f'Token token="{KEY}"'], [f"Token token={KEY}, a=b"], [f"Bearer {KEY}", "Bearer x"],
        ["Basic short", f"Bearer {KEY}"],
    ],
)  # fmt: skip
def test_the_words_of_a_callers_header_are_keys(given):
    own = "of-oq-itself-0123456789"
    secret = Secret(own).with_those_in([(b"Authorization", each.encode()) for each in given])
    assert secret.scrub(f"no {KEY}, {own}; Bearer x".encode()) == b"no ***, ***; Bearer x"
    assert Secret(None).with_those_in([(b"x-key", KEY.encode())]).longest == 0


@pytest.mark.parametrize("written", ["é".encode("latin-1"), "é".encode(), b"\\u00e9", b"%E9"])
def test_a_key_may_have_any_bytes_that_a_header_can_have(written):
    given = [(b"authorization", b"Bearer sixteen-letters-\xe9")]
    said = b"no sixteen-letters-%b!" % written
    assert Secret().with_those_in(given).scrub(said) == b"no ***!"


def test_many_words_do_not_take_the_backends_key_out_of_the_secret():
    words = " ".join(f"{number:0>40}" for number in range(500))
    secret = Secret(KEY).with_those_in([(b"authorization", words.encode())])
    assert secret.scrub(f"{KEY} {0:0>40}".encode()) == b"*** ***"


def test_an_error_carries_no_key_in_its_text_or_its_body():
    with pytest.raises(BackendFailure) as caught, Secret(KEY).kept_from_errors():
        raise BackendFailure(f"key {KEY}", body=f"<{KEY}>".encode())
    assert (str(caught.value), caught.value.body) == ("key ***", b"<***>")


@pytest.mark.parametrize("before", range(len(KEY) + 2))
def test_a_text_is_not_cut_in_the_middle_of_a_key(before):
    """A half could not be recognised any more."""
    for cut, most in (
        (quoted, MAX_QUOTED), (lambda said: error_text(b'{"error":"%b"}' % said), MAX_TEXT)
    ):  # fmt: skip
        said = cut(b"x" * (most - before - 1) + b" " + KEY.encode() + b" and more")
        assert Secret(KEY).scrub_text(said).find("sk-") == -1


@pytest.mark.parametrize("before", [5, len(KEY) - 1, len(KEY)])
async def test_a_long_error_is_not_cut_in_the_middle_of_a_key(before):
    begin = b'{"error":"'
    said = begin + b"x " * ((MAX_STATED - before - len(begin)) // 2) + KEY.encode() + b' more"}'
    async with lying(http(said, "200 OK", "Content-Type: application/json")) as here:
        answer = await here.oq.post("/api/chat", json={**CHAT, "stream": False})
        assert len(answer.content) > MAX_STATED - 2 * len(KEY)
        assert b"sk-" not in answer.content


def everything_said(answer, task) -> str:
    return str([*answer.headers.items(), answer.text, json.dumps(task)])


ESCAPED = "".join(f"\\u{ord(each):04x}" for each in KEY)
BROKEN = [
    ("/api/chat", LINE, f'{{"error":"invalid key Bearer {KEY}"}}\n'),
    ("/api/chat", LINE, f'{{"error":"invalid key Bearer {KEY}"}}'),
    ("/api/chat", b"", f'{{"error":"invalid key Bearer {KEY}"}}'),
    ("/api/chat", b"", f"<html>invalid key Bearer {KEY}</html>"),
    ("/api/embed", b"", f'{{"error":"invalid key Bearer {KEY}"}}'),
    ("/v1/chat/completions", EVENT, f'data: {{"error":{{"message":"bad {KEY}"}}}}\n\n'),
    ("/v1/chat/completions", EVENT, f'data: {{"error":{{"message":"bad {KEY}"}}}}'),
    ("/v1/chat/completions", EVENT, f'error: {{"message":"bad {KEY}"}}\n\n'),
    ("/v1/chat/completions", EVENT, f'event: error\ndata: {{"message":"bad {KEY}"}}\n\n'),
    ("/v1/chat/completions", EVENT, f'data: {{"object":"error","message":"bad {KEY}"}}\n\n'),
    ("/v1/chat/completions", b"", f'{{"detail":"bad key {KEY}"}}'),
    ("/v1/chat/completions", b"", f'{{"error":{{"message":"bad {KEY}"}}}}'),
    ("/v1/embeddings", b"", f'{{"message":"bad {KEY}","code":401}}'),
    ("/v1/chat/completions", EVENT, f'data: {{"error":{{"message":"bad {ESCAPED}"}}}}\n\n'),
    ("/v1/chat/completions", b"", f'{{"error":"bad {ESCAPED}"}}'),
    ("/api/chat", LINE, f'{{"error":"bad {ESCAPED}"}}\n'),
    ("/v1/embeddings", b"", f'{{"message":"bad {ESCAPED}","code":401}}'),
]


@pytest.mark.parametrize(("path", "before", "error"), BROKEN)
@pytest.mark.parametrize("stream", [True, False])
async def test_no_error_under_200_shows_the_key(path, before, error, stream):
    body = {**CHAT, "input": "x", "stream": stream}
    kinds = {b"": "application/json", LINE: "application/x-ndjson", EVENT: "text/event-stream"}
    async with lying(
        http(before + error.encode(), "200 OK", f"Content-Type: {kinds[before]}")
    ) as here:
        with structlog.testing.capture_logs() as lines:
            answer = await here.oq.post(path, json=body)
        task = await here.task(answer)
        assert task["status"] == "failed"
        assert KEY not in everything_said(answer, task) + str(lines)
        assert ESCAPED not in answer.text
        assert "***" in answer.text


@pytest.mark.parametrize("path", ["/api/tags", "/v1/models"])
@pytest.mark.parametrize("sized", [True, False])
async def test_what_is_passed_on_does_not_show_it_either(path, sized):
    body = f'{{"error":"invalid key Bearer {KEY}"}}'.encode()
    length = [f"Content-Length: {len(body)}"] if sized else []
    async with lying(http(body, "200 OK", f"X-Refused: {KEY}", *length)) as here:
        answer = await here.oq.get(path)
        assert answer.status_code == 200
        assert answer.json()["error"].startswith("invalid key Bearer ***")
        assert KEY not in str([*answer.headers.items(), answer.text])


@pytest.mark.parametrize("stream", [True, False])
async def test_what_a_model_generates_is_not_changed(stream):
    said = json.dumps({"message": {"role": "assistant", "content": KEY}, "done": True}).encode()
    async with lying(http(said + b"\n")) as here:
        answer = await here.oq.post("/api/chat", json={**CHAT, "stream": stream})
        assert answer.json()["message"]["content"] == KEY
        assert (await here.task(answer))["result"]["message"]["content"] == KEY


SAID = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
COMMENT = f": auth {KEY}\n\n".encode()
NOT_GENERATED = [
    COMMENT + SAID + DONE,
    SAID + COMMENT + DONE,
    SAID + DONE + COMMENT,
    SAID + DONE + f"data: {KEY}\n\n".encode(),
    f"event: {KEY}\r\n".encode() + SAID + DONE,
    f"id: {KEY}\revent: {KEY}\r".encode() + SAID.replace(b"\n", b"\r") + DONE,
    SAID[:-1] + f": {KEY}\n\n".encode() + DONE,
    b"\xef\xbb\xbf" + SAID[:-1] + f"retry: {KEY}\n\n".encode() + DONE,
    f"data: {{key {KEY}\n\n".encode() + SAID + DONE,
    SAID + f"data: {{key {KEY}\n\n".encode() + DONE,
    SAID + f'data: "{KEY}"\n\n'.encode() + DONE,
    f"a page {KEY}\n\n".encode() + SAID + DONE,
    SAID + DONE + f": {KEY}".encode(),
    SAID + f": {ESCAPED}\n\n".encode() + DONE,
]


@pytest.mark.parametrize("stream", NOT_GENERATED)
async def test_a_stream_shows_no_key_where_nothing_is_generated(stream):
    path, call = "/v1/chat/completions", {**CHAT, "stream": True}
    async with lying(http(stream, "200 OK", "Content-Type: text/event-stream")) as here:
        answer = await here.oq.post(path, json=call)
        expected = stream.replace(KEY.encode(), b"***").replace(ESCAPED.encode(), b"***")
        assert answer.content == expected
        task = await here.task(answer)
        assert task["status"] == "completed"
        assert KEY not in everything_said(answer, task)
        assert (await here.oq.get(f"/api/tasks/{task['id']}/content")).content == expected


async def test_lines_show_no_key_where_nothing_is_generated():
    end = b'{"model":"m","message":{"content":"%b"},"done":true}\n' % KEY.encode()
    said = f"key {KEY}\n".encode() + LINE + f"key {KEY}\n".encode() + end
    async with lying(http(said, "200 OK", "Content-Type: application/x-ndjson")) as here:
        answer = await here.oq.post("/api/chat", json=CHAT)
        assert answer.content == b"key ***\n" + LINE + b"key ***\n" + end


@pytest.mark.parametrize("kind", ["text/html", "text/plain; charset=utf-8", "application/xml"])
@pytest.mark.parametrize("sized", [True, False])
async def test_a_page_in_place_of_sound_shows_no_key(kind, sized):
    page = f"<html>Bearer {KEY}</html>".encode()
    length = [f"Content-Length: {len(page)}"] if sized else []
    async with lying(http(page, "200 OK", f"Content-Type: {kind}", *length)) as here:
        answer = await here.oq.post("/v1/audio/speech", json={"model": "m", "input": "x"})
        mask = b"*" * len(KEY) if sized else b"***"
        expected = page.replace(KEY.encode(), mask)
        assert answer.content == expected
        task = await here.task(answer)
        assert KEY not in everything_said(answer, task)
        assert task["result"]["bytes"] == len(expected)
        assert (await here.oq.get(f"/api/tasks/{task['id']}/content")).content == expected


@pytest.mark.parametrize("kind", ["audio/wav", "application/octet-stream", "video/mp4"])
async def test_sound_is_not_changed(kind):
    sound = f"RIFF\0{KEY}\xff".encode("latin-1")
    async with lying(http(sound, "200 OK", f"Content-Type: {kind}")) as here:
        answer = await here.oq.post("/v1/audio/speech", json={"model": "m", "input": "x"})
        assert answer.content == sound


@pytest.mark.parametrize(
    "stream",
    [
        SAID.replace(b'"a"', b'"%b"' % KEY.encode()) + DONE,
        b"event: message\r\n" + SAID.replace(b'"a"', b'"%b"' % KEY.encode()) + DONE,
        b"\xef\xbb\xbf" + SAID.replace(b'"a"', b'"%b"' % KEY.encode()) + DONE,
        b'{"choices":[\n\n{"message":{"content":"%b"},"finish_reason":"stop"}]}' % KEY.encode(),
    ],
)
async def test_what_a_model_generates_in_a_stream_is_not_changed(stream):
    call = {**CHAT, "stream": True}
    async with lying(http(stream, "200 OK", "Content-Type: text/event-stream")) as here:
        answer = await here.oq.post("/v1/chat/completions", json=call)
        assert answer.content == stream
        assert (await here.task(answer))["status"] == "completed"
