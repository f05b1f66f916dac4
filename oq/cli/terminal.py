"""Words on the way out: what came from elsewhere must not move a terminal's cursor or colours."""

from __future__ import annotations

import os
import re
import sys
from datetime import datetime
from typing import Any

import msgspec

# C0 and C1 controls, and the marks that reorder what is shown; the second list spares \n and \t.
_UNSEEN = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[\t\n{_UNSEEN}]")
_CONTROL_IN_TEXT = re.compile(f"[{_UNSEEN}]")
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def clean(text: object) -> str:
    """`text` for one line: a control character is shown as Python would write it."""
    return _CONTROL.sub(_escaped, str(text))


def clean_text(text: str) -> str:
    """`text` of many lines: as `clean`, but line breaks and tabs stay."""
    return _CONTROL_IN_TEXT.sub(_escaped, text.replace("\r\n", "\n"))


def local(moment: datetime) -> datetime:
    """The same time where the user is; one at the end of all years stays in its own zone."""
    try:
        return moment.astimezone()
    except (OverflowError, ValueError, OSError):
        return moment


def is_terminal() -> bool:
    """Whether a person reads the output."""
    return sys.stdout.isatty()


def has_colours() -> bool:
    """Whether the output may be styled: a terminal, and nothing says that it must stay plain."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    return is_terminal() and not plain


def complain(message: str) -> None:
    """One line on the standard error."""
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    print(f"oq: {clean(line)}", file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """Indented JSON, in which every control character is escaped."""
    print(_escaped_json(msgspec.json.format(msgspec.json.encode(document), indent=2)))


def json_line(document: Any) -> str:
    """JSON in one line, in which every control character is escaped."""
    return _escaped_json(msgspec.json.encode(document))


def print_rows(rows: list[tuple[object, ...]]) -> None:
    """Rows for programs: one a line, a tab between the cells."""
    for row in rows:
        print("\t".join("" if cell is None else clean(cell) for cell in row))


def _escaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or match[0].encode("unicode_escape").decode()


def _escaped_json(text: bytes) -> str:
    return _CONTROL_IN_TEXT.sub(_json_escaped, text.decode())


def _json_escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
