"""What the simulated backend is told to do with one request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

Fault = Literal["error", "hang", "cut", "garbage", "half_line", "reset", "empty"]
"""Where the answer goes wrong, once `at` tokens have been sent:

    error       a line {"error": ...}, and the stream ends
    hang        nothing more comes, and the connection stays open
    cut         the connection closes in the middle of an HTTP chunk
    garbage     a line that is no JSON
    half_line   the first half of a line, and the stream ends as if it were whole
    empty       the stream ends as if it were whole, before done (with `at` 0: an empty answer)
    reset       the connection is reset before any answer; `at` does not matter
"""

Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Tokens = Annotated[int, Meta(ge=0, le=1_000_000)]


class ScriptedCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call that the model makes."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one request is answered. The default: 16 tokens made of the prompt's words, at once.

    It can be sent along with a request, as `options.simulate`.
    """

    delay: Seconds = 0
    """Seconds before the first token, once the model is loaded."""
    rate: Seconds = 0
    """Tokens a second; 0: all at once."""
    tokens: Tokens = 16
    text: str | None = None
    """The answer itself, instead of words of the prompt; `tokens` does not matter then."""
    thinking: str | None = None
    """What it thinks first, if the request has `think`."""
    tool_calls: tuple[ScriptedCall, ...] = ()
    """The tools that it calls, if the request has `tools`."""
    load: Seconds | None = None
    """Seconds that loading the model takes, instead of the simulator's own figure."""
    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    """The HTTP status of a refusal, before anything is loaded or streamed."""
    error: str = "simulated error"
    """The words of a refusal, or of the fault "error"."""
    retry_after: str | None = None
    """The Retry-After header of a refusal: seconds, or an HTTP date."""
    fault: Fault | None = None
    at: Tokens = 0
    """Tokens that come before the fault."""


_SCRIPTS = msgspec.json.Decoder(list[Script])


def parse_scripts(body: bytes) -> list[Script]:
    """Scripts from a JSON array of objects; msgspec.DecodeError says what is wrong."""
    return _SCRIPTS.decode(body)
