"""OpenAI's API for images, sound and moderation, as far as servers that run models share it.

https://platform.openai.com/docs/api-reference/images, /audio, /moderations. Bodies may be forms
with files, and answers may be sound or plain text. The errors are those of the rest of the API.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct, to_builtins

from oq.dialects.base import AllowedRequest, Endpoint, Reading
from oq.dialects.events import EventFold
from oq.dialects.openai import OpenAI
from oq.dialects.openai_media_fold import MediaFold, media_usage
from oq.dialects.reading import read_object
from oq.rules.surrogates import readable
from oq.words.from_json import NOT_READ
from oq.words.outcome import Completed
from oq.words.stream import Piece
from oq.words.task import TaskType, Waiting

UNNAMED = "default"
"""The model of a call that names none: its server has only one, or chooses it."""

_SPEECH = "/v1/audio/speech"
_HEARD = "transcript.text.delta"


class _Said(Struct, frozen=True):
    type: str = ""
    delta: str | None = None
    stream_format: str | None = None


_SAID = msgspec.json.Decoder(_Said)
_UNREAD = _Said()


class OpenAIMedia(OpenAI):
    """See `oq.dialects.base.Dialect`."""

    name = "openai_media"
    title = "OpenAI (images, audio, moderations)"
    prefixes = ("/v1/images/", "/v1/audio/", "/v1/moderations")
    allowed: tuple[AllowedRequest, ...] = ()

    def __init__(self) -> None:
        self.endpoints = (
            Endpoint("/v1/images/generations", TaskType.IMAGE, self, False, model=UNNAMED),
            Endpoint("/v1/images/edits", TaskType.IMAGE, self, False, model=UNNAMED, form=True),
            Endpoint(_SPEECH, TaskType.SPEECH, self, False, any_type=True, model=UNNAMED),
            *(
                Endpoint(
                    path, TaskType.TRANSCRIBE, self, False, any_type=True, model=UNNAMED, form=True
                )
                for path in ("/v1/audio/transcriptions", "/v1/audio/translations")
            ),
            Endpoint("/v1/moderations", TaskType.MODERATE, self, None, model=UNNAMED),
        )

    def read(self, call: Endpoint, document: bytes) -> Reading:
        """See `Dialect`. Speech is streamed as events if its `stream_format` says so."""
        reading = super().read(call, document)
        if call.path != _SPEECH:
            return reading
        return reading._replace(streams=_read(document).stream_format == "sse")

    def fold(self) -> EventFold:
        """See `EventDialect`."""
        return MediaFold()

    def completed(self, body: bytes) -> Completed:
        """See `EventDialect`."""
        return Completed(body, media_usage(read_object(body) or {}))

    def piece(self, frame: bytes) -> Piece:
        """See `Dialect`: what was heard. Sound and images have no text."""
        said = _read(self.document(frame))
        return Piece(said.delta) if said.type == _HEARD and said.delta else super().piece(frame)

    def text(self, result: object) -> str | None:
        """See `Dialect`: what was heard."""
        match result:
            case {"text": str(text)}:
                return text
            case _:
                return None

    def progress(
        self, call: Endpoint, model: str, task_id: str, waiting: Waiting, now: datetime
    ) -> bytes:
        """See `Dialect`: a `keepalive`, as in OpenAI's other streams of events with a type."""
        said = {"type": "keepalive", **to_builtins(waiting)}
        return b"data: " + msgspec.json.encode(said) + b"\n\n"


def _read(document: bytes) -> _Said:
    try:
        return _SAID.decode(readable(document))
    except NOT_READ:
        return _UNREAD


OPENAI_MEDIA = OpenAIMedia()
