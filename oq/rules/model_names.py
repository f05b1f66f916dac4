"""Names of models, as Ollama reads them."""

from __future__ import annotations

LATEST = ":latest"


def full_name(name: str) -> str:
    """The name with its tag: one without a tag means the tag latest."""
    return name if ":" in name.rpartition("/")[2] else name + LATEST


def one_name(name: str) -> str:
    """The one name for people of a model that has several: without the tag latest."""
    return name.removesuffix(LATEST) or name
