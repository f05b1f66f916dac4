"""Gives the answers of an encoder the habits of other servers: see `script.Quirk`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from oq.backends.simulated.encoders import AnswerEncoder
from oq.backends.simulated.forms import NO_FIELDS
from oq.backends.simulated.pieces import Piece

Fields = dict[str, Any]

_LINES_OF_DATA = re.compile(rb"^data: (.*)$", re.MULTILINE)
_COUNTS = re.compile(r"(.*_tokens|eval_count|prompt_eval_count|tokens_.*)")
_DONE = b"data: [DONE]"


class QuirkyEncoder:
    """Encodes as `encoder` does, and then changes what comes out of it."""

    def __init__(self, encoder: AnswerEncoder, quirks: tuple[str, ...]) -> None:
        self._encoder = encoder
        self._quirks = frozenset(quirks)
        self._events = encoder.content_type == "text/event-stream"
        self._begun = False
        self._names: dict[object, str] = {}
        self.content_type = encoder.content_type
        self.whole_type = encoder.whole_type

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        frames = self._encoder.piece(piece, elapsed).split(self._end)
        out = [changed for frame in frames if frame for changed in self._frame(frame)]
        if not self._begun and out:
            self._begun = True
            out = [*self._first(out[0]), *out]
        return b"".join(map(self._framed, out))

    def error(self, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
        return self._framed(self._encoder.error(message, fields).removesuffix(self._end))

    def killed(self) -> bytes:
        frame = self._encoder.killed()
        return frame and self._framed(frame.removesuffix(self._end))

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        body = self._encoder.whole(said, elapsed)
        try:
            document = json.loads(body)
        except ValueError:
            return body  # it is no JSON: a sound, or a text
        encoded = self._encoded(self._changed(document))
        return encoded + b"\n" * ("spaced" in self._quirks)

    @property
    def _end(self) -> bytes:
        return b"\n\n" if self._events else b"\n"

    def _frame(self, frame: bytes) -> Iterator[bytes]:
        """What comes in place of one line or event, without its end."""
        if frame.endswith(_DONE):
            if "no_done" not in self._quirks:
                yield frame
            return
        found = _LINES_OF_DATA.search(frame) if self._events else None
        if self._events and found is None:
            yield frame
            return
        document = json.loads(frame if found is None else found[1])
        if "done_alone" in self._quirks:
            return
        if "usage_alone" in self._quirks and not document.get("usage"):
            return
        for part in self._split(self._changed(document)):
            data = self._encoded(part)
            yield data if found is None else frame[: found.start(1)] + data + frame[found.end(1) :]

    def _first(self, frame: bytes) -> Iterator[bytes]:
        """What comes before the first frame."""
        if not self._events:
            return
        if "null_data" in self._quirks:
            yield b"data: null"
        found = _LINES_OF_DATA.search(frame)
        if found is None or found[1] == b"[DONE]":
            return
        for name, choices in (
            ("null_choices", None),
            ("null_delta", [{"index": 0, "delta": None}]),
        ):
            if name in self._quirks:
                yield b"data: " + self._encoded({**json.loads(found[1]), "choices": choices})

    def _framed(self, frame: bytes) -> bytes:
        comment = b": keep-alive" + self._end if {"comments"} <= self._quirks else b""
        blank = b"\n" if "blank_lines" in self._quirks else b""
        out = (comment if self._events else b"") + frame + self._end + blank
        return out.replace(b"\n", b"\r\n") if "crlf" in self._quirks else out

    def _encoded(self, document: object) -> bytes:
        separators = (", ", ": ") if "spaced" in self._quirks else (",", ":")
        escaped = "surrogates" in self._quirks
        text = json.dumps(
            document,
            separators=separators,
            sort_keys="sorted" in self._quirks,
            ensure_ascii=escaped,
        )
        return text.encode("utf-8", "surrogatepass")

    def _changed(self, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        if "float_tokens" in self._quirks:
            _float_counts(document)
        if "nan" in self._quirks:
            _nan_vectors(document)
        for choice in document.get("choices") or ():
            said = choice.get("delta") or choice.get("message") or {}
            for call in said.get("tool_calls") or ():
                self._change_call(call)
            if "roles" in self._quirks and "tool_calls" in said and "delta" in choice:
                choice["delta"] = {"role": "assistant", "content": None, **said}
        return document

    def _change_call(self, call: Fields) -> None:
        function = call["function"]
        name = self._names.setdefault(call.get("index"), function.get("name", ""))
        if "names" in self._quirks:
            call["function"] = function = {"name": name, **function}
        if "no_arguments" in self._quirks:
            function.pop("arguments", None)
        if "same_index" in self._quirks:
            call["index"] = 0
        if "no_index" in self._quirks:
            call.pop("index", None)

    def _split(self, document: Fields) -> list[Fields]:
        """The document twice, if its text has a character to divide between them."""
        if "surrogates" not in self._quirks:
            return [document]
        holder, key = _text_of(document)
        pair = re.search("[\U00010000-\U0010ffff]", holder.get(key) or "")
        if pair is None:
            return [document]
        text = str(holder[key])
        high, low = pair[0].encode("utf-16-be")[:2], pair[0].encode("utf-16-be")[2:]
        halves = (
            text[: pair.start()] + high.decode("utf-16-be", "surrogatepass"),
            low.decode("utf-16-be", "surrogatepass") + text[pair.end() :],
        )
        out = []
        for half in halves:
            holder[key] = half
            out.append(json.loads(json.dumps(document)))
        return out


def _text_of(document: Fields) -> tuple[Fields, str]:
    """The object in a piece of a stream that has its text, and the key of it."""
    for choice in document.get("choices") or ():
        return (choice["delta"], "content") if choice.get("delta") else (choice, "text")
    if isinstance(document.get("message"), dict):
        return document["message"], "content"
    return document, "response" if "response" in document else "delta"


def _float_counts(document: Any) -> None:
    """Make a float of each count of tokens, at any depth."""
    parts = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in parts:
        if isinstance(value, dict | list):
            _float_counts(value)
        elif isinstance(key, str) and _COUNTS.fullmatch(key) and isinstance(value, int):
            document[key] = float(value)


def _nan_vectors(document: Fields) -> None:
    vectors = list(document.get("embeddings") or ())
    vectors += [item["embedding"] for item in document.get("data") or () if "embedding" in item]
    vectors += [document["embedding"]] if "embedding" in document else []
    for vector in vectors:
        if isinstance(vector, list) and vector:
            vector[0] = float("nan")
