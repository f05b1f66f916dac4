"""Ready tasks in the order of submission, of which those that are alike can be left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush

from oq.rules.bands import Alike, Flow


class InOrder:
    """The tasks of some tenants in order, without those that are like one that was dropped."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        self._dropped: set[Alike] = set()
        self._line: list[tuple[str, Flow, Alike, int, Iterator[tuple[str, Alike]] | None]] = []
        for flow in flows:
            self._note_head(flow, flow.heads())
        heapify(self._line)

    def __iter__(self) -> Iterator[tuple[str, Alike]]:
        """The ids, each with its kind."""
        line = self._line
        while line:
            task_id, flow, kind, number, heads = heappop(line)
            if heads is not None:
                self._note_head(flow, heads)
            if kind in self._dropped:
                continue
            yield task_id, kind
            ids = flow.groups[kind]
            if number + 1 < len(ids):
                heappush(line, (ids[number + 1], flow, kind, number + 1, None))

    def drop(self, kind: Alike) -> None:
        self._dropped.add(kind)

    def _note_head(self, flow: Flow, heads: Iterator[tuple[str, Alike]]) -> None:
        """The next of those that are the first of their kind."""
        head = next(heads, None)
        if head is not None:
            heappush(self._line, (head[0], flow, head[1], 0, heads))
