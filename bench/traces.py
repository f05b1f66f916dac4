"""Real traffic: who asked a language model when, with how many tokens.

A file has the columns TIMESTAMP, ContextTokens and GeneratedTokens, as those of
https://github.com/Azure/AzurePublicDataset (CC BY 4.0). None is in this repository. OQ_TRACES is a
folder that has some.
"""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple


class Sent(NamedTuple):
    """A request of a trace."""

    at: datetime
    prompt_tokens: int
    tokens: int


def trace_file(name: str) -> Path | None:
    """The file of this name in the folder OQ_TRACES; None if it is not there."""
    folder = os.environ.get("OQ_TRACES")
    path = Path(folder or "") / name
    return path if folder and path.exists() else None


def read_requests(path: Path, limit: int | None = None) -> list[Sent]:
    """The first `limit` requests of a trace; ValueError if it is none."""
    with path.open(newline="") as file:
        rows = list(islice(csv.DictReader(file), limit))
    try:
        return [
            Sent(_time(row["TIMESTAMP"]), int(row["ContextTokens"]), int(row["GeneratedTokens"]))
            for row in rows
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no trace: {error}") from None


def _time(text: str) -> datetime:
    """Fractions beyond microseconds are left out. The zone is not told, and does not matter."""
    return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)
