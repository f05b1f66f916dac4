"""What has come together is passed on together: in one piece to who reads along."""

from __future__ import annotations

from types import TracebackType

from oq.dialects.base import Emit


class Together:
    """The frames of one answer. Those that are added inside of the block are emitted at its end,
    also if it ends with an error.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._due: list[bytes] = []
        self.add = self._due.append

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._due:
            self._emit(*self._due)
            self._due.clear()
