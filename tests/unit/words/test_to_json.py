"""What cannot be written as JSON is named."""

from __future__ import annotations

import msgspec
import pytest

import oq
from oq.words.errors import InvalidTask
from oq.words.to_json import DEEPEST, to_json


class Thing:
    def __repr__(self) -> str:
        return "<Thing>"


def deep(levels: int) -> object:
    value: object = Thing()
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("metadata", "where", "what"),
    [
        ({(1,): 2}, "metadata", "the key (1,) is no text; write it as one"),
        ({"a": {None: 1}}, "metadata.a", "the key None is no text"),
        ({"a": [1, {"b": Thing()}]}, "metadata.a[1].b", "<Thing> is of type Thing; use texts"),
        ({"a": "\ud800"}, "metadata.a", "half of a surrogate pair"),
        ({"\ud800": 1}, "metadata", "is no text"),
        ({"a": deep(DEEPEST + 9)}, "metadata.a[0]", "nested too deeply"),
    ],
)
def test_the_part_is_named_and_why(metadata, where, what):
    with pytest.raises(InvalidTask) as caught:
        to_json(oq.generate("m", "x", metadata=metadata))
    assert caught.value.field.startswith(where)
    assert "cannot be written as JSON" in caught.value.reason
    assert what in caught.value.reason


def test_one_that_contains_itself_is_said_so():
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidTask, match="contains itself"):
        to_json({"a": endless})


def test_all_else_is_written():
    assert msgspec.json.decode(to_json({"a": [1, {"b": None}], 2: (3,)})) == {
        "a": [1, {"b": None}], "2": [3],
    }  # fmt: skip
