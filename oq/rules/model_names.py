"""Names of models, as Ollama reads them."""

from __future__ import annotations

from functools import lru_cache

LATEST = ":latest"
KEPT = 1024
"""Names of which the one name is kept: it is asked for several times for each task."""


def full_name(name: str) -> str:
    """The name with its tag: one without a tag means the tag latest."""
    return name if ":" in name.rpartition("/")[2] else name + LATEST


@lru_cache(KEPT)
def one_name(name: str) -> str:
    """The one name for people of a model that has several: without the tag latest."""
    return name.removesuffix(LATEST) or name
