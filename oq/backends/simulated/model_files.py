"""The simulated machine's disk: its models, and the blobs that were uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from oq.rules.model_names import LATEST, full_name

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
        self._copies: dict[str, str] = {}
        """By the name of a copy, its digest."""
        self._sources: dict[str, str] = {}
        """By a name, the weights that it stands for, where another name had them first."""

    def has(self, name: str) -> bool:
        """Whether a model of this name can be run."""
        return self.any_name or self._find(name) is not None

    def put(self, name: str) -> None:
        """Add a model, if it is not there."""
        if self._find(name) is None:
            self.names.add(full_name(name))

    def copy(self, source: str, name: str) -> None:
        """Give a model another name: it has the same digest."""
        self.put(name)
        digest, blob = self.digest(source), self.blob(source)
        self._copies[full_name(name)], self._sources[full_name(name)] = digest, blob

    def derive(self, source: str, name: str) -> None:
        """Make a model out of another one: a digest of its own, and the same weights."""
        self.put(name)
        self._copies.pop(full_name(name), None)
        self._sources[full_name(name)] = self.blob(source)

    def remove(self, name: str) -> bool:
        """Take a model away; whether there was one."""
        found = self._find(name)
        if found is not None:
            self.names.remove(found)
            self._copies.pop(full_name(name), None)
            self._sources.pop(full_name(name), None)
        return found is not None or self.any_name

    def digest(self, name: str) -> str:
        """The digest of a model of this name."""
        return self._copies.get(full_name(name)) or digest_of(full_name(name))

    def blob(self, name: str) -> str:
        """What is loaded for a name: two names with the same one are one model in memory."""
        return self._sources.get(full_name(name)) or digest_of(full_name(name))

    def _find(self, name: str) -> str | None:
        spellings = (name, name + LATEST, name.removesuffix(LATEST))
        return next((spelling for spelling in spellings if spelling in self.names), None)


def digest_of(name: str) -> str:
    """A digest that is always the same for the same text, 64 hexadecimal digits."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
