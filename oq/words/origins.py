"""Origins of web pages, and patterns of them, such as ``chrome-extension://*``.

A browser says in the header `Origin` which page a request comes from: ``https://app.example:8080``,
or `null` if it does not want to tell (https://www.rfc-editor.org/rfc/rfc6454#section-6.2). Patterns
are those that Ollama takes in OLLAMA_ORIGINS: one `*` in an origin stands for any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

ANY = "*"
"""The pattern of every origin, `null` included."""
MAX_ORIGIN = 1024
"""Characters of an origin. Hosts have at most 253."""

_WEB = re.compile(r"https?://(?:\[[0-9a-f:.]{2,45}\]|[^][\\/?#@:%,\s]+)(?::[0-9]{1,5})?")
"""An origin of the web. It has no user, no path, and a port that is a number."""
_APP = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*://[!-~]*")
"""An origin of a program that shows pages of its own. No page of the web can have one."""
_NULL = "null"
_WEB_SCHEMES = ("http", "https")
_NO_PART = re.compile(r"[\s@?#\\,]")


def is_origin(text: str) -> bool:
    """Whether a browser could send this lower-case text as the origin of a page that it names."""
    if len(text) > MAX_ORIGIN:
        return False
    return bool(_WEB.fullmatch(text) or _APP.fullmatch(text))


def normal(pattern: str) -> str:
    """The pattern in lower case, as it is compared. A slash at its end is left out."""
    text = pattern.strip().lower()
    return text if text.endswith("://") else text.removesuffix("/")


def wrong_with(pattern: str) -> str | None:
    """Why this pattern would never match, or would not match what it seems to; None if it works."""
    text = normal(pattern)
    if text in (ANY, _NULL):
        return None
    if text.count(ANY) > 1:
        return f"{pattern!r} has more than one *; write one pattern for each"
    if _NO_PART.search(text):
        return f"{pattern!r} is no origin: an origin has no spaces, commas, user, ? or #"
    scheme, colon, rest = text.partition("://")
    if not colon and not text.startswith(ANY):
        return f"{pattern!r} has no scheme; write http://{pattern}, or *://{pattern}"
    if "/" in rest and _is_web(scheme):
        return f"{pattern!r} has a path; an origin is only a scheme, a name and a port"
    if ANY not in text and not is_origin(text):
        return f"{pattern!r} is no origin; write a scheme, a name and a port: http://a.example:8080"
    return None


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether an origin, as a browser sent it, matches one of the patterns.
    Whatever is not in the form of an origin matches none but `*`.
    """
    exact: set[str] = set()
    ends: list[tuple[str, str]] = []
    for text in map(normal, patterns):
        begin, star, end = text.partition(ANY)
        if star:
            ends.append((begin, end))
        else:
            exact.add(text)
    everything = ("", "") in ends

    def matches(origin: str) -> bool:
        text = origin.lower()
        if everything or text in exact:
            return True
        return is_origin(text) and any(_is_between(text, begin, end) for begin, end in ends)

    return matches


def _is_between(text: str, begin: str, end: str) -> bool:
    long_enough = len(text) >= len(begin) + len(end)
    return long_enough and text.startswith(begin) and text.endswith(end)


def _is_web(scheme: str) -> bool:
    """Whether the scheme, which may have a star in it, can be that of the web."""
    begin, star, end = scheme.partition(ANY)
    if not star:
        return scheme in _WEB_SCHEMES
    return any(_is_between(web, begin, end) for web in _WEB_SCHEMES)
