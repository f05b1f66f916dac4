"""What oq reads of a call's body, and the one thing that it changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.call_body import read_call, split_body, upstream_body, with_member
from oq.words.endpoints import ENDPOINTS
from oq.words.errors import InvalidTask

CHAT, GENERATE, EMBED = (ENDPOINTS[f"/api/{name}"] for name in ("chat", "generate", "embed"))
COMPLETIONS = ENDPOINTS["/v1/chat/completions"]

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


@given(MEMBERS, JSON, LAYOUTS)
def test_only_the_member_itself_changes(members: dict[str, Any], old: Any, layout: dict[str, Any]):
    """Whatever stands around it, and wherever else its name occurs."""
    given = {**members, "stream": "OLD VALUE", "last": {"stream": old}}
    body = json.dumps(given, **layout).encode("utf-8", "surrogatepass")
    changed = with_member(body, "stream", b"true")
    assert changed == b"true".join(parts(body, b'"OLD VALUE"'))
    assert json.loads(changed) == {**given, "stream": True}


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


@pytest.mark.parametrize(
    ("call", "said", "streams"),
    [
        (CHAT, "", True),
        (CHAT, ', "stream": null', True),
        (CHAT, ', "stream": false', False),
        (GENERATE, ', "stream": true', True),
        (EMBED, ', "stream": true', False),
        (COMPLETIONS, "", False),
        (COMPLETIONS, ', "stream": true', True),
    ],
)
def test_whether_a_call_streams(call, said, streams):
    body = f'{{"model": "m"{said}}}'.encode()
    assert read_call(call, body) == ("m", streams)
    if streams or call is EMBED:
        assert upstream_body(call, body) is body


def test_a_call_that_does_not_stream_does_upstream():
    body = b'{"model": "m", "stream": false, "messages": [ ]}'
    assert upstream_body(CHAT, body) == b'{"model": "m", "stream": true, "messages": [ ]}'


def test_a_call_of_openais_keeps_its_counts():
    assert json.loads(upstream_body(COMPLETIONS, b'{"model": "m", "n": 2}')) == {
        "stream_options": {"include_usage": True},
        "stream": True,
        "model": "m",
        "n": 2,
    }
    given = b'{"model": "m", "stream": false, "stream_options": {"x": 1}}'
    assert json.loads(upstream_body(COMPLETIONS, given))["stream_options"] == {
        "x": 1,
        "include_usage": True,
    }


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'{"model": ""}', b'{"model": 3}'])
def test_what_is_no_call_is_refused(body):
    with pytest.raises(InvalidTask):
        read_call(CHAT, body)


def test_it_is_shown_as_other_tasks_are():
    body = b'{"model": "m", "b": [1 , 2], "stream": false, "options": {"seed": 1}, "a": "x"}'
    shown = split_body(body)
    assert (shown.payload, shown.options) == (b'{"b":[1 , 2],"a":"x"}', b'{"seed": 1}')
    assert split_body(b'{"model": "m", "options": null}').options == b"{}"


def test_what_is_deep_is_passed_over_however_it_is_nested():
    deep = b'[[{"stream": [{"a": "}"}, "]", [[]]]}, {}], "\\"[", {"b": {"c": [1, {"d": []}]}}]'
    body = b'{"x": ' + deep + b', "stream": false, "y": {"z": ' + deep + b"}}"
    assert with_member(body, "stream", b"true") == body.replace(b"false", b"true")
