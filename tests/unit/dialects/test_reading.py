"""What is almost JSON is read as far as it can be, and everybody can read what is written of it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from oq.dialects.growing_text import GrowingText, RepeatedText
from oq.dialects.reading import UNREADABLE, read, read_object, sound, whole_text, with_halves, write

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
"""Texts have halves of surrogate pairs, and numbers may be none."""


@pytest.mark.parametrize(
    ("data", "written"),
    [
        (b'{"a":NaN,"b":-Infinity}', b'{"a":null,"b":null}'),
        (b'"\\ud83e"', '"\ufffd"'.encode()),
        (b'{"\\udd99":["\\ud83e\\udd99"]}', '{"\ufffd":["🦙"]}'.encode()),
        (b'"\xff"', '"\ufffd"'.encode()),
        (b"1e999", b"null"),
        (b'\xef\xbb\xbf{"a":1}', b'{"a":1}'),
        (b"9" * 5000, b"null"),
        (b"123456789012345678901234567890", b"123456789012345678901234567890"),
    ],
)
def test_what_is_almost_json(data, written):
    assert write(read(data)) == written


@pytest.mark.parametrize("data", [b"", b"{", b"<html>", b"'a'", b"\0", b"[" * 100_000, b"{} {}"])
def test_what_is_no_json(data):
    assert read(data) is UNREADABLE
    assert read_object(data) is None


@given(ANY)
def test_everybody_can_read_what_is_written(value):
    written = write(read(json.dumps(value).encode()))
    assert msgspec.json.encode(msgspec.json.decode(written)) == written
    assert write(read(with_halves(value))) == written


@given(ANY)
def test_what_is_sound_stays_as_it_is(value):
    document = json.dumps(value).encode()
    kept = bytes(sound(Raw(document)))
    assert msgspec.json.decode(kept, strict=False) is not UNREADABLE
    if b"\\ud" not in document and b"NaN" not in document and b"Infinity" not in document:
        assert kept == document


def test_what_is_nested_too_deeply_is_cut_off():
    deep = json.loads("[" * 900 + "1" + "]" * 900)
    assert write({"\ud83e": deep}).startswith('{"\ufffd":[[['.encode())


@given(st.lists(st.text(st.characters(min_codepoint=0xD700, max_codepoint=0x10010), max_size=3)))
def test_a_text_is_the_same_however_it_was_cut(bits):
    growing = GrowingText()
    for bit in bits:
        growing.add(bit)
    assert bool(growing) or not growing.text()
    assert growing.text() == whole_text("".join(bits))


@given(st.lists(st.sampled_from(["", "a", "b", "\ud83e", "\udd99"])))
def test_what_is_said_again_is_a_constant_and_all_else_grows(bits):
    repeated = RepeatedText("")
    for bit in bits:
        repeated.add(bit)
    grew = len({bit for bit in bits if bit}) > 1
    assert repeated.grew is grew
    text = "".join(bits) if grew else next((bit for bit in bits if bit), "")
    assert msgspec.json.decode(repeated.raw()) == whole_text(text)


@pytest.mark.parametrize(
    ("data", "sounds"),
    [(b'{"a":NaN}', b'{"a":null}'), (b'{"a":"\xff"}', b'{"a":"\xef\xbf\xbd"}'), (b"{", b"null")],
)
def test_what_not_everybody_can_read_is_made_readable(data, sounds):
    assert bytes(sound(Raw(data))) == sounds
