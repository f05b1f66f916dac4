"""What oq reads of the body of a call: what the server that gets it reads, whatever the body is."""

from __future__ import annotations

import json

import pytest

from oq.dialects import DIALECTS, ENDPOINTS, as_shown
from oq.dialects.call_fields import SCANNED, CallFields, first_object, read_fields, read_name
from oq.words.task import Body

# Model and stream as Go's encoding/json reads them into Ollama's ChatRequest.
IN_GO = [
    (b'{"model":"a"}', CallFields("a")),
    (b'{"model":"a","stream":false}', CallFields("a", False)),
    (b' \r\n\t{ "stream" : true , "model" : "a" } ', CallFields("a", True)),
    (b'{"Model":"a","STREAM":false}', CallFields("a", False)),
    (b'{"model":"a","MODEL":"b"}', CallFields("b")),
    (b'{"MODEL":"b","model":"a"}', CallFields("a")),
    (b'{"model":"a","Model":"b","model":"c"}', CallFields("c")),
    (b'{"model":"a","model":"b"}', CallFields("b")),
    (b'{"mod\\u0065l":"a"}', CallFields("a")),
    (b'{"model":"a","\\u0053tream":true}', CallFields("a", True)),
    ('{"model":"a","\u017ftream":true}'.encode(), CallFields("a", True)),
    (b'{"model":"a","model":null,"stream":true,"stream":null}', CallFields("a")),
    (b'{"model":"a"}{"model":"b"}', CallFields("a")),
    (b'{"model":"a"} and more', CallFields("a")),
    (b'{"model":"a\xe9","messages":[{"content":"\xe9"}]}', CallFields("a\ufffd")),
    (b'{"mod\xe9l":"b","model":"a"}', CallFields("a")),
    (b'{"model":"\\ud83e"}', CallFields("\ufffd")),
    (b'{"messages":[{"content":"\\ud83e"}],"model":"a"}', CallFields("a")),
    (b'{"messages":[{"model":"b","stream":true}],"model":"a"}', CallFields("a")),
    (b'{"x":"\\"model\\":\\"b\\"","model":"a"}', CallFields("a")),
    (b'{"x":"\\\\","model":"a"}', CallFields("a")),
    (b'{"x":1e400,"y":%b,"model":"a"}' % (b"1" * 5000), CallFields("a")),
    (b'{"x":%b%b,"model":"a"}' % (b"[" * 5000, b"]" * 5000), CallFields("a")),
    (b'{"model":"a","x":{"y":[{},[],"]}"]}}', CallFields("a")),
    (
        b'{"model":"a","options":{"a":[1]},"shift":false}',
        CallFields("a", None, b'{"a":[1]}', b"false"),
    ),
    (b'{"model":"a","Options":{"a":1},"SHIFT":true}', CallFields("a", None, b'{"a":1}', b"true")),
    ('{"model":"a","option\u017f":{}}'.encode(), CallFields("a", None, b"{}")),
    (b'{"model":"a","options":{},"Options":null,"shift":true,"Shift":null}', CallFields("a")),
    (b'{"model":"a","x":[{"options":{"a":1},"shift":true}]}', CallFields("a")),
    (b'{"model":"a","options":{"b":{"c":[{}]}}}\xff', CallFields("a", None, b'{"b":{"c":[{}]}}')),
]
NOTHING = [
    b"", b" ", b"null", b"[]", b'"model"', b"7", b"{", b"{}", b"{,}", b'{"model"', b'{"model":',
    b'{"model":7}', b'{"model":null}', b'{"model":"a', b'{"model":[]}', b'{"model":{"model":"a"}}',
    b'[{"model":"a"}]', b"\x00", b"\xff\xfe{\x00", b'{"x":"', b'{"x":[[[', b"{'model':'a'}",
    b'{"models":"a","odel":"b","model ":"c"}', b"--", b"--x\r\n", b'--x\r\n name="model"\r\n',
]  # fmt: skip


@pytest.mark.parametrize(("body", "asked"), IN_GO)
def test_it_is_read_as_in_go(body: bytes, asked: CallFields):
    assert read_fields(body, any_case=True) == asked


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b'{"model":"a","stream":true}', CallFields("a", True)),
        (b'{"model":"a","MODEL":"b","Model":"c"}', CallFields("a")),
        (b'{"MODEL":"b","model":"a"}', CallFields("a")),
        (b'{"model":"a","model":"b"}', CallFields("b")),
        (b'{"Model":"a","Stream":true}', CallFields("a", True)),  # Ollama has this API, too
        (b'\xef\xbb\xbf{"model":"a"}', CallFields("a")),
        (b'{"model":"a","model":null}', CallFields("")),
    ],
)
def test_an_exact_name_counts_first_elsewhere(body: bytes, asked: CallFields):
    assert read_fields(body, any_case=False) == asked


@pytest.mark.parametrize("body", NOTHING)
def test_of_what_cannot_be_read_nothing_is(body: bytes):
    for any_case in (False, True):
        assert read_fields(body, any_case=any_case) == CallFields()


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_no_dialect_refuses_a_body(dialect):
    for call in dialect.endpoints:
        for body in NOTHING:
            assert dialect.read(call, body) == (call.model or "", bool(call.streams), "")
            json.loads(as_shown(Body(body, call=call.path)).payload)


def test_whether_names_match_in_any_case():
    body = b'{"model":"a","MODEL":"b"}'
    for path, model in (("/api/chat", "b"), ("/v1/chat/completions", "a")):
        call = ENDPOINTS[path]
        assert call.dialect.read(call, body)[0] == model


def test_a_long_body_is_read_where_it_is_plain():
    images = [{"image": "A" * SCANNED}, {"Model": "b"}]
    plain = json.dumps({"messages": images, "model": "a", "stream": True}).encode()
    assert read_fields(plain, any_case=False) == CallFields("a", True)
    odd = plain.replace(b'"model"', b'"MODEL"')
    assert read_fields(odd, any_case=True) == CallFields()  # passed on all the same
    first = b'{"MODEL":"a","stream":false,' + plain.removeprefix(b"{")
    assert read_fields(first.replace(b'"model"', b'"x"'), any_case=True).model == "a"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b' {"a":1} {"b":2}', b'{"a":1}'),
        (b'{"a":"\xe9"}x', '{"a":"\ufffd"}'.encode()),
        (b'{"a":"\\ud83e"}', b'{"a":"\\ufffd"}'),
        (b'{"a":[{"b":"}"}]}}', b'{"a":[{"b":"}"}]}'),
        (b"{}", b"{}"),
        (b"{", b""),
        (b'{"a":1', b""),
        (b'{"a" 1}', b""),
        (b"[]", b""),
    ],
)
def test_the_first_object_of_a_body(body: bytes, text: bytes):
    assert first_object(body) == text


def test_what_servers_read_of_an_odd_body_is_shown():
    body = b'{"model":"m","stream":false,"prompt":"\xe9","options":{"a":1}} {"model":"n"}'
    shown = as_shown(Body(body, call="/api/generate"))
    assert json.loads(shown.payload) == {"prompt": "\ufffd"}
    assert shown.options == b'{"a":1}'


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"name": "b", "model": "a"}', "a"),
        (b'{"name": "b", "model": ""}', "b"),
        (b'{"name": "b", "model": 7}', "b"),
        (b'{"NAME": "b", "Model": null}', "b"),
        (b'{"source": "b"}', ""),
        (b'{"name": ["b"]}', ""),
        (b"", ""),
        (b'{"name": "' + b"x" * SCANNED + b'"}', ""),
        (b'{"x": "' + b"x" * SCANNED + b'", "model": "a"}', "a"),
    ],
)
def test_the_first_member_that_names_a_model(body, name):
    assert read_name(body, ("model", "name"), any_case=True) == name


def test_a_name_in_another_case_is_none_where_names_are_exact():
    assert read_name(b'{"SOURCE": "b", "x": 1}', ("source",), any_case=True) == "b"
    assert read_name(b'{"x": "source"}', ("source",), any_case=False) == ""
