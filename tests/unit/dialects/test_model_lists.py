"""Lists of models of several servers as one: what is sent stays as it is, and nothing spoils it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects.model_lists import ListForm, entries_of, merge, merged
from oq.rules.model_names import full_name

OLLAMA = ListForm("models", "name")
OPENAI = ListForm("data", "id", b'"object":"list",')


def anything(_name: str) -> bool:
    return True


def merged_bodies(form: ListForm, *bodies: bytes) -> bytes | None:
    return merge([(body, anything) for body in bodies], form)


def test_entries_stay_as_they_were_sent():
    one = b'{"models":[ {"name" : "a",  "size":1.50e3, "x":"\\u00e9"} ],"more":1}'
    two = b'\n{"models":[{"size":2,"name":"b:1"},{"name":"a:latest","size":7}]}\n'
    assert merged_bodies(OLLAMA, one, two) == (
        b'{"models":[{"name" : "a",  "size":1.50e3, "x":"\\u00e9"},{"size":2,"name":"b:1"}]}'
    )


def test_a_list_of_openais_says_that_it_is_one():
    body = merged_bodies(OPENAI, b'{"data":[{"id":"a"}],"object":"list"}', b'{"data":null}')
    assert body == b'{"object":"list","data":[{"id":"a"}]}'


def test_what_the_settings_leave_out_is_left_out():
    body = b'{"data":[{"id":"a"},{"id":"b"}]}'
    only_b = merge([(body, lambda name: name == "b")], OPENAI)
    assert only_b == b'{"object":"list","data":[{"id":"b"}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'{"error":"x"}',
        b'{"models":7}',
        b'{"models":{}}',
        b'{"models":"x"}',
        b'{"models":[}',
        b'{"models":[{"name":"a","x":NaN}]}',
        b'{"models":[{"name":"a"}]',
        b'{"models":[{"name":"a"}]} x',
        b'{"models":' + b"[" * 100_000,
        b'{"models":' + b'{"models":' * 100_000,
    ],
)
def test_what_is_no_list(body):
    assert entries_of(body, OLLAMA) is None
    good = b'{"models":[{"name":"a"}]}'
    assert merged_bodies(OLLAMA, body, good) == merged_bodies(OLLAMA, good, body) == good
    assert merged_bodies(OLLAMA, body) is None


@pytest.mark.parametrize(
    "entry",
    [
        b"7",
        b"null",
        b'"a"',
        b"[]",
        b"{}",
        b'{"name":7}',
        b'{"name":null}',
        b'{"name":""}',
        b'{"name":["a"]}',
        b"[" * 900 + b"]" * 900,
    ],
)
def test_what_names_no_model_is_left_out(entry):
    body = b'{"models":[%b,{"name":"a"},%b]}' % (entry, entry)
    assert merged_bodies(OLLAMA, body) == b'{"models":[{"name":"a"}]}'


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b'{"name":"a","x":"\xff\xfe"}', "a"),
        (b'{"name":"a","x":"\\ud800"}', "a"),
        (b'{"name":"a\\ud800"}', "a\ufffd"),
        (b'{"name":"a","x":' + b"[" * 500 + b"]" * 500 + b"}", "a"),
    ],
)
def test_what_not_everybody_can_read_does_not_spoil_the_others(sent, name):
    body = merged_bodies(OLLAMA, b'{"models":[%b]}' % sent, b'{"models":[{"name":"b"}]}')
    assert body is not None
    listed = msgspec.json.decode(body)["models"]
    assert [entry["name"] for entry in listed] == [name, "b"]


def test_many_entries():
    names = [f"model{number}:tag" for number in range(10_000)]
    entries = b",".join(b'{"name":"%b","size":%d}' % (name.encode(), 7) for name in names)
    body = merged_bodies(OLLAMA, b'{"models":[%b]}' % entries, b'{"models":[%b]}' % entries)
    assert body == b'{"models":[%b]}' % entries


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
names = st.sampled_from(["a", "a:latest", "b", "c:1", "o/d", "é", ""]) | json_values
entries = st.builds(lambda name, rest: {**rest, "id": name}, names, st.dictionaries(
    st.text(max_size=5), json_values, max_size=3)) | json_values  # fmt: skip
lists = st.lists(st.builds(lambda data: {"data": data}, st.lists(entries, max_size=5)), max_size=4)


@given(lists)
def test_each_model_is_there_once_by_its_first_entry(sent):
    bodies = [json.dumps(one, ensure_ascii=False).encode("utf-8") for one in sent]
    first: dict[str, object] = {}
    for one in sent:
        for entry in one["data"]:
            if isinstance(entry, dict) and isinstance(name := entry.get("id"), str) and name:
                first.setdefault(full_name(name), entry)
    body = merged_bodies(OPENAI, *bodies)
    if not bodies:
        assert body is None
        return
    assert body is not None
    assert json.loads(body) == {"object": "list", "data": list(first.values())}
    for entry in first.values():
        assert json.dumps(entry, ensure_ascii=False).encode("utf-8") in body


def test_nothing_is_a_list_of_nothing():
    assert merged([[]], OLLAMA) == b'{"models":[]}'
