"""The simulated machine's disk: its models, and the blobs that were uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

_TAG = ":latest"
_FIRST = "simulated:latest"


class ModelFiles:
    """Models by name, as Ollama names them: ``m`` is ``m:latest``.

    `names` are those that exist. With None every name does, so that nothing has to be pulled
    before it is tried; listed are then those that were named by a pull, a copy or a create.
    """

    def __init__(self, names: Collection[str] | None = None) -> None:
        self.any_name = names is None
        self.names: set[str] = {_FIRST} if names is None else set(names)
        self.blobs: set[str] = set()
        """Digests, as ``sha256:...``; what they are of is not kept."""

    def has(self, name: str) -> bool:
        """Whether a model of this name can be run."""
        return self.any_name or self._find(name) is not None

    def put(self, name: str) -> None:
        """Add a model, if it is not there."""
        if self._find(name) is None:
            self.names.add(name if ":" in name.rpartition("/")[2] else name + _TAG)

    def remove(self, name: str) -> bool:
        """Take a model away; whether there was one."""
        found = self._find(name)
        if found is not None:
            self.names.remove(found)
        return found is not None or self.any_name

    def _find(self, name: str) -> str | None:
        spellings = (name, name + _TAG, name.removesuffix(_TAG))
        return next((spelling for spelling in spellings if spelling in self.names), None)


def digest_of(name: str) -> str:
    """The digest that a model of this name has: always the same, 64 hexadecimal digits."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
