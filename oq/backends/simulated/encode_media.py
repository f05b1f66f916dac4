"""Encodes sound, transcripts, images and verdicts, in OpenAI's form.

https://platform.openai.com/docs/api-reference/audio, /images and /moderations
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from oq.backends.simulated.ask import Ask
from oq.backends.simulated.forms import KILLED, NO_FIELDS, openai_error
from oq.backends.simulated.pieces import Piece
from oq.backends.simulated.spent import Spent

Fields = dict[str, Any]

_SOUNDS = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_RATE = 24_000
_TEXTS = {"text": "text/plain; charset=utf-8", "srt": "text/plain; charset=utf-8",
          "vtt": "text/plain; charset=utf-8"}  # fmt: skip
_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
    "illicit/violent", "self-harm", "self-harm/instructions", "self-harm/intent", "sexual",
    "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


class _MediaEncoder:
    """What these have in common: their errors, and the tokens that they count."""

    content_type = "text/event-stream"
    whole_type = "application/json"

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        self._ask = ask
        self._asked = ask.request
        self._created = int(created_at.timestamp())

    def error(self, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
        return b"data: " + openai_error(500, message, fields) + b"\n\n"

    def killed(self) -> bytes:
        return self.error(KILLED)

    def _usage(self, tokens: int) -> Fields:
        prompt = self._ask.prompt_tokens
        return {"input_tokens": prompt, "output_tokens": tokens, "total_tokens": prompt + tokens}


class SpeechEncoder(_MediaEncoder):
    """/v1/audio/speech: bytes that no text can hold, or with `stream_format` sse events of them."""

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        super().__init__(ask, created_at, spent)
        self._events = self._asked.get("stream_format") == "sse"
        self._form = str(self._asked.get("response_format") or "mp3")
        self._begun = False
        if not self._events:
            self.content_type = _SOUNDS.get(self._form, _SOUNDS["mp3"])

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        if piece.ending is not None:
            usage = self._usage(piece.ending.tokens)
            done = {"type": "speech.audio.done", "usage": usage}
            return _event(done) if self._events else b""
        sound = b"" if self._begun else self._head()
        self._begun = True
        sound += _noise(piece.text)
        if not self._events:
            return sound
        return _event({"type": "speech.audio.delta", "audio": base64.b64encode(sound).decode()})

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        return b"".join(self.piece(piece, elapsed) for piece in said)

    def _head(self) -> bytes:
        """What a file of sound begins with: a WAV that streams does not know its length."""
        if self._form != "wav":
            return b""
        about = struct.pack("<IHHIIHH", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
        endless = b"\xff\xff\xff\xff"
        return b"RIFF" + endless + b"WAVEfmt " + about + b"data" + endless


class TranscriptEncoder(_MediaEncoder):
    """/v1/audio/transcriptions and /translations."""

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        super().__init__(ask, created_at, spent)
        self._form = str(self._asked.get("response_format") or "json")
        self.whole_type = _TEXTS.get(self._form, "application/json")
        self._text = ""

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        if piece.ending is None:
            self._text += piece.text
            return _event({"type": "transcript.text.delta", "delta": piece.text})
        usage = {"type": "tokens", **self._usage(piece.ending.tokens)}
        done = {"type": "transcript.text.done", "text": self._text, "usage": usage}
        return _event(done) + b"data: [DONE]\n\n"

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        text = "".join(piece.text for piece in said)
        match self._form:
            case "text":
                return text.encode() + b"\n"
            case "srt":
                return f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n".encode()
            case "vtt":
                return f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n\n".encode()
            case "verbose_json":
                return msgspec.json.encode(self._verbose(text))
            case _:
                return msgspec.json.encode({"text": text}) + b"\n"

    def _verbose(self, text: str) -> Fields:
        segment = {"id": 0, "seek": 0, "start": 0.0, "end": 1.0, "text": text, "tokens": []}
        return {
            "task": "transcribe",
            "language": self._asked.get("language", "english"),
            "duration": 1.0,
            "text": text,
            "segments": [segment],
        }


class ImagesEncoder(_MediaEncoder):
    """/v1/images/generations: a PNG of one point, whose colour the prompt decides."""

    _name = "image_generation"

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        super().__init__(ask, created_at, spent)
        self._image = base64.b64encode(_point(ask.prompts[0])).decode()
        self._partial = 0

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        if piece.ending is not None:
            usage = self._usage(piece.ending.tokens)
            return _named(f"{self._name}.completed", self._about() | {"usage": usage})
        if self._partial == _number(self._asked.get("partial_images"), 0, 3):
            return b""
        self._partial += 1
        number = {"partial_image_index": self._partial - 1}
        return _named(f"{self._name}.partial_image", self._about() | number)

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        ending = said[-1].ending
        tokens = 0 if ending is None else ending.tokens
        data = [{"b64_json": self._image} for _ in range(_number(self._asked.get("n"), 1, 10))]
        return msgspec.json.encode(
            {"created": self._created, "data": data, "usage": self._usage(tokens)}
        )

    def _about(self) -> Fields:
        return {
            "b64_json": self._image,
            "created_at": self._created,
            "size": str(self._asked.get("size") or "1024x1024"),
            "quality": "auto",
            "background": "auto",
            "output_format": "png",
        }


class EditsEncoder(ImagesEncoder):
    """/v1/images/edits."""

    _name = "image_edit"


class ModerationEncoder(_MediaEncoder):
    """/v1/moderations: nothing is ever wrong with what the simulator is shown."""

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        return b""

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        verdict = {
            "flagged": False,
            "categories": dict.fromkeys(_CATEGORIES, False),
            "category_scores": dict.fromkeys(_CATEGORIES, 1e-06),
            "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
        }
        results = [verdict for _ in self._ask.prompts]
        answer = {"id": "modr-simulated", "model": self._ask.model, "results": results}
        return msgspec.json.encode(answer)


def _number(value: object, least: int, most: int) -> int:
    """A number between these two. A form has it as a text."""
    text = str(value)
    return min(most, max(least, int(text))) if text.isdecimal() else least


def _event(fields: Fields) -> bytes:
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def _named(name: str, fields: Fields) -> bytes:
    data = msgspec.json.encode({"type": name, **fields})
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _noise(token: str) -> bytes:
    """256 bytes of sound, always the same for the same token, with every byte there is."""
    first = hashlib.sha256(token.encode("utf-8", "replace")).digest()[0]
    return bytes((first + step) % 256 for step in range(256))


def _point(prompt: str) -> bytes:
    """A PNG: https://www.w3.org/TR/png-3/"""
    colour = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()[:3]

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(b"\0" + colour))
        + chunk(b"IEND", b"")
    )
