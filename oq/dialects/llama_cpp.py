"""llama.cpp's own API: completions by /completion and /infill, and tokens of a text.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md: a stream is of events, of
which the last one of each prompt says ``"stop": true``; no ``[DONE]`` ends them. vLLM and SGLang
have /tokenize and /detokenize too, SGLang also below /v1.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from oq.dialects.base import AllowedRequest, Endpoint
from oq.dialects.events import EventFold
from oq.dialects.llama_cpp_fold import CompletionFold, completion_timings, completion_usage
from oq.dialects.openai import OpenAI
from oq.dialects.openai_media import UNNAMED
from oq.dialects.reading import read, read_object
from oq.words.outcome import Completed
from oq.words.stream import Piece
from oq.words.task import TaskType


class LlamaCpp(OpenAI):
    """See `oq.dialects.base.Dialect`."""

    name = "llama.cpp"
    title = "llama.cpp"
    prefixes = (
        "/completion",
        "/infill",
        "/tokenize",
        "/detokenize",
        "/v1/tokenize",
        "/v1/detokenize",
    )
    allowed = (
        AllowedRequest("POST", "/tokenize", "Split a text into tokens"),
        AllowedRequest("POST", "/detokenize", "Make a text of tokens"),
        AllowedRequest("POST", "/v1/tokenize", "Split a text into tokens"),
        AllowedRequest("POST", "/v1/detokenize", "Make a text of tokens"),
    )

    def __init__(self) -> None:
        self.endpoints = tuple(
            Endpoint(path, TaskType.GENERATE, self, False, model=UNNAMED)
            for path in ("/completion", "/infill")
        )

    def fold(self) -> EventFold:
        """See `EventDialect`."""
        return CompletionFold()

    def completed(self, body: bytes) -> Completed:
        """See `EventDialect`. Several prompts have a list of answers."""
        said = read(body)
        answers = said if isinstance(said, list) else [said]
        return Completed(body, completion_usage(answers), completion_timings(answers))

    def piece(self, frame: bytes) -> Piece:
        """See `Dialect`: of several prompts the answer to the first."""
        match read_object(self.document(frame)):
            case {"content": str(text), **rest} if not rest.get("index"):
                return Piece(text)
            case _:
                return Piece()

    def text(self, result: object) -> str | None:
        """See `Dialect`: of several prompts the answer to the first."""
        match result:
            case {"content": str(text), "stop": bool()}:
                return text
            case {"document": [{"content": str(text), "stop": bool()}, *_]}:
                return text
            case _:
                return None

    def progress(
        self, call: Endpoint, model: str, task_id: str, position: int, now: datetime
    ) -> bytes:
        """See `Dialect`."""
        said = {"index": 0, "content": "", "tokens": [], "stop": False}
        return b"data: " + msgspec.json.encode({**said, "queue_position": position}) + b"\n\n"


LLAMA_CPP = LlamaCpp()
