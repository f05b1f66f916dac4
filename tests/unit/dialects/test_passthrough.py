"""Whatever a server streams: its bytes pass, and what is kept of them is the same wherever the
network cuts.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oq.dialects import ENDPOINTS, piece_reader
from oq.words.errors import BackendError, BackendFailure
from oq.words.outcome import Completed
from oq.words.stream import Piece
from tests.unit.dialects.samples import SAMPLES, Sample

STREAMS = [each for each in SAMPLES if ENDPOINTS[each.path].streams is not None]
ENDING = [each for each in STREAMS if ENDPOINTS[each.path].model is None]
"""Those whose last frame says that it is the last. The others go on to the end of the body."""
EACH = pytest.mark.parametrize("sample", STREAMS, ids=[sample.path for sample in STREAMS])

ODD = [
    b"null", b"[]", b"7", b'"x"', b"{}", b"NaN", b"{", b'{"a":', b"\xff\xfe", b"\0", b"<html>", b"",
    b'{"choices":null}', b'{"choices":[null,{"delta":null}]}',
    b'{"choices":[{"delta":{"content":4}}]}',
    b'{"choices":[{"index":"x","delta":{"content":"\\ud83e","tool_calls":[{"index":-1}]}}]}',
    b'{"choices":[],"usage":{"prompt_tokens":7.0,"completion_tokens":NaN}}',
    b'{"message":null}', b'{"message":[]}', b'{"message":{"content":{}},"response":["\\udd99"]}',
    b'{"done":"yes","eval_count":1e999}', b'{"image":"a","done":false,"x":NaN}',
    b'{"type":"content_block_delta","index":null,"delta":[]}', b'{"type":null,"error":null}',
    b'{"type":"response.output_text.delta","delta":{}}', b'{"error":"","choices":{}}',
    b'{"a":' * 300 + b"1" + b"}" * 300, b"[" * 5000, b"9" * 5000, b'{"n":1%b}' % (b"0" * 400),
]  # fmt: skip
FRAMED = [
    b"data: %b\n\n",
    b"data:%b\r\n\r\n",
    b"event: x\ndata: %b\n\n",
    b"%b\n",
    b"%b\r\n",
    b": %b\n\n",
]
BETWEEN = [
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\r\n\r\n",
    b" \n",
    b": ping\n\n",
    b"id: 1\n\n",
    b"retry: 5\n\n",
]


class Told(NamedTuple):
    """What came of a stream."""

    passed: bytes
    outcome: Completed | tuple[str, str]


def told(path: str, stream: bytes, cuts: list[int]) -> Told:
    call, passed = ENDPOINTS[path], []
    answer = call.dialect.streamed(call, passed.append)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    try:
        for begin, end in pairwise(places):
            answer.feed(stream[begin:end])
        outcome: Completed | tuple[str, str] = answer.completed()
    except BackendError as error:
        outcome = (type(error).__name__, str(error))
    return Told(b"".join(passed), outcome)


def odd_frames() -> st.SearchStrategy[bytes]:
    framed = st.builds(
        lambda shape, said: shape % said, st.sampled_from(FRAMED), st.sampled_from(ODD)
    )
    return framed | st.sampled_from(BETWEEN) | st.binary(max_size=20)


@st.composite
def mixed(draw, sample: Sample) -> bytes:
    """The answer of the sample, with something odd between its frames."""
    frames: list[bytes] = []
    for frame in sample.answer:
        frames += [*draw(st.lists(odd_frames(), max_size=2)), frame]
    return b"".join(frames)


@EACH
@given(data=st.data(), cuts=st.lists(st.integers(0, 3000), max_size=8))
def test_the_same_wherever_it_is_cut(sample, data, cuts):
    stream = data.draw(mixed(sample))
    at_once, in_parts = told(sample.path, stream, []), told(sample.path, stream, cuts)
    assert in_parts.outcome == at_once.outcome
    assert in_parts.passed.strip() == at_once.passed.strip()
    if isinstance(at_once.outcome, Completed):
        assert at_once.passed == in_parts.passed == stream
        assert isinstance(json.loads(at_once.outcome.result), dict)
    else:
        assert stream.startswith(at_once.passed)


@EACH
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd[:30]))
def test_a_frame_that_cannot_be_read_passes_and_adds_nothing(sample, odd):
    """As a server of this API would frame it."""
    lines = sample.path.startswith("/api/")
    frame = (b"%b\n" if lines else b"data: %b\n\n") % odd
    first, *rest = sample.answer
    stream = b"".join([frame, first, frame, *rest])
    passed, outcome = told(sample.path, stream, [])
    assert passed == stream
    assert isinstance(outcome, Completed)
    assert sample.text in outcome.result.decode().replace("\ufffd", "")
    assert isinstance(piece_reader(sample.path)(frame), Piece)


@EACH
@given(noise=st.binary(max_size=100), cuts=st.lists(st.integers(0, 100), max_size=4))
@example(noise=b"<html>\n\n<p>\n\n", cuts=[])
@example(noise=b"\xef\xbb\xbf{}", cuts=[])
def test_noise_alone_is_a_failure(sample, noise, cuts):
    passed, outcome = told(sample.path, noise, cuts)
    assert isinstance(outcome, tuple)
    assert noise.startswith(passed)


@pytest.mark.parametrize("sample", ENDING, ids=[sample.path for sample in ENDING])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_comes_behind_the_end_passes_as_long_as_there_is_room(sample, size):
    """And up to the first that is no frame: it may be anything."""
    whole, lines = b"".join(sample.answer), sample.path.startswith("/api/")
    frame = b'{"a":1}\n\n' if lines else b": bye\n\ndata: x\n\n"
    for behind, passes in (
        (b"", b""), (b"\n", b"\n"), (frame, frame), (frame[:-1], frame[:-1]),
        (frame + b"HTTP/1.1 200 OK\n\n" + frame, frame), (frame * 10_000, frame),
    ):  # fmt: skip
        stream = whole + behind
        passed, outcome = told(sample.path, stream, list(range(0, len(whole) + 100, size)))
        assert passed.startswith(whole + passes)
        assert b"HTTP" not in passed
        assert outcome == told(sample.path, whole, []).outcome


@pytest.mark.parametrize("sample", ENDING, ids=[sample.path for sample in ENDING])
def test_too_much_behind_the_end_is_left_out(sample):
    call, passed = ENDPOINTS[sample.path], []
    answer = call.dialect.streamed(call, passed.append, limit=10_000)
    answer.feed(b"".join(sample.answer))
    for _ in range(1000):
        answer.feed(b"\n" * 100)
    assert isinstance(answer.completed(), Completed)
    assert len(b"".join(passed)) < 20_000


@EACH
def test_a_line_that_is_too_long_is_a_failure_before_the_end_only(sample):
    """Nothing of it passes."""
    call, passed = ENDPOINTS[sample.path], []
    answer = call.dialect.streamed(call, passed.append)
    answer._frames._limit = 10_000
    if sample in ENDING:
        answer.feed(b"".join(sample.answer))
        assert answer.feed(b"x" * 10_001)
        assert isinstance(answer.completed(), Completed)
        assert b"".join(passed) == b"".join(sample.answer)
    else:
        with pytest.raises(BackendFailure, match="a line of more than 10000 bytes"):
            answer.feed(b"x" * 10_001)
        assert passed == []


@EACH
def test_a_page_of_a_proxy_is_not_passed_on_but_quoted(sample):
    page = b"<html>\n<title>502</title>\n\n</html>\n"
    call, passed = ENDPOINTS[sample.path], []
    answer = call.dialect.streamed(call, passed.append)
    with pytest.raises(BackendFailure, match="no answer: '<html>"):
        answer.feed(page) or answer.completed()
    assert passed == []


@EACH
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_answer_that_is_cut_keeps_what_came_whole(sample, size):
    """The half of a frame waits for its other half, and does not pass without it."""
    whole = sample.answer[0]
    for cut in range(len(whole), len(whole) + len(sample.answer[1].rstrip())):
        stream = b"".join(sample.answer)[:cut]
        passed, outcome = told(sample.path, stream, list(range(0, cut, size)))
        assert isinstance(outcome, tuple)
        assert passed == whole
