"""What an answer through oq must have in common with the direct one."""

from __future__ import annotations

import json
import re
from collections import Counter
from http.client import responses

from tests.corpus.cases import HEADERS, Case
from tests.corpus.exchange import Answer

_FRAME_END = re.compile(rb"\n\r?\n|^\{.*\n", re.MULTILINE)
"""The end of an event, or a whole line of JSON."""


def check(case: Case, direct: Answer, through: Answer) -> None:
    """AssertionError if the answer through oq is not the direct one."""
    assert through.ended == "whole", through
    if case.stated is not None:
        assert (through.status, through.body) == (case.stated, _document(direct.body)), through
    elif case.busy:
        assert (direct.status, through.status) == (503, 200), through
    elif case.cut and not (frames := whole_frames(direct.body)):
        assert through.status == 502, through
        assert is_error(through.body), through
    elif case.cut:
        compare_heads(direct, through)
        assert through.body[: len(frames)] == frames
        assert is_error(through.body[len(frames) :]), through
    else:
        compare_heads(direct, through)
        assert through.body == direct.body


def compare_heads(direct: Answer, through: Answer) -> None:
    """The status, the reason if the server gives one, and the headers."""
    assert through.status == direct.status, through
    assert through.reason == (direct.reason or responses.get(direct.status, "")), through
    ours, theirs = (
        Counter((name, value) for name, value in answer.headers if HEADERS.passes(name))
        for answer in (through, direct)
    )
    assert theirs - ours == Counter()
    added = {name for name, _ in ours - theirs}
    assert added <= HEADERS.added - {name for name, _ in direct.headers}
    more = {name for name, _ in through.headers if not HEADERS.passes(name)}
    assert more <= HEADERS.own


def whole_frames(body: bytes) -> bytes:
    """A stream that breaks off, up to the end of its last whole line or event."""
    last = max((found.end() for found in _FRAME_END.finditer(body)), default=0)
    return body[:last]


def is_error(frame: bytes) -> bool:
    """Whether these bytes are one error of some API: alone, as a line, or as an event."""
    lines = [line for line in frame.splitlines() if line]
    return "error" in json.loads(_document(frame)) and len(lines) <= 2


def _document(body: bytes) -> bytes:
    """The JSON of a body, of a line, or of the first event that has data."""
    found = re.search(rb"^data: ?(.*)$", body, re.MULTILINE)
    return found[1] if found else body.removesuffix(b"\n")
