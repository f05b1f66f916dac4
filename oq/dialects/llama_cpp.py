"""llama.cpp's own API: what it has beside the APIs of others, and beside their ``/v1``.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md: a stream is of events, of
which the last one of each prompt says ``"stop": true``; no ``[DONE]`` ends them. /completions and
/embeddings are not those below /v1, but /chat/completions is. vLLM and SGLang have /tokenize and
/detokenize too, SGLang also below /v1.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import to_builtins

from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.base import MODEL, AllowedRequest, Answer, EmitFrame, Endpoint, Scrub
from oq.dialects.events import EventFold, FoldedEvents
from oq.dialects.llama_cpp_fold import CompletionFold, completion_timings, completion_usage
from oq.dialects.openai import OpenAI
from oq.dialects.openai_media import UNNAMED
from oq.dialects.reading import read, read_object
from oq.dialects.stated_errors import check_stated
from oq.words.outcome import Completed
from oq.words.stream import Piece
from oq.words.task import TaskType, Waiting

_COMPLETIONS = ("/completion", "/completions", "/infill")
_EMBEDDINGS = ("/embedding", "/embeddings")
_CHAT = "/chat/completions"


class LlamaCpp(OpenAI):
    """See `oq.dialects.base.Dialect`."""

    name = "llama.cpp"
    title = "llama.cpp"
    prefixes = (
        *_COMPLETIONS,
        *_EMBEDDINGS,
        _CHAT,
        "/props",
        "/slots",
        "/apply-template",
        "/tokenize",
        "/detokenize",
        "/v1/tokenize",
        "/v1/detokenize",
    )
    allowed = (
        AllowedRequest("GET", "/props", "Show the settings of the server", model_in=MODEL),
        AllowedRequest(
            "POST", "/props", "Change them", "changes the settings of the backend", model_in=MODEL
        ),
        AllowedRequest("GET", "/slots", "Show what the server does at once", model_in=MODEL),
        AllowedRequest("POST", "/apply-template", "Make the prompt of a chat", model_in=MODEL),
        AllowedRequest("POST", "/tokenize", "Split a text into tokens", model_in=MODEL),
        AllowedRequest("POST", "/detokenize", "Make a text of tokens", model_in=MODEL),
        AllowedRequest("POST", "/v1/tokenize", "Split a text into tokens", model_in=MODEL),
        AllowedRequest("POST", "/v1/detokenize", "Make a text of tokens", model_in=MODEL),
    )

    def __init__(self) -> None:
        generate, embed = TaskType.GENERATE, TaskType.EMBED
        self.endpoints = (
            *(Endpoint(path, generate, self, False, model=UNNAMED) for path in _COMPLETIONS),
            Endpoint(_CHAT, TaskType.CHAT, self, False, model=UNNAMED),
            *(Endpoint(path, embed, self, None, model=UNNAMED) for path in _EMBEDDINGS),
        )

    def fold(self) -> EventFold:
        """See `EventDialect`."""
        return CompletionFold()

    def streamed(
        self, call: Endpoint, emit: EmitFrame, limit: int = MAX_ANSWER, scrub: Scrub = bytes
    ) -> Answer:
        """See `Dialect`."""
        fold = super().fold() if call.type is TaskType.CHAT else self.fold()
        return FoldedEvents(fold, emit, limit, scrub)

    def whole(self, call: Endpoint, body: bytes) -> Completed:
        """See `Dialect`."""
        check_stated(body)
        return super().completed(body) if call.type is TaskType.CHAT else self.completed(body)

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
            case {"content": _}:
                return Piece()
            case _:
                return super().piece(frame)

    def text(self, result: object) -> str | None:
        """See `Dialect`: of several prompts the answer to the first."""
        match result:
            case {"content": str(text), "stop": bool()}:
                return text
            case {"document": [{"content": str(text), "stop": bool()}, *_]}:
                return text
            case _:
                return super().text(result)

    def progress(
        self, call: Endpoint, model: str, task_id: str, waiting: Waiting, now: datetime
    ) -> bytes:
        """See `Dialect`."""
        if call.type is TaskType.CHAT:
            return super().progress(call, model, task_id, waiting, now)
        said = {"index": 0, "content": "", "tokens": [], "stop": False}
        return b"data: " + msgspec.json.encode({**said, **to_builtins(waiting)}) + b"\n\n"


LLAMA_CPP = LlamaCpp()
