"""What the simulated model says: always the same for the same prompt, and easy to foretell."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

import msgspec

DIMENSIONS = 8
"""Of an embedding, unless the request asks for another number."""

_TOKEN = re.compile(r"\s*\S+|\s+")


def tokenize(text: str) -> list[str]:
    """Tokens: words with the space before them. Joined, they are `text`."""
    return _TOKEN.findall(text)


def answer(prompt: str, tokens: int = 16, first: int = 0) -> str:
    """The answer to a prompt: its words from the `first` on, over and over, `tokens` of them."""
    words = prompt.split() or ["nothing"]
    return " ".join(words[(first + index) % len(words)] for index in range(tokens))


def embedding(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A vector of length 1 made from the text, at most 4096 numbers of 6 decimals."""
    count = min(max(dimensions, 1), 4096)
    blocks = (
        hashlib.sha256(f"{block}:{text}".encode("utf-8", "replace")).digest()
        for block in range(math.ceil(count / 16))
    )
    digits = b"".join(blocks)
    numbers = [
        int.from_bytes(digits[2 * index : 2 * index + 2], "big") / 32767.5 - 1
        for index in range(count)
    ]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [round(number / length, 6) for number in numbers]


def logprob(token: str) -> float:
    """The logarithm of the probability that a token has: from -2 to 0, by the token alone."""
    digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
    return round(-int.from_bytes(digest[:2], "big") / 32767.5, 6)


def with_logprob(token: str, alternatives: int) -> dict[str, Any]:
    """A token as Ollama and OpenAI tell its probability, with that of others in its place."""
    likeliest = sorted((f"{token}{n}" if n else token for n in range(alternatives)), key=logprob)
    top = {"top_logprobs": [_probable(other) for other in reversed(likeliest)]}
    return _probable(token) | (top if alternatives else {})


def _probable(token: str) -> dict[str, Any]:
    data = token.encode("utf-8", "replace")
    return {"token": token, "logprob": logprob(token), "bytes": list(data)}


def as_json(text: str, schema: object) -> str:
    """`text` in JSON: an instance of the schema, or {"answer": text} if there is none."""
    document = instance(schema, text) if isinstance(schema, dict) else {"answer": text}
    return msgspec.json.encode(document).decode()


def instance(schema: dict[str, Any], text: str) -> object:
    """A plausible instance of a JSON schema, with `text` wherever a string is wanted."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: instance(part, text) for name, part in properties.items()}
        case "array":
            return [instance(schema.get("items", {}), text)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return text
