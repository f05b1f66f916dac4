"""A member of a JSON object changes, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.json_members import with_member

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(['"', "\\", "{:,}"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
MEMBERS = st.dictionaries(st.text() | st.sampled_from(["stream", "options", 'a"b']), JSON)
LAYOUTS = st.sampled_from(
    [{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False, "indent": "\t"}]
)


def parts(whole: bytes, hole: bytes) -> tuple[bytes, bytes]:
    before, _, after = whole.partition(hole)
    return before, after


@pytest.mark.slow
@given(MEMBERS, JSON, LAYOUTS)
def test_only_the_member_itself_changes(members: dict[str, Any], old: Any, layout: dict[str, Any]):
    """Whatever stands around it, and wherever else its name occurs."""
    given = {**members, "stream": "OLD VALUE", "last": {"stream": old}}
    body = json.dumps(given, **layout).encode("utf-8", "surrogatepass")
    changed = with_member(body, "stream", b"true")
    assert changed == b"true".join(parts(body, b'"OLD VALUE"'))
    assert json.loads(changed) == {**given, "stream": True}


@pytest.mark.slow
@given(st.dictionaries(st.text(), JSON), LAYOUTS)
def test_a_member_that_is_missing_is_put_first(members: dict[str, Any], layout: dict[str, Any]):
    members.pop("stream", None)
    body = json.dumps(members, **layout).encode("utf-8", "surrogatepass")
    changed = with_member(body, "stream", b"true")
    assert json.loads(changed) == {**members, "stream": True}
    rest = body.partition(b"{")[2]
    assert changed.endswith(rest)


def test_every_one_of_several_is_replaced():
    """Which one counts depends on who reads it."""
    body = b' { "stream" : false , "m": {"stream": 1}, "str\\u0065am":\n[0, {"a": 2}]\n}'
    assert (
        with_member(body, "stream", b"true")
        == b' { "stream" : true , "m": {"stream": 1}, "str\\u0065am":\ntrue\n}'
    )


def test_what_is_deep_is_passed_over_however_it_is_nested():
    deep = b'[[{"stream": [{"a": "}"}, "]", [[]]]}, {}], "\\"[", {"b": {"c": [1, {"d": []}]}}]'
    body = b'{"x": ' + deep + b', "stream": false, "y": {"z": ' + deep + b"}}"
    assert with_member(body, "stream", b"true") == body.replace(b"false", b"true")
