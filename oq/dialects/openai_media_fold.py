"""Streams of images, sound and transcripts, folded into what the same call gives without streaming.

https://platform.openai.com/docs/api-reference/images-streaming, /audio-streaming: the event that
ends an answer has a type that ends with ``.done`` or ``.completed``. vLLM streams transcripts as
chunks with choices.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from oq.dialects.growing_text import GrowingText
from oq.dialects.marked_fold import MarkedFold
from oq.dialects.openai_fold import said_in, usage_in
from oq.dialects.reading import Json, count, write
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed
from oq.words.task import Usage


class MediaFold(MarkedFold):
    """Takes the events of one stream; see `oq.dialects.events.EventFold`."""

    def __init__(self) -> None:
        super().__init__()
        self._text: GrowingText | None = None
        self._sound: bytearray | None = None
        self._images: list[Json] = []
        self._end: Json | None = None
        self._usage: Any = None

    def _add(self, said: Json) -> None:
        self._usage = said.get("usage") or self._usage
        self._take(said)

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if the stream ended before it was whole."""
        if self._end is None:
            raise BackendFailure("the stream ended before the answer was complete")
        usage = {} if self._usage is None else {"usage": self._usage}
        return Completed(write({**self._answer(self._end), **usage}), media_usage(usage))

    def _take(self, said: Json) -> None:
        match said:
            case {"type": "transcript.text.delta", "delta": str(bit)}:
                self._hear(bit)
            case {"type": "speech.audio.delta", "audio": str(audio)}:
                self._sound = self._sound or bytearray()
                self._sound += _decoded(audio)
            case {"type": str(kind)} if kind.endswith(".completed"):
                self._images.append(said)
                self._end = said
            case {"type": str(kind)} if kind.endswith(".done"):
                self._end = said
            case {"choices": [dict() as choice, *_]}:
                self._hear(said_in(choice)[0])
                if choice.get("finish_reason"):
                    self._end = {}

    def _hear(self, bit: str) -> None:
        self._text = self._text or GrowingText()
        self._text.add(bit)

    def _answer(self, end: Json) -> Json:
        if self._images:
            data = [{"b64_json": image.get("b64_json")} for image in self._images]
            return {"created": end.get("created_at"), "data": data}
        if self._sound is not None:
            return {"audio": base64.b64encode(self._sound).decode()}
        heard = self._text.text() if self._text is not None else ""
        return {"text": end["text"]} if isinstance(end.get("text"), str) else {"text": heard}


def media_usage(answer: Json) -> Usage | None:
    """The counts in an answer. Seconds of sound, which some servers count, are no tokens."""
    match answer:
        case {"usage": {"input_tokens": _} | {"output_tokens": _} as said}:
            return Usage(count(said.get("input_tokens")), count(said.get("output_tokens")))
        case _:
            return usage_in(answer)


def _decoded(audio: str) -> bytes:
    try:
        return base64.b64decode(audio)
    except (binascii.Error, ValueError):
        return b""
