"""The official `openai` package, unmodified: the same against the model's server and through oq."""

from __future__ import annotations

import base64
import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from oq.backends.simulated import ScriptedCall
from oq.backends.simulated.text import answer, embedding
from tests.dropin.callers import openai_client

PROMPT = "why is the sky blue"
MESSAGES = [{"role": "user", "content": PROMPT}]
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n a picture of the sky").decode()
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
USAGE = {"include_usage": True}


def said(machine: Any) -> dict[str, Any]:
    """The last thing that the machine was asked to run."""
    return json.loads(machine.calls[-1].body)


# -- chat


def test_chat(openais):
    whole = openais.chat.completions.create(model="m", messages=MESSAGES)
    [choice] = whole.choices
    assert (choice.message.role, choice.message.content) == ("assistant", answer(PROMPT))
    assert choice.finish_reason == "stop"
    assert whole.object == "chat.completion"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (5, 16)
    assert whole.usage.total_tokens == 21


def test_chat_streaming(openais):
    chunks = list(openais.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == answer(PROMPT)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert not any(chunk.usage for chunk in chunks), "nobody asked for it"


def test_the_usage_of_a_stream_for_who_asks(openais):
    create = openais.chat.completions.create
    chunks = list(create(model="m", messages=MESSAGES, stream=True, stream_options=USAGE))
    assert chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (5, 16)


def test_a_chat_that_is_longer_than_it_may_be(openais):
    whole = openais.chat.completions.create(model="m", messages=MESSAGES, max_tokens=3)
    assert whole.choices[0].message.content == "why is the"
    assert whole.choices[0].finish_reason == "length"


def test_reasoning(openais, machine):
    create = openais.chat.completions.create
    machine.push(thinking="let me see", text="blue")
    [choice] = create(model="m", messages=MESSAGES, reasoning_effort="high").choices
    assert choice.message.reasoning_content == "let me see"
    machine.push(thinking="let me see", text="blue")
    chunks = list(create(model="m", messages=MESSAGES, reasoning_effort="low", stream=True))
    thoughts = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks]
    assert "".join(thought or "" for thought in thoughts) == "let me see"


def test_tools(openais, machine):
    create = openais.chat.completions.create
    calls = (ScriptedCall("weather", {"city": "Paris"}), ScriptedCall("weather", {"city": "Rome"}))
    machine.push(tool_calls=calls)
    [choice] = create(model="m", messages=MESSAGES, tools=[WEATHER]).choices
    assert choice.finish_reason == "tool_calls"
    made = [(call.id, call.function.name) for call in choice.message.tool_calls]
    assert made == [("call_0", "weather"), ("call_1", "weather")]
    arguments = [json.loads(call.function.arguments) for call in choice.message.tool_calls]
    assert arguments == [{"city": "Paris"}, {"city": "Rome"}]
    assert said(machine)["tools"] == [WEATHER]
    machine.push(tool_calls=calls)
    pieces: dict[int, str] = {}
    for chunk in create(model="m", messages=MESSAGES, tools=[WEATHER], stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            pieces[call.index] = pieces.get(call.index, "") + (call.function.arguments or "")
    assert {index: json.loads(text) for index, text in pieces.items()} == dict(enumerate(arguments))
    again = [
        *MESSAGES,
        choice.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": "call_0", "content": "sunny"},
    ]
    whole = create(model="m", messages=again, tools=[WEATHER])
    assert whole.choices[0].message.content == answer("sunny")


class Country(BaseModel):
    name: str
    capitals: list[str]


def test_structured_output(openais):
    whole = openais.chat.completions.parse(model="m", messages=MESSAGES, response_format=Country)
    assert whole.choices[0].message.parsed.name == answer(PROMPT)
    create = openais.chat.completions.create
    whole = create(model="m", messages=MESSAGES, response_format={"type": "json_object"})
    assert json.loads(whole.choices[0].message.content) == {"answer": answer(PROMPT)}


def test_images_reach_the_model(openais, machine):
    url = {"url": f"data:image/png;base64,{PICTURE}"}
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": url}]
    openais.chat.completions.create(model="m", messages=[{"role": "user", "content": parts}])
    assert said(machine)["messages"][0]["content"] == parts


def test_how_probable_the_tokens_were(openais):
    create = openais.chat.completions.create
    whole = create(model="m", messages=MESSAGES, logprobs=True, top_logprobs=2)
    tokens = whole.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == answer(PROMPT)
    assert {len(token.top_logprobs) for token in tokens} == {2}


def test_what_oq_does_not_know_reaches_the_model(openais, machine):
    more = {"repetition_penalty": 1.5, "mirostat": {"tau": 5}}
    openais.chat.completions.create(model="m", messages=MESSAGES, seed=7, extra_body=more)
    assert {**said(machine), **more, "seed": 7} == said(machine)


# -- completions, embeddings, models


def test_completions(openais):
    whole = openais.completions.create(model="m", prompt="a b", max_tokens=3)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("a b a", "length")
    assert (whole.object, whole.usage.completion_tokens) == ("text_completion", 3)
    chunks = list(openais.completions.create(model="m", prompt="a b", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer("a b")


@pytest.mark.parametrize("form", ["float", "base64", None])
def test_embeddings(openais, form):
    more = {} if form is None else {"encoding_format": form}
    vectors = openais.embeddings.create(model="m", input=["a", "b"], **more)
    if form == "base64":
        assert isinstance(vectors.data[0].embedding, str)
    else:
        assert vectors.data[0].embedding == pytest.approx(embedding("a"))
        assert vectors.data[1].embedding == pytest.approx(embedding("b"))
    assert vectors.usage.prompt_tokens == 2


def test_models(openais):
    assert [model.id for model in openais.models.list().data] == ["m:latest"]
    assert openais.models.retrieve("m").id == "m"
    with pytest.raises(openai.NotFoundError, match="not found"):
        openais.models.retrieve("x")


# -- errors


def test_an_unknown_model(openais):
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError, match="not found") as caught:
            openais.chat.completions.create(model="x", messages=MESSAGES, stream=stream)
        assert caught.value.body["type"] == "not_found_error"
    with pytest.raises(openai.NotFoundError):
        openais.embeddings.create(model="x", input="a")


@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":"m"}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_call(way, path, body):
    refused = way.http.post(f"/v1{path}", content=body)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (403, openai.PermissionDeniedError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
def test_a_refusal_keeps_its_status_and_its_words(openais, machine, status, kind):
    for stream in (False, True):
        machine.push(status=status, error="these very words")
        with pytest.raises(kind, match="these very words") as caught:
            openais.chat.completions.create(model="m", messages=MESSAGES, stream=stream)
        assert caught.value.status_code == status


def test_an_error_in_mid_stream(openais, machine):
    machine.push(fault="error", at=3, error="out of memory")
    chunks = openais.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    it = iter(chunks)
    assert "".join(next(it).choices[0].delta.content for _ in range(3)) == "why is the"
    with pytest.raises(openai.APIError, match="out of memory"):
        next(it)


def test_an_error_in_mid_answer_of_a_call_that_does_not_stream(openais, machine):
    machine.push(fault="error", at=3, error="out of memory")
    with pytest.raises(openai.InternalServerError, match="out of memory"):
        openais.chat.completions.create(model="m", messages=MESSAGES)


@pytest.mark.parametrize("fault", ["cut", "garbage", "half_line", "empty"])
def test_a_stream_that_breaks_never_ends_silently(queued_way, machine, asynchronous, fault):
    machine.push(fault=fault, at=3)
    with openai_client(queued_way.url, asynchronous=asynchronous) as client:
        it = iter(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        assert "".join(next(it).choices[0].delta.content for _ in range(3)) == "why is the"
        with pytest.raises(openai.APIError, match=r"\w"):
            next(it)


# -- hanging up


def test_closing_the_stream_stops_the_model(openais, way, machine):
    machine.push(fault="hang", at=2)
    chunks = openais.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    next(iter(chunks))
    chunks.close()
    machine.until(lambda: machine.calls[0].hung_up_at, "the model's server sees the hang-up")
    if way.oq:
        assert way.ended(way.tasks(limit="1")[0]["id"])["status"] == "cancelled"


def test_a_caller_who_loses_patience_stops_the_model(queued_way, machine, asynchronous):
    machine.push(fault="hang", at=2)
    with (
        openai_client(queued_way.url, asynchronous=asynchronous, timeout=0.5) as impatient,
        pytest.raises(openai.APITimeoutError),
    ):
        impatient.chat.completions.create(model="m", messages=MESSAGES)
    machine.until(lambda: machine.calls[0].hung_up_at, "the model's server sees the hang-up")
    task = queued_way.ended(queued_way.tasks(limit="1")[0]["id"])
    assert task["status"] == "cancelled"


# -- as tasks


def test_each_call_is_a_task(queued_way, asynchronous):
    with openai_client(queued_way.url, asynchronous=asynchronous) as client:
        client.chat.completions.create(model="m", messages=MESSAGES)
    task = queued_way.ended(queued_way.tasks(limit="1")[0]["id"])
    assert (task["type"], task["model"], task["status"]) == ("chat", "m", "completed")
    assert task["usage"] == {"prompt_tokens": 5, "completion_tokens": 16}
    assert "OpenAI/Python" in json.dumps(task["metadata"])
