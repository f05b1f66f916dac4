"""Request bodies as any client might send them: every call of both APIs, fields that nobody knows,
any order, any spelling of numbers and strings, any white space.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st

NUMBERS = (
    "0", "-0", "1.0", "-0.0", "1e400", "-1E-400", "1e2", "0.10e+1", "-9223372036854775809",
    "123456789012345678901234567890", "0.1000000000000000055511151231257827",
)  # fmt: skip
SPELLINGS = (
    r'"\u0041\/\b"', r'"\ud83e\udd99"', '"🦙"', '"größer"', '"日本語"', '"\u2028"', '"\x7f"',
    r'"\\\""', r'"\ud83e"', r'"\udd99\\ud83e"',
)  # fmt: skip
SPACE = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n  "])
KNOWN = frozenset(
    {
        "model", "messages", "prompt", "input", "stream", "options", "simulate", "stream_options",
        "format", "think", "tools", "keep_alive", "logprobs", "top_logprobs", "dimensions",
        "system", "max_tokens", "max_completion_tokens", "response_format", "reasoning_effort",
        "encoding_format",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A call. `before` and `after` are what is left and right of the value of `stream`, which is
    None where the body does not say: then `before` is all of it.
    """

    path: str
    before: bytes
    stream: str | None
    after: bytes

    @property
    def body(self) -> bytes:
        return self.before + (self.stream or "").encode() + self.after

    @property
    def streams(self) -> bool | None:
        """Whether the answer streams; None: this call's never does."""
        if "embed" in self.path:
            return None
        return self.stream == "true" if self.stream else self.path.startswith("/api/")


def strings() -> st.SearchStrategy[str]:
    """JSON strings, in many a spelling."""
    text = st.text(st.characters(codec="utf-8"), max_size=12)
    escaped = st.builds(json.dumps, text, ensure_ascii=st.booleans())
    return st.one_of(st.sampled_from(SPELLINGS), escaped)


def values() -> st.SearchStrategy[str]:
    """Any JSON, as text."""
    scalars = st.one_of(
        st.sampled_from(["true", "false", "null", *NUMBERS]), st.integers().map(str), strings()
    )
    return st.recursive(
        scalars, lambda inner: st.one_of(arrays(inner), objects(inner)), max_leaves=6
    )


def arrays(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(SPACE, items, SPACE).map("".join), max_size=3).map(
        lambda parts: f"[{','.join(parts)}]"
    )


def objects(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(SPACE, strings(), SPACE, st.just(":"), SPACE, items, SPACE).map("".join)
    return st.lists(member, max_size=3).map(lambda parts: f"{{{','.join(parts)}}}")


_MODELS = st.sampled_from(['"m"', '"m:latest"', '"team/m:7b"', '"модель"', r'"m\u0031"'])
_NAMES = st.one_of(
    st.sampled_from(["x", "strea", "Streams", "options2", "seed", "suffix", "images", "raw"]),
    st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name not in KNOWN),
)
_OPTIONS = st.lists(
    st.tuples(_NAMES.map(json.dumps), st.just(":"), values()).map("".join), max_size=3
).map(lambda parts: f"{{{','.join(parts)}}}")
_TURN = st.builds(
    lambda text, more: f'{{"role":"user","content":{text}{more}}}',
    strings(),
    st.sampled_from(["", ',"name":"ada"', ',"images":["aGk="]', ',"x":1e400']),
)
_MESSAGES = st.lists(_TURN, min_size=1, max_size=3).map(lambda turns: f"[{','.join(turns)}]")
_TEXTS = st.one_of(strings(), arrays(strings()))
_PROMPT = strings().filter(lambda text: text != '""')
_OF_OLLAMA = {
    "options": _OPTIONS,
    "keep_alive": st.sampled_from(['"5m"', "-1", "300", '"1h30m"']),
    "think": st.sampled_from(["true", "false", '"low"', "null"]),
    "format": st.sampled_from(['""', '"json"', '{"type":"object","properties":{}}']),
    "top_logprobs": st.sampled_from(["0", "2", "21"]),
    "logprobs": st.booleans().map(json.dumps),
}
_OF_OPENAI = {
    "max_tokens": st.sampled_from(["1", "5", "null"]),
    "reasoning_effort": st.sampled_from(['"low"', '"none"']),
    "response_format": st.sampled_from(['{"type":"text"}', '{"type":"json_object"}']),
    "tools": st.just('[{"type":"function","function":{"name":"f"}}]'),
}
_EMBEDS = {"dimensions": st.sampled_from(["1", "4"])}
_NEEDED = {
    "/api/chat": ("messages", _MESSAGES, _OF_OLLAMA),
    "/api/generate": ("prompt", _PROMPT, _OF_OLLAMA),
    "/api/embed": ("input", _TEXTS, _EMBEDS | {"options": _OPTIONS}),
    "/api/embeddings": ("prompt", strings(), {"options": _OPTIONS}),
    "/v1/chat/completions": ("messages", _MESSAGES, _OF_OPENAI),
    "/v1/completions": ("prompt", _PROMPT, {"max_tokens": _OF_OPENAI["max_tokens"]}),
    "/v1/embeddings": ("input", _TEXTS, _EMBEDS | {"encoding_format": st.just('"base64"')}),
}
PATHS = tuple(_NEEDED)


@st.composite
def calls(draw: st.DrawFn) -> Sent:
    """A call that the simulated machine understands, whatever else is in it."""
    path = draw(st.sampled_from(PATHS))
    needed, strategy, optional = _NEEDED[path]
    members = [("model", draw(_MODELS)), (needed, draw(strategy))]
    members += [(key, draw(value)) for key, value in optional.items() if draw(st.booleans())]
    members += draw(st.lists(st.tuples(_NAMES, values()), max_size=4))
    stream = draw(st.sampled_from([None, "true", "false"]))
    if stream is not None:
        members.append(("stream", stream))
    written, hole = draw(SPACE) + "{", None
    for number, (key, value) in enumerate(draw(st.permutations(members))):
        comma = "," if number else ""
        written += f"{comma}{draw(SPACE)}{json.dumps(key)}{draw(SPACE)}:{draw(SPACE)}"
        if key == "stream":
            hole = len(written.encode())
        written += value + draw(SPACE)
    body = (written + "}" + draw(SPACE)).encode()
    if hole is None or stream is None:
        return Sent(path, body, None, b"")
    return Sent(path, body[:hole], stream, body[hole + len(stream) :])
