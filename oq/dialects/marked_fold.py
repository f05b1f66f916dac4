"""Folds of streams that may end with `data: [DONE]`, as OpenAI's do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from oq.dialects.answer_errors import states_error
from oq.dialects.reading import Json, read_object
from oq.dialects.stated_errors import stated

DONE = b"[DONE]"


class MarkedFold(ABC):
    """Takes the events of one stream; see `oq.dialects.events.EventFold`."""

    def __init__(self) -> None:
        self.done = False
        """Whether [DONE] has come. Not every server sends it: the end of the body is one too."""

    def add(self, data: bytes, frame: bytes) -> bool:
        """See `EventFold`."""
        if data.strip() == DONE:
            self.done = True
            return True
        said = read_object(data)
        if said is None:
            return data.strip() == b"null"
        if states_error(said):
            raise stated(data, frame)
        self._add(said)
        return True

    def add_usual(self, frame: bytes) -> bool:
        """See `EventFold`: here no two events are alike."""
        return False

    @abstractmethod
    def _add(self, said: Json) -> None:
        """Fold what one event says."""
