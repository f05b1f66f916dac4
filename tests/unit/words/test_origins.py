"""Origins of web pages, and patterns of them: which match, and which are refused with a reason."""

from __future__ import annotations

import pytest

from oq.words.config import to_config
from oq.words.errors import InvalidConfig
from oq.words.origins import matcher, wrong_with

MATCHING = [
    ("*", "https://anything.example"),
    ("*", "null"),
    ("null", "null"),
    ("https://App.example/", "https://app.example"),
    (" https://app.example ", "https://app.example"),
    ("http://localhost:*", "http://localhost:3000"),
    ("http://*", "http://a.example:80"),
    ("https://*.example.com", "https://a.b.example.com"),
    ("https://*.example.com", "HTTPS://A.example.com"),
    ("https://app.example:8*", "https://app.example:8080"),
    ("http*://app.example", "https://app.example"),
    ("*://app.example", "http://app.example"),
    ("*.example.com", "https://a.example.com"),
    ("chrome-extension://*", "chrome-extension://abcdefgh"),
    ("moz-extension://*", "moz-extension://0-1-2"),
    ("app://obsidian.md*", "app://obsidian.md"),
    ("app://*", "app://"),
    ("file://*", "file://"),
    ("http://192.168.1.*", "http://192.168.1.7"),
    ("http://[fd00::1]:*", "http://[fd00::1]:3000"),
]


@pytest.mark.parametrize(("pattern", "origin"), MATCHING)
def test_what_matches(pattern: str, origin: str):
    assert wrong_with(pattern) is None
    assert matcher([pattern])(origin)


OTHERS = [
    ("https://app.example", "http://app.example"),
    ("https://app.example", "https://app.example:8080"),
    ("https://app.example", "https://app.example.evil.example"),
    ("http://localhost:*", "http://localhost"),
    ("http://localhost:*", "http://localhost.evil.example:80"),
    ("http://localhost:*", "http://localhost:80.evil.example"),
    ("http://localhost:*", "http://localhost:80@evil.example"),
    ("http://localhost:*", "http://localhost:x"),
    ("http://localhost:*", "http://localhost:"),
    ("http://localhost:*", "http://localhost:3000/path"),
    ("http://localhost:*", "http://localhost:3000?query"),
    ("http://localhost:*", "http://localhost:3000#part"),
    ("http://localhost:*", "http://localhost:3000, http://evil.example"),
    ("https://*.example.com", "https://example.com"),
    ("https://*.example.com", "https://evil.example/.example.com"),
    ("https://*.example.com", "https://evil.example#.example.com"),
    ("https://*.example.com", "https://evil.example\\.example.com"),
    ("https://*.example.com", "https://user@a.example.com"),
    ("https://ab*ba.example", "https://aba.example"),
    ("*.example.com", ".example.com"),
    ("app://*", "http://app://x"),
    ("app://*", "xapp://obsidian.md"),
    ("app://*", "app:/obsidian.md"),
    ("app://*", "app://a b"),
    ("*://app.example", "null"),
    ("https://app.example", "null"),
    ("https://app.example", ""),
    ("http://*", "http://"),
    ("http://*", "http://" + "a" * 2000),
]


@pytest.mark.parametrize(("pattern", "origin"), OTHERS)
def test_what_does_not(pattern: str, origin: str):
    assert not matcher([pattern])(origin)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("https://*.example.*", "more than one *"),
        ("", "no scheme"),
        ("app.example", "no scheme; write http://app.example"),
        ("localhost:*", "no scheme"),
        ("https://app.example/path", "has a path"),
        ("https://app.example/*", "has a path"),
        ("http*://app.example/x", "has a path"),
        ("https://me@app.example", "user"),
        ("https://app.example?x=1", "no origin"),
        ("https://a.example, https://b.example", "commas"),
        ("https://a.example:port", "no origin"),
        ("https://", "no origin"),
        ("://app.example", "no origin"),
    ],
)
def test_a_pattern_that_could_not_work_is_refused_with_a_reason(pattern: str, why: str):
    assert why in (wrong_with(pattern) or "")
    for section in ("server", "gateway"):
        with pytest.raises(InvalidConfig) as error:
            to_config({section: {"allowed_origins": ["https://fine.example", pattern]}})
        assert str(error.value).startswith(f"{section}.allowed_origins[1]: ")
        assert why in str(error.value)
