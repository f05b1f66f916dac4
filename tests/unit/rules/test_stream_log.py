"""Pieces: wherever a reader goes on, it misses nothing and gets nothing twice."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.stream_log import attempt_id, chunks, piece_of
from oq.words.stream import Piece
from tests.support.builders import NOW, at

TEXTS = st.builds(Piece, st.text(max_size=3))
OTHERS = st.one_of(
    st.builds(Piece, st.text(max_size=3), st.text(min_size=1, max_size=3)),
    st.builds(Piece, st.just(""), st.none(), st.just([{"function": {"name": "f"}}])),
    st.builds(Piece, st.text(max_size=3), st.none(), st.none(), st.just([{"token": "a"}])),
)
OUTPUTS = st.lists(TEXTS | OTHERS, max_size=12)


@given(OUTPUTS, st.integers(0, 12))
def test_from_any_offset_on_comes_exactly_the_rest(pieces, offset):
    got = list(chunks(pieces, offset, 7))
    rest = pieces[offset:]
    assert "".join(chunk.data for chunk in got) == "".join(piece.text for piece in rest)
    for field in ("thinking", "tool_calls", "logprobs"):
        assert [value for chunk in got if (value := getattr(chunk, field))] == [
            value for piece in rest if (value := getattr(piece, field))
        ]
    assert {chunk.attempt for chunk in got} <= {7}
    assert not any(chunk.done for chunk in got)


@given(OUTPUTS)
def test_each_chunks_offset_is_where_to_go_on(pieces):
    whole = list(chunks(pieces, 0, 7))
    for seen, chunk in enumerate(whole, start=1):
        assert list(chunks(pieces, chunk.offset, 7)) == whole[seen:]
    assert [chunk.offset for chunk in whole][-1:] == ([len(pieces)] if pieces else [])


def test_text_that_is_due_together_is_one_chunk_and_nothing_else_is_joined():
    thought = Piece("", "hm")
    got = list(chunks([Piece("a"), Piece("b"), thought, Piece("c"), Piece("d")], 0, 7))
    said = [(chunk.data, chunk.thinking) for chunk in got]
    assert said == [("ab", None), ("", "hm"), ("cd", None)]
    assert [chunk.offset for chunk in got] == [2, 3, 5]


CALL = [{"function": {"name": "f", "arguments": {}}}]


@pytest.mark.parametrize(
    ("chunk", "piece"),
    [
        ({"response": "Paris"}, Piece("Paris")),
        ({"response": "", "thinking": "hm", "done": False}, Piece("", "hm")),
        ({"message": {"role": "assistant", "content": "Paris"}}, Piece("Paris")),
        ({"message": {"role": "assistant", "content": "", "thinking": "hm"}}, Piece("", "hm")),
        ({"message": {"content": "", "tool_calls": CALL}}, Piece("", None, CALL)),
        ({"message": {"content": "a"}, "logprobs": [1]}, Piece("a", None, None, [1])),
        ({"embeddings": [[0.5]]}, Piece("")),
        ({"message": {"content": None}, "done": True}, Piece("")),
    ],
)
def test_a_piece_is_what_a_chunk_says(chunk, piece):
    assert piece_of(json.dumps(chunk).encode()) == piece


def test_attempts_have_names_that_grow():
    assert attempt_id(NOW) < attempt_id(at(1e-6)) < attempt_id(at(1))
