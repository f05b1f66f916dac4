"""What the answer to a call is, however the network cuts it: a stream, or one document."""

from __future__ import annotations

import pytest

from oq.backends import verbatim
from oq.backends.verbatim import CallAnswer
from oq.dialects import ENDPOINTS
from oq.words.errors import BackendFailure
from oq.words.head import Head

EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
EVENTS = EVENT * 2 + b"data: [DONE]\n\n"
LINE = b'{"message":{"role":"assistant","content":"a"},"done":false}\n'
LINES = LINE * 2 + b'{"message":{"role":"assistant","content":""},"done":true}\n'
MARK = b"\xef\xbb\xbf"
LOADED = b'{"model":"m","done":true,"done_reason":"load"}'

CHAT, OLLAMA = "/v1/chat/completions", "/api/chat"
TYPES = [b"", b"text/plain", b"application/json"]


class Asked:
    """A call that asks for a stream, and what its caller gets."""

    def __init__(self, path: str, kind: bytes, limit: int = 10**9) -> None:
        self.heads: list[Head] = []
        self.body = b""
        self.answer = CallAnswer(ENDPOINTS[path], True, self._emit, limit)
        self.feed = self.answer.begin(Head(200, b"OK", ((b"content-type", kind),)))

    def _emit(self, *said: bytes | Head) -> None:
        for each in said:
            if isinstance(each, Head):
                self.heads.append(each)
            else:
                assert len(self.heads) == 1, "the head comes first, and once"
                self.body += each

    @property
    def streams(self) -> bool:
        [head] = self.heads
        return not head.header(b"content-length")


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    ("path", "stream"),
    [
        (CHAT, EVENTS),
        (CHAT, b"\n" + EVENTS),
        (CHAT, MARK + EVENTS),
        (CHAT, b": hello\n\n" + EVENTS),
        (CHAT, b"event: a\n" + EVENTS),
        (OLLAMA, LINES),
        (OLLAMA, b"\n \n" + LINES),
        (OLLAMA, MARK + LINES),
    ],
)
def test_a_stream_is_one_wherever_its_beginning_is_cut(path, stream, kind):
    for at in range(1, 80):
        asked = Asked(path, kind)
        asked.feed(stream[:at])
        assert asked.feed(stream[at:])
        asked.answer.completed()
        assert asked.streams
        assert asked.body == stream


@pytest.mark.parametrize(("path", "stream"), [(CHAT, EVENTS), (OLLAMA, LINES)])
def test_a_stream_is_one_if_it_comes_byte_by_byte_and_what_is_whole_is_passed_at_once(path, stream):
    asked = Asked(path, b"")
    first = EVENT if path == CHAT else LINE
    for at in range(len(stream)):
        asked.feed(stream[at : at + 1])
        if at > len(first):
            assert asked.body.startswith(first)
    asked.answer.completed()
    assert asked.body == stream


@pytest.mark.parametrize(("path", "part"), [(CHAT, EVENT), (OLLAMA, LINE)])
@pytest.mark.parametrize("at", [2, 20, 40])
def test_a_stream_without_its_end_is_no_answer_wherever_it_was_cut(path, part, at):
    asked = Asked(path, b"")
    asked.feed(part[:at])
    asked.feed(part[at:])
    with pytest.raises(BackendFailure):
        asked.answer.completed()
    assert asked.body == part


@pytest.mark.parametrize("body", [LOADED, b" \n" + LOADED])
def test_a_document_is_one_wherever_it_is_cut(body):
    for at in range(1, len(body)):
        asked = Asked(OLLAMA, b"application/json")
        asked.feed(body[:at])
        asked.feed(body[at:])
        done = asked.answer.completed()
        assert not asked.streams
        assert (asked.body or done.result) == body


@pytest.mark.parametrize("body", [b"da", b"\n", b"dat: x\n\n", b"<html>"])
@pytest.mark.parametrize("path", [CHAT, OLLAMA])
def test_what_begins_neither_is_no_answer(path, body):
    asked = Asked(path, b"")
    asked.feed(body)
    with pytest.raises(BackendFailure, match="no answer") as caught:
        asked.answer.completed()
    assert caught.value.body == body


def test_only_so_much_is_held_until_it_is_known(monkeypatch):
    monkeypatch.setattr(verbatim, "MOST_HELD", 100)
    asked = Asked(OLLAMA, b"")
    body = b'{"done":true,"response":"%b"}' % (b"x" * 200)
    for at in range(len(body)):
        asked.feed(body[at : at + 1])
        assert len(asked.answer._held) <= 100
    assert asked.answer.completed().result == body


@pytest.mark.parametrize("blanks", [b"", b"\n" * 5000])
def test_a_document_in_very_many_pieces_is_looked_at_a_few_times(monkeypatch, blanks):
    looks = []
    is_stream = CallAnswer._is_stream

    def counted(self: CallAnswer, first: bytes) -> bool | None:
        looks.append(len(first))
        return is_stream(self, first)

    monkeypatch.setattr(CallAnswer, "_is_stream", counted)
    asked = Asked(OLLAMA, b"application/json")
    said = blanks + b'{"model":"m","response":"' + b"a" * 50_000 + b'","done":true}'
    for at in range(len(said)):
        asked.feed(said[at : at + 1])
    assert asked.answer.completed().result == said
    assert len(looks) <= verbatim.NEAR + 1
