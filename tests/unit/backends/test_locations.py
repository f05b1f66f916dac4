"""Where a Location of a backend leads, as its callers ask oq for it."""

from __future__ import annotations

import httpx
import pytest

from oq.backends.locations import as_asked

BOX = "http://box.example:11434"


@pytest.mark.parametrize(
    ("url", "given", "place"),
    [
        (BOX, "http://box.example:11434/api/chat?a=1#b", "/api/chat?a=1#b"),
        (BOX, "HTTP://Box.Example:11434/api/chat", "/api/chat"),
        (BOX, "http://box.example:11434", "/"),
        (BOX, "http://box.example:11434?a", "/?a"),
        (BOX, "/api/chat", "/api/chat"),
        (BOX, "http://box.example/api/chat", None),
        (BOX, "http://box.example:114341/api/chat", None),
        (BOX, "https://box.example:11434/api/chat", None),
        (BOX, "http://box.example:11434@evil.example/api/chat", None),
        (BOX, "http://a@box.example:11434/api/chat", None),
        (BOX, "http://box.example:11434\\@evil.example/", None),
        (BOX, "http://evil.example/http://box.example:11434/api/chat", None),
        (BOX, "//box.example:11434/api/chat", None),
        (BOX, "http://box.example:11434//evil.example/", "//evil.example/"),
        (BOX, "", None),
        ("http://box.example", "http://box.example:80/a", "/a"),
        ("https://box.example", "https://box.example/a", "/a"),
        ("https://box.example:443", "https://box.example/a", "/a"),
        ("http://[::1]:8080", "http://[::1]:8080/a", "/a"),
        (BOX + "/llm", "http://box.example:11434/llm/api/chat", "/api/chat"),
        (BOX + "/llm/", "/llm/api/chat", "/api/chat"),
        (BOX + "/llm", "/llm", None),
        (BOX + "/llm", "/llms/api/chat", None),
        (BOX + "/llm", "/api/chat", None),
    ],
)
def test_a_place_at_the_backend_is_the_path_by_which_oq_has_it(url, given, place):
    headers = [(b"Location", given.encode()), (b"X-Location", given.encode())]
    expected = given if place is None else place
    assert as_asked(headers, httpx.URL(url)) == [
        (b"Location", expected.encode()),
        (b"X-Location", given.encode()),
    ]
