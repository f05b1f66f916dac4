"""Events and chunks as plain iterators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Flow(Generic[T]):
    """Gives one by one what `receive` gives in batches, to the first one that is empty."""

    def __init__(self, receive: Callable[[], list[T]]) -> None:
        self._receive = receive
        self._due: list[T] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._due:
            self._due = self._receive()[::-1]
        if not self._due:
            raise StopIteration
        return self._due.pop()
