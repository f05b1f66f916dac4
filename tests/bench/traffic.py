"""Files of traffic for the experiments."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def trace(path: Path, seconds: Iterable[float], *, uneven: bool = False) -> Path:
    """A file with a request at each of these seconds: 1 s for its prompt, 2 s for its answer, or
    between 0.4 s and 3.6 s.
    """
    lines = (
        f"2023-11-16 18:{s // 60:02.0f}:{s % 60:09.6f}0,5000,{20 + 37 * n % 161 if uneven else 100}"
        for n, s in enumerate(seconds)
    )
    path.write_text(HEAD + "\n".join(lines) + "\n")
    return path
