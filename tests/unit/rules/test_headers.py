"""Which headers pass between a caller and a backend."""

from __future__ import annotations

import pytest

from oq.rules.headers import down, up, up_with_call

CALLERS = [
    (b"Host", b"oq"),
    (b"Authorization", b"Bearer first"),
    (b"authorization", b"Bearer second"),
    (b"User-Agent", b"client/1.2 (of someone; at home)"),
    (b"Anthropic-Version", b"2023-06-01"),
    (b"X-Request-ID", b"7"),
    (b"Cookie", b"secret"),
]


def test_with_a_call_goes_what_changes_its_answer_and_the_product_alone_of_a_program():
    assert up_with_call(CALLERS, authorization=False) == (
        (b"user-agent", b"client/1.2"),
        (b"anthropic-version", b"2023-06-01"),
        (b"x-request-id", b"7"),
    )


def test_of_a_callers_keys_the_first_goes_if_any_does():
    sent = up_with_call(CALLERS, authorization=True)
    assert [value for name, value in sent if name == b"authorization"] == [b"Bearer first"]


def test_a_program_without_a_name_sends_none():
    assert up_with_call([(b"User-Agent", b"(nobody)")], authorization=False) == ()


def test_with_another_request_less_goes_and_what_is_named():
    assert up(CALLERS) == [(b"X-Request-ID", b"7")]
    assert up(CALLERS, b"host") == [(b"Host", b"oq"), (b"X-Request-ID", b"7")]


@pytest.mark.parametrize(
    ("location", "passes"),
    [
        (b"/v1/models", True),
        (b"//elsewhere/", False),
        (b"/\\elsewhere/", False),
        (b"http://elsewhere/", False),
    ],
)
def test_a_redirect_passes_to_another_path_only(location, passes):
    assert down([(b"Location", location), (b"Set-Cookie", b"x")]) == (
        [(b"location", location)] if passes else []
    )
