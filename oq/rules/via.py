"""Finds loops of requests between servers of oq.

Each oq adds its mark to the header X-OQ-Via. One that finds its own mark there is calling itself.
HTTP has the same for proxies (RFC 9110, 7.6.3).
"""

from __future__ import annotations

import re

from oq.words.errors import LoopDetected

HEADER = "X-OQ-Via"
MOST = 16
"""Marks on one way: more than anybody has built on purpose."""

_MARK = re.compile(r"[0-9a-f]{16}")


def add_mark(way: str, mark: str) -> str:
    """The way with this mark added."""
    return f"{way}, {mark}" if way else mark


def check_loop(way: str | None, mark: str) -> str:
    """The marks on a request that has come to the oq with this mark; other text is left out.

    LoopDetected if it has been here, or comes too long a way.
    """
    marks = _MARK.findall(way or "")
    if mark in marks:
        raise LoopDetected(
            "this request has come back to the oq that sent it on: a backend's address"
            " (OLLAMA_HOST, ollama.host or backends) leads to oq itself; let it name the server"
            " that runs the models"
        )
    if len(marks) >= MOST:
        raise LoopDetected(f"this request has come through {len(marks)} servers of oq: too many")
    return ", ".join(marks)
