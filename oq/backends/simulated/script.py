"""What the simulated backend is told to do with one request.

A script can come along with a request (`options.simulate` of Ollama's calls, the field `simulate`
of all others), wait for the next request (`Simulator.push`, POST /simulator/script), or hold for
all (`Simulator.default`). docs/simulator.md shows what each part is for.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

Fault = Literal[
    "error", "hang", "cut", "cut_between", "garbage", "half_line", "reset", "empty",
    "killed",
]  # fmt: skip
"""Where the answer goes wrong, once `at` tokens have been sent:

    error        a line or an event with an error, and the stream ends. An answer that does not
                 stream is an error with `status`, or else 500
    hang         nothing more comes, and the connection stays open
    cut          the connection closes in the middle of an HTTP chunk
    cut_between  the connection closes behind a whole line or event
    garbage      a line that is no JSON
    half_line    the first half of a line, and the stream ends as if it were whole
    empty        the stream ends as if it were whole, before done (with `at` 0: an empty answer)
    reset        the connection is reset before any answer; `at` does not matter
    killed       the process that has the model is killed, with all that runs on it, and the stream
                 ends as Ollama ends it then. Before the first token the answer is a 500
"""

Quirk = Literal[
    "roles", "names", "same_index", "no_index", "no_arguments",
    "null_data", "null_choices", "null_delta", "surrogates", "float_tokens", "nan",
    "done_alone", "usage_alone", "no_done",
    "swapped", "sorted", "spaced", "crlf", "comments", "blank_lines",
]  # fmt: skip
"""Habits of real servers, each of which some client or proxy has stumbled over:

    roles         each piece of a tool call repeats the role
    names         each piece of a tool call repeats its name
    same_index    all tool calls say index 0
    no_index      tool calls say no index
    no_arguments  tool calls say no arguments
    null_data     ``data: null`` comes before the first event
    null_choices  the first event has ``"choices":null``
    null_delta    the first choice has ``"delta":null``
    surrogates    a character beyond U+FFFF is written as two escapes, one at the end of a piece and
                  one at the beginning of the next
    float_tokens  counts of tokens are floats, as 7.0
    nan           the first number of each vector is NaN, which is no JSON
    done_alone    a stream is only ``data: [DONE]``
    usage_alone   a stream is only the counts and ``data: [DONE]``
    no_done       a stream of events ends without ``data: [DONE]``
    swapped       of several choices the last comes first
    sorted        the keys of objects are in alphabetical order
    spaced        there are spaces in the JSON, and a line break behind a whole answer
    crlf          lines end with CR and LF
    comments      a comment comes before each event
    blank_lines   a blank line comes behind each line or event
"""

Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Tokens = Annotated[int, Meta(ge=0, le=1_000_000)]


class ScriptedCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call that the model makes."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one request is answered. The default: 16 tokens made of the prompt's words, at once."""

    prompt: Seconds = 0
    """Seconds that the model reads the prompt, or all texts of an embed call."""
    batch: Seconds = 0
    """Seconds that each batch of the prompt takes; 0: the prompt is one batch. The slot of a caller
    who hangs up is not free before the end of the batch."""
    delay: Seconds = 0
    """Seconds before the first token, after those of `prompt`. A hang-up ends them at once."""
    rate: Seconds = 0
    """Tokens a second; 0: all at once."""
    tokens: Tokens = 16
    together: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    """Tokens that come together, as one piece of the answer, when the last of them is due."""
    text: str | None = None
    """The answer itself, instead of words of the prompt; `tokens` does not matter then."""
    thinking: str | None = None
    """What it thinks first, if the request asks for it."""
    tool_calls: tuple[ScriptedCall, ...] = ()
    """The tools that it calls, if the request has `tools`."""
    load: Seconds | None = None
    """Seconds that loading the model takes, instead of the simulator's own figure."""
    fault: Fault | None = None
    at: Tokens = 0
    """Tokens that come before the fault."""
    quirks: tuple[Quirk, ...] = ()

    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    """The HTTP status. Any but 200 is a refusal, before anything is loaded or streamed."""
    refuses: tuple[str, ...] = ()
    """If there are any, only a body that has one of these fields gets the refusal. A field that is
    null or false counts as missing."""
    error: str = "simulated error"
    """The words of a refusal, or of the fault "error"."""
    error_fields: dict[str, Any] = field(default_factory=dict)
    """Further fields of the error's object, over those that the API has: `code`, `n_ctx`, ..."""
    retry_after: str | None = None
    """The Retry-After header of a refusal: seconds, or an HTTP date."""
    reason: str | None = None
    """The reason phrase behind the status, instead of the usual one."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers of the answer, names and values, in order."""
    content_type: str | None = None
    """The Content-Type of the answer, instead of the usual one."""

    body: str | None = None
    """The very body, instead of what the model says: sent whole, with a length."""
    frames: tuple[str, ...] | None = None
    """The very pieces of the body, each as an HTTP chunk, instead of what the model says. They come
    at the times of tokens, and `fault` comes behind `at` of them."""
    base64: bool = False
    """Whether `body` and `frames` are base64, for bytes that are no text."""

    @property
    def first(self) -> float:
        """Seconds before the first token, once the model is loaded and has a slot."""
        return self.prompt + self.delay


_SCRIPTS = msgspec.json.Decoder(list[Script])


def parse_scripts(body: bytes) -> list[Script]:
    """Scripts from a JSON array of objects; msgspec.DecodeError says what is wrong."""
    return _SCRIPTS.decode(body)
