"""A stream of llama.cpp's /completion, folded into what the call gives without streaming."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oq.dialects.answer_errors import states_error
from oq.dialects.counts import count
from oq.dialects.growing import MAX_ITEMS, index_of
from oq.dialects.growing_text import GrowingText
from oq.dialects.openai_fold import DONE
from oq.dialects.reading import Json, read_object, write
from oq.dialects.stated_errors import stated
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed
from oq.words.task import Usage


class CompletionFold:
    """Takes the events of one stream; see `oq.dialects.events.EventFold`."""

    def __init__(self) -> None:
        self._texts: dict[int, GrowingText] = {}
        self._ends: dict[int, Json] = {}
        self.done = False
        """Whether [DONE] has come. llama.cpp does not send it: the end of the body is the end."""

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
        index = index_of(said.get("index")) or 0
        text = self._texts.get(index)
        if text is None and len(self._texts) < MAX_ITEMS:
            text = self._texts[index] = GrowingText()
        if text is not None and isinstance(said.get("content"), str):
            text.add(said["content"])
        if text is not None and said.get("stop") is True:
            self._ends[index] = said
        return True

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if the stream ended before it was whole."""
        if not self._ends or self._ends.keys() != self._texts.keys():
            raise BackendFailure('the stream ended before "stop": true')
        answers = [
            {**self._ends[index], "content": self._texts[index].text()}
            for index in sorted(self._ends)
        ]
        answer = answers[0] if len(answers) == 1 else {"document": answers}
        return Completed(write(answer), completion_usage(answers))


def completion_usage(answers: Iterable[Any]) -> Usage | None:
    """The counts of the answers to all prompts."""
    counted = [each for each in answers if isinstance(each, dict) and "tokens_predicted" in each]
    if not counted:
        return None
    return Usage(
        sum(count(each.get("tokens_evaluated")) for each in counted),
        sum(count(each.get("tokens_predicted")) for each in counted),
    )
