"""Errors that a server states within an answer: their status, and whether a retry may help."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from oq.dialects.answer_errors import states_error
from oq.dialects.stated_errors import MAX_STATED, check_stated, is_final, stated
from oq.words.errors import BackendFailure, BackendRejected


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 400}, 400), ({"code": "400"}, 400), ({"code": 400.0}, 400), ({"code": 413}, 413),
        ({"code": 200, "type": "rate_limit_error"}, 429), ({"code": 700}, 500), ({"code": -1}, 500),
        ({"code": None, "type": None}, 500), ({"code": [], "type": {}}, 500), ({"code": True}, 500),
        ({"type": "exceed_context_size_error", "n_ctx": 4096}, 400),
        ({"type": "invalid_request_error"}, 400), ({"code": "context_length_exceeded"}, 400),
        ({"type": "BadRequestError"}, 400), ({"type": "overloaded_error"}, 529),
        ({"type": "unavailable_error"}, 503), ({"type": "not_supported_error"}, 501),
        ({"code": "insufficient_quota"}, 429), ({"type": "of a newer version"}, 500),
        ({"status": 503}, 503), ({"status_code": 404, "status": "404 Not Found"}, 404),
    ],
)  # fmt: skip
def test_the_status_of_an_error(error, status):
    inside = json.dumps({"error": {"message": "kaput", **error}}).encode()
    outside = json.dumps({"error": "kaput", **error}).encode()
    flat = json.dumps({"object": "error", "message": "kaput", **error}).encode()
    for document in (inside, outside, flat):
        told = stated(document, b"data: " + document)
        assert (told.status, told.body, told.frame) == (status, document, b"data: " + document)
        assert isinstance(told, BackendRejected) is is_final(status)
        assert str(told) == "the backend broke off with an error: kaput"
        with pytest.raises(type(told), match="kaput") as caught:
            check_stated(document)
        assert (caught.value.status, caught.value.body) == (status, document)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 501, 508])
def test_what_is_final(status):
    assert is_final(status)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529, 599])
def test_what_may_work_another_time(status):
    assert not is_final(status)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"null", b"RIFF\0\xff", b'{"error":null}', b'{"error":""}',
     b'{"error":false,"choices":[]}', b'{"choices":[],"message":"a warning"}', b'{"data":[NaN]}'],
)  # fmt: skip
def test_what_states_no_error(body):
    check_stated(body)


@pytest.mark.parametrize("choices", [b"7", b"[7]", b"[NaN]", b'"\xff"', b"[" * 5000])
def test_beside_choices_that_cannot_be_read_it_is_an_error(choices):
    """Only choices that have ended make an answer of it."""
    assert states_error({"error": Raw(b'"kaput"'), "choices": Raw(choices)})


@pytest.mark.parametrize("body", [b'{"error":"kaput","x":NaN}', b'{"error":"kaput","x":"\\ud83e"}'])
def test_an_error_is_found_in_what_is_almost_json(body):
    with pytest.raises(BackendFailure, match="kaput") as caught:
        check_stated(body)
    assert caught.value.body == body


def test_a_long_error_is_cut():
    document = b'{"error":"%b"}' % (b"xxxx," * MAX_STATED)
    told = stated(document, document)
    assert told.body == document[: MAX_STATED - 1]  # a word that may be cut is left out
    assert told.frame is None
