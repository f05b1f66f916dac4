"""Frames and events are the same wherever the network cuts, lose nothing, and have bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects.answer_limit import AnswerLimit
from oq.dialects.events import Events
from oq.dialects.framing import End, Frames
from oq.words.errors import BackendFailure

BYTES = st.text("ab{}:\n\r ", max_size=80).map(str.encode)
CUTS = st.lists(st.integers(0, 80), max_size=6)


def parts(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]


def events(data: bytes, cuts: list[int] = (), *, or_whole: bool = False) -> list[bytes]:
    """The data of the events, that of comments included."""
    reader, found = Events(AnswerLimit(10_000), or_whole=or_whole), []
    for part in parts(data, cuts):
        found += reader.feed(part)
    found += reader.rest()
    assert b"".join(event.frame for event in found) == data
    return [event.data for event in found]


@given(BYTES, CUTS)
def test_a_line_is_the_same_wherever_it_is_cut(data, cuts):
    frames = Frames(End.LINE)
    given = [frame for part in parts(data, cuts) for frame in frames.feed(part)]
    lines = [line.strip(b"\r") for line in b"".join([*given, frames.rest()]).split(b"\n")]
    assert [line for line in lines if line] == [
        line.strip(b"\r") for line in data.split(b"\n") if line.strip(b"\r")
    ]
    assert all(frame.endswith(b"\n") and frame.count(b"\n") == 1 for frame in given)


@given(BYTES, CUTS)
def test_an_event_keeps_every_byte(data, cuts):
    frames = Frames(End.EVENT)
    given = [frame for part in parts(data, cuts) for frame in frames.feed(part)]
    assert b"".join([*given, frames.rest()]) == data


@pytest.mark.parametrize("end", list(End))
def test_a_frame_has_a_bound(end):
    frames = Frames(end, limit=5)
    assert frames.feed(b"12345") == []
    with pytest.raises(BackendFailure, match="more than 5 bytes"):
        frames.feed(b"6")
    with pytest.raises(BackendFailure, match="more than 5 bytes"):
        Frames(end, limit=5).feed(b"123456\n\n")


@given(st.lists(st.text("abc é\n:", min_size=1).filter(str.strip), max_size=4), CUTS)
def test_data_is_the_same_wherever_the_network_cuts(texts, cuts):
    said = [text.replace("\n", "\\n").encode() for text in texts]
    stream = b"".join(b": ping\n\ndata: " + one + b"\r\n\r\n" for one in said)
    assert [data for data in events(stream, cuts) if data] == said


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"event: x\nid: 1\nretry: 5\ndata:a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\n\ndata: b\n", [b"a", b"b"]),
        (b": ping\n\n", [b""]),
        (b"\n\n", [b""]),
        (b"data: a\nof a newer version: b\n\n", [b"a"]),
    ],
)
def test_the_data_of_events(stream, data):
    assert events(stream) == data


@pytest.mark.parametrize("broken", [b'{"choices":[]}\n\n', b"<html>\n\n", b"<html>", b"data\n\n"])
def test_what_is_no_event_stream_is_a_failure(broken):
    with pytest.raises(BackendFailure, match="no event"):
        events(broken)
    with pytest.raises(BackendFailure, match="no event"):
        events(b"data: a\n\n" + broken, or_whole=True)


def test_one_object_may_stand_for_a_stream():
    assert events(b'{"choices":\n[]}\n', or_whole=True) == [b'{"choices":\n[]}\n']


@pytest.mark.parametrize(
    "error",
    [
        b'error: {"message":"context is full"}\n\n',
        b'event: error\ndata: {"message":"context is full"}\n\n',
        b'data: {"error":{"message":"context is full"}}\r\nevent:error\r\n\r\n',
    ],
)
def test_an_error_is_told_with_its_frame(error):
    with pytest.raises(BackendFailure, match="broke off with an error: context is full") as caught:
        events(b"data: a\n\n" + error)
    assert caught.value.body == error


def test_an_event_of_many_lines_is_bounded_before_it_is_taken_apart():
    with pytest.raises(BackendFailure, match=r"over 10000 bytes .*ollama\.max_answer"):
        events(b"data:\n" * 1000 + b"\n")
