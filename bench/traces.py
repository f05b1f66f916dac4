"""Real traffic: who asked a language model when, with how many tokens.

A file has the columns TIMESTAMP, ContextTokens and GeneratedTokens, as those of
https://github.com/Azure/AzurePublicDataset (CC BY 4.0). None is in this repository. OQ_TRACES is a
folder that has some. Where there is none, some experiments make traffic up.
"""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import pi, sin
from pathlib import Path
from random import Random
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


def made_up(seed: int, seconds: int = 3600) -> list[Sent]:
    """Requests of a chat service that there is not. They come by chance, more of them in the second
    half of each quarter of an hour. How many, and how long prompts and answers are, is as in the
    traffic of 2023 of a real one: log-normal, with a mean of 1,150 and of 210 tokens.
    """
    draw, at = Random(seed), 0.0
    requests: list[Sent] = []
    while True:
        at += draw.expovariate(5.5 * (1.0 - 0.4 * sin(2 * pi * at / 900)))
        if at >= seconds:
            return requests
        prompt, answer = draw.lognormvariate(6.55, 1.0), draw.lognormvariate(5.02, 0.8)
        sent = datetime(2023, 11, 16, 18, tzinfo=UTC) + timedelta(seconds=at)
        requests.append(Sent(sent, 1 + int(prompt), 1 + int(answer)))


def _time(text: str) -> datetime:
    """Fractions beyond microseconds are left out. The zone is not told, and does not matter."""
    return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)
