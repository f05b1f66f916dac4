"""Whatever is asked and answered: a translation gives frames, or one of the known errors."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects import ENDPOINTS
from oq.dialects.translate import translation
from oq.words.errors import BackendError, InvalidTask
from tests.unit.translate.ways import FORMS, MESSAGES, NOW, RESPONSES, events, lines, translated

KEYS = [
    "type", "role", "content", "text", "input", "output", "name", "tools", "id", "call_id",
    "arguments", "summary", "source", "data", "url", "image_url", "tool_use_id", "thinking",
    "namespace", "format", "schema", "effort", "mode", "index", "function", "delta", "message",
    "tool_calls", "finish_reason", "choices", "usage", "error", "code", "done", "done_reason",
    "reasoning", "reasoning_content", "refusal", "prompt_tokens", "prompt_tokens_details",
]  # fmt: skip
WORDS = [
    "message", "user", "assistant", "system", "developer", "input_text", "input_image", "text",
    "function", "function_call", "function_call_output", "custom", "custom_tool_call", "namespace",
    "reasoning", "additional_tools", "web_search", "tool_use", "tool_result", "thinking", "image",
    "document", "base64", "content", "enabled", "auto", "required", "any", "tool", "allowed_tools",
    "json_schema", "stop", "length", "f", "", "\ud83e", "{}", '{"a":', "data:image/png;base64,AA==",
]  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False), st.sampled_from(WORDS)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8)
FIELDS = {
    RESPONSES: ["input", "tools", "tool_choice", "text", "reasoning", "include", "instructions",
                "max_output_tokens", "stream", "unheard_of"],
    MESSAGES: ["messages", "system", "tools", "tool_choice", "thinking", "output_config",
               "output_format", "stop_sequences", "max_tokens", "stream", "unheard_of"],
}  # fmt: skip
WAYS = pytest.mark.parametrize(("path", "form"), [(p, f) for p in FIELDS for f in FORMS])


@pytest.mark.slow
@WAYS
@given(drawn=st.data())
def test_a_request_is_translated_or_refused_by_name(path, form, drawn):
    wanted = st.one_of(VALUES, st.lists(OBJECTS, max_size=3))
    asked = drawn.draw(st.dictionaries(st.sampled_from(FIELDS[path]), wanted, max_size=5))
    how = translation(ENDPOINTS[path], FORMS[form])
    assert how is not None
    with suppress(InvalidTask):
        done = how.request(json.dumps({"model": "m", "input": "?", **asked}).encode())
        assert json.loads(done.body)["model"] == "m"
        assert all(name.isascii() and name.isprintable() for name in done.left_out)


@pytest.mark.slow
@WAYS
@given(drawn=st.data())
def test_an_answer_is_told_or_is_a_failure(path, form, drawn):
    chunks = drawn.draw(st.lists(OBJECTS, max_size=4))
    odd: list[Any] = []
    for chunk in chunks:
        deep = {"delta": chunk, "message": chunk} if drawn.draw(st.booleans()) else {"delta": chunk}
        odd.append({"choices": [deep]} if form == "chat" else {"message": chunk})
        odd.append(chunk)
    body = (events if form == "chat" else lines)(*odd)
    how = translated(path, form, stream=True)
    with suppress(BackendError):
        stream = how.stream("x", NOW)
        for frame in [*stream.feed(body), *stream.end()]:
            json.loads(frame.partition(b"data: ")[2])
    with suppress(BackendError):
        json.loads(how.whole(body, "x", NOW))


@WAYS
@given(noise=st.binary(max_size=80), before=st.booleans())
def test_noise_is_a_failure_and_nothing_else(path, form, noise, before):
    stream = translated(path, form, stream=True).stream("x", NOW)
    with suppress(BackendError):
        if before:
            stream.feed(events({"choices": []}) if form == "chat" else lines({"message": {}}))
        stream.feed(noise)
        stream.end()
