"""A stream of llama.cpp's /completion, folded into what the call gives without streaming."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from oq.dialects.deltas import MAX_ITEMS, index_of
from oq.dialects.growing_text import GrowingText
from oq.dialects.marked_fold import MarkedFold
from oq.dialects.reading import Json, count, write
from oq.dialects.timings import llama_timings
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed, Timings
from oq.words.task import Usage


class CompletionFold(MarkedFold):
    """Takes the events of one stream; see `oq.dialects.events.EventFold`."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[int, GrowingText] = {}
        self._ends: dict[int, Json] = {}

    def _add(self, said: Json) -> None:
        index = index_of(said.get("index")) or 0
        text = self._texts.get(index)
        if text is None and len(self._texts) < MAX_ITEMS:
            text = self._texts[index] = GrowingText()
        if text is not None and isinstance(said.get("content"), str):
            text.add(said["content"])
        if text is not None and said.get("stop") is True:
            self._ends[index] = said

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if the stream ended before it was whole."""
        if not self._ends or self._ends.keys() != self._texts.keys():
            raise BackendFailure('the stream ended before "stop": true')
        answers = [
            {**self._ends[index], "content": self._texts[index].text()}
            for index in sorted(self._ends)
        ]
        answer = answers[0] if len(answers) == 1 else {"document": answers}
        return Completed(write(answer), completion_usage(answers), completion_timings(answers))


def completion_usage(answers: Iterable[Any]) -> Usage | None:
    """The counts of the answers to all prompts."""
    counted = [each for each in answers if isinstance(each, dict) and "tokens_predicted" in each]
    if not counted:
        return None
    return Usage(
        sum(count(each.get("tokens_evaluated")) for each in counted),
        sum(count(each.get("tokens_predicted")) for each in counted),
    )


def completion_timings(answers: Sequence[Any]) -> Timings | None:
    """The times of the answer. Those of several are not known: they may have run side by side."""
    match answers:
        case [{"timings": timings}]:
            return llama_timings(timings)
        case _:
            return None
