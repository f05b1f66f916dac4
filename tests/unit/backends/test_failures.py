"""Status codes and addresses: the pure parts below the backends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from oq.backends.address import base_url, check_api_key
from oq.backends.failures import parse_retry_after, status_error
from oq.words.errors import BackendFailure, BackendRejected, InvalidConfig

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_these_statuses_are_worth_a_retry(status):
    error = status_error(status, b"busy", retry_after="7", now=NOW)
    assert isinstance(error, BackendFailure)
    assert (error.status, error.retry_after) == (status, 7)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422])
def test_these_statuses_are_final(status):
    error = status_error(status, b'{"error":"no"}', now=NOW)
    assert isinstance(error, BackendRejected)
    assert str(error) == f"the backend answered {status}: no"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0), ("120", 120), (" 1.5 ", 1.5), ("999999999", 86_400),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30), ("Thu, 01 Jan 2026 00:00:30 -0000", 30),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0), ("Fri, 01 Jan 2027 00:00:00 GMT", 86_400),
        ("soon", None), ("", None), ("-5", None), ("nan", None), (None, None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None), ("Mon, 01 Jan 10000 00:00:00 GMT", None),
        (f"Mon, {'9' * 5000} Jan 2026 00:00:00 GMT", None), ("Mon, 32 Jan 2026 00:00:00 GMT", None),
        (f"Thu, 01 Jan 2026 00:00:00 +{'9' * 30}", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0), ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400),
    ],
)  # fmt: skip
def test_retry_after(header, seconds):
    assert parse_retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost", "http://localhost:11434"),
        ("gpu.lan", "http://gpu.lan:11434"),
        ("gpu_box:9", "http://gpu_box:9"),
        ("0.0.0.0:11434", "http://127.0.0.1:11434"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://localhost:11434/", "http://localhost:11434"),
        ("http://gpu.lan", "http://gpu.lan:80"),
        ("https://gpu.lan/ollama/", "https://gpu.lan:443/ollama"),
        ("HTTP://Gpu.LAN:1", "http://gpu.lan:1"),
        (" 'localhost:1' ", "http://localhost:1"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:5", "http://[::1]:5"),
        ("http://[::]:5", "http://[::1]:5"),
    ],
)
def test_addresses_as_people_write_them(text, url):
    assert base_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "  ", "http://", "ftp://x", "unix:///x", "host:port", "host:99999", "http://[::1", "a b",
     "http://x?y=1", "http://x#y", "ho\nst", "http://:11434", "-x", "a..b", "..",
     "http://a..b:1", "a.b.."],
)  # fmt: skip
def test_nonsense_is_no_address(text):
    with pytest.raises(InvalidConfig):
        base_url(text)


@pytest.mark.parametrize(
    "text",
    ["http://me:hunter2@host", "me:hunter2@box:11434", "http://me:hunter2/x@host",
     "http://[me:hunter2@host", "host?key=hunter2"],
)  # fmt: skip
def test_a_secret_in_an_address_is_not_shown(text):
    with pytest.raises(InvalidConfig) as caught:
        base_url(text)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_shown():
    for key in ("", "hunter2\n", " hunter2", "hünter2"):
        with pytest.raises(InvalidConfig) as caught:
            check_api_key(key)
        assert "nter2" not in str(caught.value)
    assert check_api_key("sk-1") == "sk-1"
    assert check_api_key(None) is None
