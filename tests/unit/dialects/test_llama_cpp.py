"""Answers of llama.cpp's own API: of several prompts the text of the first is shown."""

from __future__ import annotations

import json

import pytest

from oq.dialects.llama_cpp import LLAMA_CPP
from oq.words.stream import Piece


def framed(**said: object) -> bytes:
    return b"data: %b\n\n" % json.dumps(said).encode()


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"content": "Paris"}, "Paris"),
        ({"index": 0, "content": "Paris"}, "Paris"),
        ({"index": 1, "content": "another prompt"}, ""),
        ({"content": None}, ""),
    ],
)
def test_a_piece_is_of_the_first_prompt(said, text):
    assert LLAMA_CPP.piece(framed(**said)) == Piece(text)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": "Paris", "stop": True}, "Paris"),
        (
            {"document": [{"content": "Paris", "stop": True}, {"content": "x", "stop": True}]},
            "Paris",
        ),
        ({"choices": [{"message": {"content": "Paris"}}]}, "Paris"),
        ({"document": []}, None),
    ],
)
def test_the_text_of_a_result_is_of_the_first_prompt(result, text):
    assert LLAMA_CPP.text(result) == text
