"""Calls of tools are told apart, whatever servers say of their index, their id and their name."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects.deltas import MAX_ITEMS
from oq.dialects.tool_calls import ToolCalls

CITY, ZONE = '{"city": "Paris"}', '{"zone": "{CET}"}'


def calls(*chunks: list[Any], indexed: bool = False) -> list[Any]:
    together = ToolCalls()
    for parts in chunks:
        together.add(parts)
    return msgspec.json.decode(msgspec.json.encode(together.whole(indexed=indexed)))


def part(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"function": {k: v for k, v in function.items() if v is not None}, **more}


def names(said: list[Any]) -> list[tuple[str, Any]]:
    return [(call["function"]["name"], call["function"]["arguments"]) for call in said]


BOTH = [("get_weather", CITY), ("get_time", ZONE)]
TWICE = [("get_weather", CITY), ("get_weather", ZONE)]


@pytest.mark.parametrize("step", [1, 5, 100])
@pytest.mark.parametrize("wanted", [BOTH, TWICE])
@pytest.mark.parametrize(
    "way",
    ["by the rules", "index 0", "index 0, no ids", "no index", "no index, no ids", "names again",
     "ids again", "ids and names again", "a new id in each part", "the same id"],
)  # fmt: skip
def test_two_calls(way, wanted, step):
    chunks = []
    for number, (name, arguments) in enumerate(wanted):
        bits = [arguments[at : at + step] for at in range(0, len(arguments), step)]
        for at, bit in enumerate(bits):
            said: dict[str, Any] = {}
            if "no index" not in way:
                said["index"] = 0 if "index 0" in way else number
            if "no ids" not in way and (at == 0 or "ids" in way):
                said["id"] = f"call_{number}"
            if way == "a new id in each part":
                said["id"] = f"call_{number}_{at}"
            if way == "the same id" and at == 0:
                said["id"] = "call"
            again = at == 0 or "names" in way
            chunks.append([part(name if again else None, bit, type="function", **said)])
    assert names(calls(*chunks)) == wanted


def test_calls_in_one_list_without_an_index():
    said = calls(
        [part("f", "{", id="a"), part("g", "", id="b")],
        [part(None, '"x":1}'), part(None, "{}")],
    )
    assert names(said) == [("f", '{"x":1}'), ("g", "{}")]


def test_parts_that_alternate_are_told_apart_by_their_id():
    said = calls(
        [part("f", "{", index=0, id="a")], [part("f", "{", index=0, id="b")],
        [part(None, '"x":1}', index=0, id="a")], [part(None, '"y":2}', index=0, id="b")],
    )  # fmt: skip
    assert names(said) == [("f", '{"x":1}'), ("f", '{"y":2}')]


def test_a_part_that_says_nothing_of_its_call_goes_on_with_the_last():
    said = calls([part("f", "{}", index=0)], [part("g", "{", index=1)], [part(None, "}")])
    assert names(said) == [("f", "{}"), ("g", "{}")]


@pytest.mark.parametrize("arguments", [None, ""])
def test_arguments_that_are_left_out_are_an_empty_object(arguments):
    """As the whole answers of servers have them, which clients read."""
    said = calls([part("f", arguments, index=0, id="a")], [part("g", "{}", index=1, id="b")])
    assert names(said) == [("f", "{}"), ("g", "{}")]


def test_a_name_may_come_in_parts():
    for bits in (["get_", "weather"], ["get_", "get_weather"], ["get_weather", "get_weather"]):
        chunks = [[part(bit, index=0, id="a")] for bit in bits]
        assert names(calls(*chunks, [part(None, CITY, index=0)])) == [("get_weather", CITY)]


def test_arguments_may_be_objects():
    said = calls(
        [part("f", {"n": 1}, index=0)], [part("f", {"n": 2}, index=0)], [part("g", {}, index=0)]
    )
    assert names(said) == [("f", {"n": 1}), ("f", {"n": 2}), ("g", {})]


@pytest.mark.parametrize("arguments", [CITY, {"city": "Paris"}])
def test_a_call_that_is_said_once_more_is_one_call(arguments):
    whole = part("f", arguments, index=0, id="a", type="function")
    assert names(calls([whole], [whole])) == [("f", arguments)]


def test_calls_are_given_by_their_index():
    said = calls([part("g", "{}", index=1.0)], [part("f", "{}", index=0)], indexed=True)
    assert [(call["index"], call["function"]["name"]) for call in said] == [(0, "f"), (1.0, "g")]
    assert all("index" not in call for call in calls([part("g", "{}", index=1)]))


@pytest.mark.parametrize(
    "odd",
    [None, 1, [], {}, {"function": None}, {"function": 3, "index": "x"}, {"index": [], "id": 4},
     {"function": {"name": 3, "arguments": 4}}, {"function": {"arguments": []}}],
)  # fmt: skip
def test_what_is_odd_does_no_harm(odd):
    said = calls([part("f", "{", index=0)], [odd], [part(None, "}", index=0)])
    assert names(said)[0] == ("f", "{}")


def test_other_fields_of_a_call_are_kept():
    extra = {"google": {"thought_signature": "abc"}}
    [said] = calls([part("f", "{}", index=0, extra_content=extra)], [part(None, "", index=0)])
    assert said["extra_content"] == extra
    [said] = calls([{"type": "custom", "custom": {"name": "f", "input": "a"}}],
                   [{"custom": {"input": "a"}}])  # fmt: skip
    assert said == {"type": "custom", "custom": {"name": "f", "input": "aa"}}


def test_more_calls_than_are_kept_are_left_out():
    parts = [part("f", "{}", index=n) for n in range(MAX_ITEMS + 5)]
    assert len(calls(parts)) == MAX_ITEMS


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["f", "g"]),
            st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.integers(), max_size=3),
        ),
        min_size=1, max_size=4,
    ),
    st.data(),
)  # fmt: skip
def test_whatever_the_arguments_and_wherever_they_are_cut(wanted, data):
    """All calls have the index 0 and no ids, and each part says the name again."""
    chunks, expected = [], []
    for name, arguments in wanted:
        text = json.dumps(arguments, ensure_ascii=data.draw(st.booleans()))
        cuts = sorted(data.draw(st.lists(st.integers(1, len(text) - 1), max_size=4, unique=True)))
        bits = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        chunks += [[part(name, bit, index=0)] for bit in bits]
        expected.append((name, text))
    assert names(calls(*chunks)) == expected
