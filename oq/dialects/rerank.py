"""Reranking: how well each of some documents answers a query.

It is Jina's API (https://jina.ai/reranker), which llama.cpp, vLLM and Hugging Face's TEI have too,
by several paths. Its errors are those of OpenAI's API there.
"""

from __future__ import annotations

from oq.dialects.base import AllowedRequest, Endpoint
from oq.dialects.openai import OpenAI
from oq.dialects.openai_media import UNNAMED
from oq.words.task import TaskType

_PATHS = ("/v1/rerank", "/v1/reranking", "/rerank", "/reranking")


class Rerank(OpenAI):
    """See `oq.dialects.base.Dialect`."""

    name = "rerank"
    title = "Jina (reranking)"
    prefixes = _PATHS
    allowed: tuple[AllowedRequest, ...] = ()

    def __init__(self) -> None:
        self.endpoints = tuple(
            Endpoint(path, TaskType.RERANK, self, None, model=UNNAMED) for path in _PATHS
        )

    def text(self, result: object) -> str | None:
        """See `Dialect`: scores are no text."""
        return None


RERANK = Rerank()
