"""What every dialect promises: one that is added passes this with samples of its own."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects import DIALECTS, ENDPOINTS, dialect_at, piece_reader, text_in
from oq.dialects.answer_errors import error_text
from oq.words.errors import BackendFailure
from oq.words.stream import Piece
from oq.words.task import Body, Eta, TimeRange, Waiting
from tests.unit.dialects.samples import SAMPLES, Sample

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = TimeRange(NOW, NOW + timedelta(seconds=30), NOW + timedelta(seconds=60))
STREAMS = [each for each in SAMPLES if ENDPOINTS[each.path].streams is not None]
WHOLE = [each for each in SAMPLES if ENDPOINTS[each.path].streams is None]
CUTS = st.lists(st.integers(0, 600), max_size=8)
EACH_DIALECT = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)


def each(samples: list[Sample]):
    return pytest.mark.parametrize("sample", samples, ids=[sample.path for sample in samples])


def answer_to(path: str, stream: bytes, cuts: list[int] | tuple[()] = ()):
    """The frames that are passed on, and the whole answer."""
    call, passed = ENDPOINTS[path], []
    answer = call.dialect.streamed(call, passed.append)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for begin, end in pairwise(places):
        answer.feed(stream[begin:end])
    return passed, answer.completed()


def text_of(path: str, frames: list[bytes]) -> str:
    return "".join(piece_reader(path)(frame).text for frame in frames)


def test_every_endpoint_has_a_sample():
    assert {sample.path for sample in SAMPLES} == set(ENDPOINTS)


def test_each_path_belongs_to_one_dialect():
    assert len(ENDPOINTS) == sum(len(dialect.endpoints) for dialect in DIALECTS)
    assert len({dialect.name for dialect in DIALECTS}) == len(DIALECTS)
    for dialect in DIALECTS:
        for path in [one.path for one in (*dialect.endpoints, *dialect.allowed)]:
            assert dialect_at(path) is dialect
        assert all(("{" in one.path) == (one.part is not None) for one in dialect.allowed)
    assert dialect_at("/") is dialect_at("/metrics") is None


@EACH_DIALECT
def test_a_dialect_has_whole_parts_of_a_path(dialect):
    for prefix in dialect.prefixes:
        assert dialect_at(prefix.rstrip("/") + "X/y") is not dialect
        assert dialect_at(prefix.rstrip("/") + "/no/such/call") is dialect


@each(SAMPLES)
def test_a_call_is_read(sample):
    call = ENDPOINTS[sample.path]
    assert call.dialect.read(call, sample.body)[:2] == ("m", bool(call.streams))
    for wrong in (b"", b"[]", b"{}", b'{"model": 3}', b"[" * 10_000):
        assert call.dialect.read(call, wrong) == (call.model or "", bool(call.streams), "")


@each(SAMPLES)
def test_whether_a_body_asks_for_a_stream(sample):
    call = ENDPOINTS[sample.path]
    wanted = sample.body.replace(b"{", b"{%b, " % sample.asks, 1)
    assert call.dialect.asks_stream(call, wanted) is (call.streams is not None)
    unwanted = sample.body.replace(b"{", b'{"stream": false, ', 1)
    assert not call.dialect.asks_stream(call, unwanted)
    assert call.dialect.asks_stream(call, b"[") is bool(call.streams)


@each(SAMPLES)
def test_a_call_is_shown_as_a_task(sample):
    shown = ENDPOINTS[sample.path].dialect.shown(sample.body)
    assert isinstance(shown, Body)
    assert "model" not in json.loads(shown.payload)


@each(STREAMS)
@given(cuts=CUTS)
def test_an_answer_passes_byte_for_byte_wherever_it_is_cut(sample, cuts):
    passed, done = answer_to(sample.path, b"".join(sample.answer), cuts)
    assert b"".join(passed) == b"".join(sample.answer)
    assert (text_in(json.loads(done.result)) or "") == sample.text
    assert done.usage == sample.usage
    assert text_of(sample.path, passed) == sample.text


@pytest.mark.parametrize("call", [None, "/no/such/call"])
def test_a_piece_of_an_unknown_call_is_read_as_what_it_looks_like(call):
    read = piece_reader(call)
    assert read(b' {"message": {"content": "Pa"}}\n').text == "Pa"
    assert read(b'data: {"choices": [{"delta": {"content": "ris"}}]}\n\n').text == "ris"


@each(STREAMS)
def test_an_answer_that_is_cut_short_is_none(sample):
    """At any byte before the text is whole: nobody takes the half of an answer for one."""
    frames, stream = sample.answer, b"".join(sample.answer)
    texts = [text_of(sample.path, frames[: count + 1]) for count in range(len(frames))]
    last = texts.index(sample.text)
    whole = len(b"".join(frames[:last]) + frames[last].rstrip())
    for cut in range(whole):
        with pytest.raises(BackendFailure):
            answer_to(sample.path, stream[:cut])


@each(WHOLE)
def test_an_answer_that_never_streams_is_kept(sample):
    call, (body,) = ENDPOINTS[sample.path], sample.answer
    done = call.dialect.whole(call, body)
    assert (done.result, done.usage) == (body, sample.usage)
    assert text_in(json.loads(body)) is None
    for odd in (b"", b"[]", b"{}", body[:-1], b"<html>", b"\xff"):
        assert call.dialect.whole(call, odd).result == odd
    with pytest.raises(BackendFailure, match="kaput"):
        call.dialect.whole(call, b'{"error":"kaput"}')


@each(STREAMS)
@given(noise=st.binary(max_size=60), cuts=CUTS)
def test_noise_is_a_failure_and_nothing_else(sample, noise, cuts):
    with suppress(BackendFailure):
        answer_to(sample.path, sample.answer[0] + noise + sample.answer[-1], cuts)
    assert isinstance(piece_reader(sample.path)(noise), Piece)
    assert isinstance(ENDPOINTS[sample.path].dialect.document(noise), bytes)


@each(STREAMS)
@pytest.mark.parametrize("broken", ["", "\n", "\r\n"])
def test_an_error_after_half_a_frame_stands_alone(sample, broken):
    """Who reads the stream as oq itself does finds the error in it."""
    dialect = ENDPOINTS[sample.path].dialect
    last = sample.answer[1].strip() + broken.encode()
    frame = dialect.error_frame("kaput")
    stream = sample.answer[0] + last + dialect.separator(last[-3:]) + frame
    assert dialect.separator(frame[-3:]) == b""
    assert error_text(dialect.document(frame)) == "kaput"
    with pytest.raises(BackendFailure, match="kaput") as caught:
        answer_to(sample.path, stream)
    assert caught.value.body is not None
    assert error_text(dialect.document(caught.value.body)) == "kaput"


@each(STREAMS)
def test_a_place_in_line_changes_nothing_of_the_answer(sample):
    call = ENDPOINTS[sample.path]
    frame = call.dialect.progress(call, "m", "id", Waiting(3, Eta(SOON, SOON)), NOW)
    told = json.loads(call.dialect.document(frame))
    assert told["queue_position"] == 3
    assert told["eta"]["starts"]["p50"] == "2026-01-01T00:00:30Z"
    assert piece_reader(sample.path)(frame) == Piece()
    assert call.dialect.separator(frame[-3:]) == b""
    passed, done = answer_to(sample.path, frame + b"".join(sample.answer))
    assert passed == [frame, *sample.answer]
    assert sample.text in done.result.decode()


@EACH_DIALECT
@pytest.mark.parametrize(
    "result", [None, [], {}, {"message": None}, {"message": {"content": ""}}, {"choices": [{}]}]
)
def test_a_result_without_text_has_none(dialect, result):
    assert dialect.text(result) is None


@EACH_DIALECT
@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 429, 500, 502, 503])
def test_an_error_says_its_text(dialect, status):
    assert error_text(dialect.error(status, 'no "x"')) == 'no "x"'
    full = dialect.when_full(429, "the queue is full")
    assert full[0] in (429, 503, 529)
    assert full[1]


@each(STREAMS)
def test_the_first_bytes_of_an_answer_say_whether_it_streams(sample):
    dialect = ENDPOINTS[sample.path].dialect
    assert dialect.begins_stream(sample.answer[0], asked=True)
    assert not dialect.begins_stream(b'{"done":true}', asked=True)
    assert not dialect.begins_stream(b"<html>\n", asked=True)
