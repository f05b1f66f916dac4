"""What the programs beside this have in common: each case is run, and its outcome printed.

`python NAME.py URL [SERVER]` prints a line of JSON for each case: what the client gave, or the
error that it raised. Nothing in it depends on which server answered, if servers answer the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

URL = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else ""
SERVER = sys.argv[2].rstrip("/") if len(sys.argv) > 2 else URL
"""The model server itself, which can be asked what it was asked."""
MODEL = "m"
QUESTION = "why is the sky blue"
TOOL = {
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
CALL = {"tool_calls": [{"name": "weather", "arguments": {"city": "Paris"}}]}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def case(name: str) -> Callable[[Callable[[], Any]], None]:
    """Run the decorated function now, and print what it gives or raises."""

    def run(work: Callable[[], Any]) -> None:
        try:
            outcome: dict[str, Any] = {"gave": work()}
        except Exception as error:
            outcome = {
                "raised": type(error).__name__,
                "status": status_of(error),
                "says": says(error),
            }
        print(json.dumps({"case": name, **outcome}, default=str, sort_keys=True), flush=True)

    return run


def status_of(error: Exception) -> object:
    return getattr(error, "status_code", None)


def says(error: Exception) -> str:
    """The words of an error, without the address of the server and ids of requests."""
    return str(error).replace(URL, "URL")[:500]
