"""Frames and events are the same wherever the network cuts, lose nothing, and have bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects.events import FoldedEvents
from oq.dialects.framing import End, Frames, event_data
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed

BYTES = st.text("ab{}:\n\r ", max_size=80).map(str.encode)
CUTS = st.lists(st.integers(0, 80), max_size=6)


def parts(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]


class Data:
    """A fold that keeps the data of the events."""

    done = False

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def add(self, data: bytes, frame: bytes) -> bool:
        self.said.append(data)
        return True

    def add_usual(self, frame: bytes) -> bool:
        return False

    def completed(self) -> Completed:
        return Completed(b"{}")


def events(data: bytes, cuts: list[int] | tuple[()] = (), limit: int = 10_000) -> list[bytes]:
    """The data of the events. All bytes pass."""
    fold, passed = Data(), []
    answer = FoldedEvents(fold, passed.append, limit)
    for part in parts(data, list(cuts)):
        answer.feed(part)
    answer.completed()
    assert b"".join(passed) == data
    return fold.said


@pytest.mark.parametrize("end", list(End))
@given(data=BYTES, cuts=CUTS)
def test_frames_keep_every_byte_wherever_they_are_cut(end, data, cuts):
    frames = Frames(end)
    given = [frame for part in parts(data, cuts) for frame in frames.feed(part)]
    assert b"".join([*given, frames.rest()]) == data
    assert all(frame.endswith((b"\n", b"\r")) for frame in given)


@given(BYTES, CUTS)
def test_a_line_is_the_same_wherever_it_is_cut(data, cuts):
    frames = Frames(End.LINE)
    given = [frame for part in parts(data, cuts) for frame in frames.feed(part)]
    lines = [*given, frames.rest()]
    assert [line.strip() for line in lines if line.strip()] == [
        line.strip() for line in data.split(b"\n") if line.strip()
    ]


@pytest.mark.parametrize("end", list(End))
def test_a_frame_has_a_bound(end):
    frames = Frames(end, limit=5)
    assert frames.feed(b"12345") == []
    with pytest.raises(BackendFailure, match="more than 5 bytes"):
        frames.feed(b"6")
    with pytest.raises(BackendFailure, match="more than 5 bytes"):
        Frames(end, limit=5).feed(b"123456\n\n")


@pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
@given(texts=st.lists(st.text("abc é\n:", min_size=1).filter(str.strip), max_size=4), cuts=CUTS)
def test_data_is_the_same_wherever_the_network_cuts(line, texts, cuts):
    said = [text.replace("\n", "\\n").encode() for text in texts]
    end = line.encode()
    stream = b"".join(b": ping%b%bdata: %b%b%b" % (end, end, one, end, end) for one in said)
    assert events(stream, cuts) == said


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"event: x\nid: 1\nretry: 5\ndata:a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\r\ndata: b\r\rdata: c\n\n", [b"a\nb", b"c"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\n\ndata: b\n", [b"a", b"b"]),
        (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b": ping\n\n", []),
        (b"\n\n", []),
        (b"data:\n\n", []),
        (b"data: a\nof a newer version: b\n\n", [b"a"]),
        (b'data: a\n\n{"b":1}\n\n', [b"a", b'{"b":1}\n\n']),
        (b"data: a\n\n<html>\n\ndata: b\n\n", [b"a", b"b"]),
    ],
)
def test_the_data_of_events(stream, data):
    assert events(stream) == data


def test_one_object_may_stand_for_a_stream():
    assert events(b'{"choices":\n[]}\n') == [b'{"choices":\n[]}\n']
    assert events(b'\n{"choices":\n\n[]}\n') == [b'\n{"choices":\n\n[]}\n']


@pytest.mark.parametrize("page", [b"<html>\n\n<p>\n\n", b"<html>", b"data\n\n{\n\n"])
def test_what_is_no_stream_at_all_waits_for_one(page):
    passed: list[bytes] = []
    answer = FoldedEvents(Data(), passed.append, 10_000)
    answer.feed(page + b"\n\n")
    assert passed == []
    answer.feed(b"data: a\n\n")
    assert b"".join(passed) == page + b"\n\ndata: a\n\n"


@pytest.mark.parametrize(
    ("error", "document"),
    [
        (b'error: {"message":"context is full"}\n\n', b'{"error":{"message":"context is full"}}'),
        (b"error: context is full\n\n", b"context is full"),
        (
            b'event: error\ndata: {"message":"context is full"}\n\n',
            b'{"message":"context is full"}',
        ),
        (
            b'data: {"error":{"message":"context is full"}}\r\nevent:error\r\n\r\n',
            b'{"error":{"message":"context is full"}}',
        ),
    ],
)
def test_an_error_is_told_with_its_frame(error, document):
    with pytest.raises(BackendFailure, match="broke off with an error: context is full") as caught:
        events(b"data: a\n\n" + error)
    assert (caught.value.body, caught.value.frame) == (document, error)


def test_an_event_of_many_lines_is_bounded_before_it_is_taken_apart():
    with pytest.raises(BackendFailure, match=r"over 10000 bytes .*ollama\.max_answer"):
        events(b"data:\n" * 1000 + b"\n")


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"\r"])
def test_data_of_several_lines(line):
    assert event_data(line.join([b"data: a", b"data:", b"id: 1", b"data:  b", b"", b""])) == (
        b"a\n\n b"
    )


def test_a_byte_order_mark_is_no_part_of_the_data():
    assert event_data(b"\xef\xbb\xbfdata: a\n\n") == b"a"
