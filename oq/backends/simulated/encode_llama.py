"""Encodes answers of llama.cpp's own calls: /completion, /infill, /embedding, /tokenize, /rerank.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-task.cpp
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from oq.backends.simulated.ask import Ask
from oq.backends.simulated.forms import KILLED, NO_FIELDS, OLLAMA_JSON, llama_error
from oq.backends.simulated.pieces import Piece, reason_of
from oq.backends.simulated.spent import Spent
from oq.backends.simulated.text import DIMENSIONS, embedding

Fields = dict[str, Any]


class CompletionEncoder:
    """/completion and /infill. The last event says ``"stop":true``; there is no ``[DONE]``."""

    content_type = "text/event-stream"
    whole_type = OLLAMA_JSON

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        self._ask = ask
        self._spent = spent
        self._count = 0

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        if piece.ending is not None:
            return _event(self._final(piece, "", elapsed))
        self._count += 1
        return _event(
            {
                "index": piece.choice,
                "content": piece.text,
                "tokens": [],
                "stop": False,
                "id_slot": -1,
                "tokens_predicted": self._count,
                "tokens_evaluated": self._ask.prompt_tokens,
            }
        )

    def error(self, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
        return b"data: " + llama_error(500, message, fields) + b"\n\n"

    def killed(self) -> bytes:
        return self.error(KILLED)

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        ends = [piece for piece in said if piece.ending is not None]
        answers = [
            self._final(end, "".join(p.text for p in said if p.choice == end.choice), elapsed)
            for end in ends
        ]
        # One answer alone is no list.
        return msgspec.json.encode(answers if len(answers) > 1 else answers[0])

    def _final(self, end: Piece, content: str, elapsed: float) -> Fields:
        ending = end.ending
        tokens = 0 if ending is None else ending.tokens
        evaluated = self._ask.prompt_tokens
        return {
            "index": end.choice,
            "content": content,
            "tokens": [],
            "id_slot": 0,
            "stop": True,
            "model": self._ask.model,
            "tokens_predicted": tokens,
            "tokens_evaluated": evaluated,
            "generation_settings": {"n_predict": self._ask.options.get("num_predict", -1)},
            "prompt": self._ask.prompts[end.choice],
            "has_new_line": "\n" in content,
            "truncated": False,
            "stop_type": "limit" if reason_of(end) == "length" else "eos",
            "stopping_word": "",
            "tokens_cached": evaluated + tokens,
            "timings": {
                "prompt_n": evaluated,
                "prompt_ms": self._spent.prompt * 1000,
                "predicted_n": tokens,
                "predicted_ms": self._spent.generating(elapsed) * 1000,
            },
        }


class EmbeddingEncoder(CompletionEncoder):
    """/embedding and /embeddings: of each text a list of vectors, of which there is one."""

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        vectors = (embedding(text, self._ask.dimensions or DIMENSIONS) for text in self._ask.texts)
        return msgspec.json.encode(
            [{"index": index, "embedding": [vector]} for index, vector in enumerate(vectors)]
        )


class TokenizeEncoder(CompletionEncoder):
    """/tokenize: each character is a token, whose number is its code point."""

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        content = self._ask.request.get("content")
        text = content if isinstance(content, str) else ""
        if self._ask.request.get("with_pieces"):
            return msgspec.json.encode({"tokens": [{"id": ord(c), "piece": c} for c in text]})
        return msgspec.json.encode({"tokens": [ord(character) for character in text]})


class DetokenizeEncoder(CompletionEncoder):
    """/detokenize: the way back."""

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        tokens = self._ask.request.get("tokens") or []
        text = "".join(chr(t) for t in tokens if isinstance(t, int) and 0 <= t < 0xD800)
        return msgspec.json.encode({"content": text})


class RerankEncoder(CompletionEncoder):
    """/v1/rerank: with `documents` in Jina's form, with `texts` in that of Hugging Face's TEI."""

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        asked = self._ask.request
        query, *documents = self._ask.prompts
        is_tei = "texts" in asked
        label = "score" if is_tei else "relevance_score"
        results: list[Fields] = [
            {"index": index, label: _score(query, document)}
            | ({"text": document} if is_tei and asked.get("return_text") else {})
            for index, document in enumerate(documents)
        ]
        results.sort(key=lambda result: -result[label])
        top = asked.get("top_n")
        results = results[: top if isinstance(top, int) else None]
        if is_tei:
            return msgspec.json.encode(results)
        tokens = self._ask.prompt_tokens
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {"model": self._ask.model, "object": "list", "usage": usage, "results": results}
        return msgspec.json.encode(answer)


def _score(query: str, document: str) -> float:
    """More for more words in common; always the same for the same texts."""
    common = len({*query.lower().split()} & {*document.lower().split()})
    digest = hashlib.sha256(f"{query}\0{document}".encode("utf-8", "replace")).digest()
    return round(common - 8 + int.from_bytes(digest[:2], "big") / 65536, 6)


def _event(fields: Fields) -> bytes:
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"
