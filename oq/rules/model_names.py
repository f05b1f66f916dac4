"""Names of models, as Ollama reads them."""

from __future__ import annotations

LATEST = ":latest"


def full_name(name: str) -> str:
    """The name with its tag: one without a tag means the tag latest."""
    return name if ":" in name.rpartition("/")[2] else name + LATEST
