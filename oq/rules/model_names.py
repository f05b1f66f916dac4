"""Names of models, as Ollama reads them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache

LATEST = ":latest"
KEPT = 1024
"""Names of which the one name is kept: it is asked for several times for each task."""


@lru_cache(KEPT)
def full_name(name: str) -> str:
    """The name with its tag: one without a tag means the tag latest."""
    return name if ":" in name.rpartition("/")[2] else name + LATEST


@lru_cache(KEPT)
def both_names(name: str) -> tuple[str, str]:
    """The names that this model may have: with the tag latest and without."""
    one = one_name(name)
    return one, one + LATEST


def one_name(name: str) -> str:
    """The one name for people of a model that has several: without the tag latest."""
    return name.removesuffix(LATEST) or name


class NamePattern:
    """A name of the settings, in which `*` stands for any characters and `?` for one."""

    __slots__ = ("_full", "_text")

    def __init__(self, text: str) -> None:
        self._text, self._full = text, full_name(text)

    def fits(self, model: str) -> bool:
        """Whether a model is meant by it, by this name or by the one with its tag."""
        full = full_name(model)
        return (
            fnmatchcase(model, self._text)
            or fnmatchcase(full, self._text)
            or fnmatchcase(full, self._full)
        )
