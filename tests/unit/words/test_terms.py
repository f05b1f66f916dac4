"""A term that a user can give is stored, shown, and counts; nobody forgets one on the way."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from oq.rules.fingerprint import fingerprint
from oq.words.new import NewTask
from oq.words.task import Body, RawTask, Submission, Summary, Task, TaskSummary, show, summarise
from oq.words.terms import TermOptions, Terms
from tests.support.builders import checked, new

RUN_AT = datetime(2126, 1, 31, 12, tzinfo=UTC)
SENT = {
    "model": "m",
    "priority": 10,
    "max_retries": 2,
    "run_at": RUN_AT,
    "timeout": 300.0,
    "metadata": Raw(b'{"a":1}'),
    "idempotency_key": "k",
}
"""Each term, with a value that is not the usual one."""
OTHER = {
    "model": "n",
    "priority": 11,
    "max_retries": 3,
    "run_at": None,
    "timeout": 301.0,
    "metadata": Raw(b'{"a": 1}'),
}
TERMS = set(Terms.__struct_fields__) - {"load", "tenant", "conversation"}
"""What a user gives. `load` is made of the options (see `oq.rules.load_options`), `tenant` of the
metadata (see `oq.rules.tenants`), `conversation` of the payload (see `oq.rules.conversations`).
"""
NOT_SHOWN = {"idempotency_key"}
SHOWN = sorted(TERMS - NOT_SHOWN)


def test_these_are_all_terms():
    assert set(SENT) == TERMS
    assert set(OTHER) == set(SHOWN)


@pytest.mark.parametrize("kind", [Task, RawTask, TaskSummary, Summary])
def test_every_view_of_a_task_has_its_terms(kind):
    assert set(kind.__struct_fields__) & {*Terms.__struct_fields__} == set(SHOWN)


def test_every_term_can_be_given():
    assert set(Submission.__struct_fields__) >= TERMS
    assert set(NewTask.__struct_fields__) >= set(SHOWN)
    assert TermOptions.__optional_keys__ == set(SHOWN) - {"model"}


@pytest.mark.parametrize("name", SHOWN)
def test_a_term_is_shown_as_it_was_given(name):
    change = new(key="k", **{name: SENT[name]})
    for view in (show(change.state, change.body), summarise(change.state, "")):
        assert getattr(view, name) == SENT[name]
    assert getattr(change.state.terms, name) in (SENT[name], b'{"a":1}')


@pytest.mark.parametrize("name", sorted(OTHER))
def test_a_key_stands_for_all_terms(name):
    """With another value for any of them it is another task."""
    first = fingerprint(checked(**SENT))
    assert fingerprint(checked(**SENT)) == first
    assert fingerprint(checked(**{**SENT, name: OTHER[name]})) != first


def test_a_key_stands_for_what_it_always_stood_for():
    """Fingerprints are on disk: these are of oq at commit 64a4862."""
    hello, seed = Raw(b'{"prompt":"hello"}'), Raw(b'{"seed":7}')
    sent = {**SENT, "run_at": datetime(2026, 1, 31, 12, tzinfo=UTC), "payload": hello}
    whole = fingerprint(checked(**sent, options=seed))
    assert whole.hex() == "b9c13fcb7ab61bcea5c9557054edb9aa"
    assert fingerprint(checked(model="m", payload=hello)).hex() == (
        "16d1b04677c07753b9f5c70e5ead58f5"
    )


def a_call(**beside: object) -> bytes:
    body = Body(b"{}", call="/v1/rerank", **beside)  # type: ignore[arg-type]
    return fingerprint(replace(checked(model="m"), body=body))


def test_the_key_of_a_call_stands_for_who_pays_and_for_the_query_too():
    plain = a_call()
    assert plain.hex() == "f512ee0a67d8d990fe11eb77ed164a8c"  # as it is on disk
    assert a_call(target="/v2/rerank", headers=((b"x-request-id", b"r"),), way="a") == plain
    paid = {a_call(headers=((b"authorization", key),)) for key in (b"Bearer a", b"Bearer b")}
    asked = {a_call(target=target) for target in ("/v1/rerank?a", "/v1/rerank?b")}
    assert len({plain} | paid | asked) == 5
    assert a_call(target="/v2/rerank?a") in asked


def test_terms_come_back_from_disk_as_they_were():
    terms = checked(**SENT).terms
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(terms), type=Terms) == terms
