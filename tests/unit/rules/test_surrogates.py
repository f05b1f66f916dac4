"""Halves of surrogate pairs are read as Go reads them, and nothing else is touched."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.surrogates import readable


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (r'"cut \ud83e"', r'"cut \ufffd"'),
        (r'"\uDD99\u0041"', r'"\ufffd\u0041"'),
        (r'"\ud83e\ud83e\udd99"', r'"\ufffd\ud83e\udd99"'),
        (r'"\ud83e\udd99"', r'"\ud83e\udd99"'),
        (r'"\\ud83e"', r'"\\ud83e"'),
        (r'"\\\ud83e"', r'"\\\ufffd"'),
        (r'{"\ud83e": 1}', r'{"\ufffd": 1}'),
    ],
)
def test_only_halves_become_another_character(given, read):
    assert readable(given.encode()) == read.encode()
    msgspec.json.decode(read.encode())


@given(
    st.text(st.characters(min_codepoint=0xD700, max_codepoint=0xE010) | st.sampled_from('\\"ud8'))
)
def test_any_text_is_read_then_and_stands_where_it_stood(text):
    body = json.dumps([text, {text: text}]).encode()
    read = readable(body)
    assert len(read) == len(body)
    [first, _] = msgspec.json.decode(read)
    assert first == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
