"""The official `ollama` package, unmodified: the same against the model's server and through oq."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import ollama
import pytest
from pydantic import BaseModel

from oq.backends.simulated import ScriptedCall
from oq.backends.simulated.text import answer, embedding
from tests.dropin.callers import ollama_client
from tests.dropin.ways import SOON

PROMPT = "why is the sky blue"
MESSAGES = [{"role": "user", "content": PROMPT}]
PICTURE = b"\x89PNG\r\n\x1a\n a picture of the sky"
HANG = {"fault": "hang", "at": 2}


def said(machine: Any) -> dict[str, Any]:
    """The last thing that the machine was asked to run."""
    return json.loads(machine.calls[-1].body)


# -- chat


def test_chat(theirs):
    whole = theirs.chat("m", MESSAGES)
    assert whole.message.role == "assistant"
    assert whole.message.content == answer(PROMPT)
    assert whole.model in ("m", "m:latest")
    assert (whole.done, whole.done_reason) == (True, "stop")
    assert (whole.prompt_eval_count, whole.eval_count) == (5, 16)


def test_chat_streaming(theirs):
    chunks = list(theirs.chat("m", MESSAGES, stream=True))
    assert "".join(chunk.message.content for chunk in chunks) == answer(PROMPT)
    assert [chunk.done for chunk in chunks] == [False] * 16 + [True]
    assert (chunks[-1].done_reason, chunks[-1].eval_count) == ("stop", 16)


def test_a_chat_that_is_longer_than_it_may_be(theirs):
    whole = theirs.chat("m", MESSAGES, options={"num_predict": 3})
    assert (whole.message.content, whole.done_reason) == ("why is the", "length")


def test_unicode_comes_and_goes_as_it_is(theirs, machine):
    text = 'größer, 日本語, emoji 🦙, "quotes" and \\ \u2028 \x7f'
    machine.push(text=text)
    assert theirs.chat("m", [{"role": "user", "content": text}]).message.content == text
    assert said(machine)["messages"][0]["content"] == text


def test_what_a_model_thinks(theirs, machine):
    for think in (True, "high"):
        machine.push(thinking="let me see", text="blue")
        message = theirs.chat("m", MESSAGES, think=think).message
        assert (message.thinking, message.content) == ("let me see", "blue")
    machine.push(thinking="let me see", text="blue")
    chunks = list(theirs.chat("m", MESSAGES, think=True, stream=True))
    assert "".join(chunk.message.thinking or "" for chunk in chunks) == "let me see"
    machine.push(thinking="let me see", text="blue")
    assert theirs.chat("m", MESSAGES, think=False).message.thinking is None


def test_tools(theirs, machine):
    def weather(city: str, days: int = 1) -> str:
        """Tell the weather.

        Args:
          city: Where
          days: For how long
        """
        return f"{city} {days}"

    script = {"tool_calls": (ScriptedCall("weather", {"city": "Paris", "days": 2}),)}
    for stream in (False, True):
        machine.push(**script)
        made = theirs.chat("m", MESSAGES, tools=[weather], stream=stream)
        answers = list(made) if stream else [made]
        [call] = [call for one in answers for call in one.message.tool_calls or ()]
        assert call.function.name == "weather"
        assert call.function.arguments == {"city": "Paris", "days": 2}
    [tool] = said(machine)["tools"]
    assert tool["function"]["parameters"]["properties"]["city"]["type"] == "string"
    again = [
        *MESSAGES,
        {"role": "assistant", "tool_calls": [{"function": call.function.model_dump()}]},
        {"role": "tool", "content": "sunny", "tool_name": "weather"},
    ]
    assert theirs.chat("m", again, tools=[weather]).message.content == answer("sunny")
    assert "sunny" in json.dumps(said(machine))


class Country(BaseModel):
    name: str
    capitals: list[str]


def test_structured_output(theirs):
    whole = theirs.chat("m", MESSAGES, format=Country.model_json_schema())
    country = Country.model_validate_json(whole.message.content)
    assert country.name == answer(PROMPT)
    whole = theirs.chat("m", MESSAGES, format="json")
    assert json.loads(whole.message.content) == {"answer": answer(PROMPT)}
    said = theirs.generate("m", PROMPT, format=Country.model_json_schema())
    assert Country.model_validate_json(said.response).name == answer(PROMPT)


def test_images_reach_the_model(theirs, machine):
    encoded = base64.b64encode(PICTURE)
    theirs.chat("m", [{"role": "user", "content": "what is it?", "images": [PICTURE]}])
    assert encoded in machine.calls[-1].body
    theirs.generate("m", "what is it?", images=[PICTURE])
    assert encoded in machine.calls[-1].body


def test_how_probable_the_tokens_were(native):
    whole = native.chat("m", MESSAGES, logprobs=True, top_logprobs=2)
    assert "".join(token.token for token in whole.logprobs) == answer(PROMPT)
    assert {len(token.top_logprobs) for token in whole.logprobs} == {2}


# -- generate and embed


def test_generate(theirs):
    said = theirs.generate("m", "one two", system="Be brief.", options={"temperature": 0})
    assert (said.response, said.done_reason) == (answer("one two"), "stop")
    assert said.eval_count == 16
    chunks = list(theirs.generate("m", "one two", stream=True))
    assert "".join(chunk.response for chunk in chunks) == answer("one two")
    assert chunks[-1].done


def test_generate_passes_on_what_only_the_model_understands(native, machine):
    made = native.generate("m", "one", suffix="end", raw=True, context=[1, 2], keep_alive="3m")
    assert made.context == list(range(1, 18))
    assert said(machine) == {
        "model": "m", "prompt": "one", "suffix": "end", "raw": True, "context": [1, 2],
        "keep_alive": "3m", "stream": said(machine)["stream"],
    }  # fmt: skip


def test_embed(theirs):
    one = theirs.embed("m", "a")
    assert [list(vector) for vector in one.embeddings] == [embedding("a")]
    two = theirs.embed("m", ["a", "b"], dimensions=4)
    assert [list(v) for v in two.embeddings] == [embedding("a", 4), embedding("b", 4)]
    assert two.prompt_eval_count == 2


def test_embeddings_as_they_were_before_embed(theirs):
    assert list(theirs.embeddings("m", "a").embedding) == embedding("a")


def test_a_model_is_loaded_and_unloaded(native, machine):
    assert native.generate("m").done_reason == "load"
    machine.until(lambda: machine.simulator.loaded.names == ["m"], "the model is there")
    chunks = list(native.chat("m", stream=True))
    assert [(chunk.done, chunk.done_reason) for chunk in chunks] == [(True, "load")]
    assert native.chat("m", keep_alive=0).done_reason == "unload"
    machine.until(lambda: not machine.simulator.loaded.names, "the model leaves")


# -- what there is


def test_list_ps_show(theirs):
    """A machine that speaks OpenAI does not say what it has loaded: then it is what it has."""
    assert [model.model for model in theirs.list().models] == ["m:latest"]
    theirs.generate("m", "x")
    assert [model.model.removesuffix(":latest") for model in theirs.ps().models] == ["m"]
    assert "completion" in theirs.show("m").capabilities


def test_show_of_a_model_that_is_not_there(theirs):
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        theirs.show("x")
    assert caught.value.status_code == 404


def test_the_server_says_that_it_is_there(way):
    assert (way.http.get("/").text, way.http.head("/").status_code) == ("Ollama is running", 200)
    assert way.http.get("/api/version").json()["version"]


# -- errors


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model(theirs, stream):
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        list(theirs.chat("x", MESSAGES, stream=stream))
    assert caught.value.status_code == 404
    assert caught.value.error == 'model "x" not found, try pulling it first'
    with pytest.raises(ollama.ResponseError, match="not found"):
        theirs.embed("x", "a")


@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_request(native, stream):
    with pytest.raises(ollama.ResponseError, match="must be between 0 and 20") as caught:
        list(native.chat("m", MESSAGES, logprobs=True, top_logprobs=21, stream=stream))
    assert caught.value.status_code == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages":[]}', b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings"])
def test_a_body_that_is_no_call(way, path, body):
    refused = way.http.post(path, content=body)
    assert refused.status_code == 400
    assert list(refused.json()) == ["error"]
    assert isinstance(refused.json()["error"], str)


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_a_refusal_keeps_its_status_and_its_words(theirs, machine, status):
    for stream in (False, True):
        machine.push(status=status, error="these very words")
        with pytest.raises(ollama.ResponseError, match=r"^these very words") as caught:
            list(theirs.chat("m", MESSAGES, stream=stream))
        assert (caught.value.status_code, caught.value.error) == (status, "these very words")


def test_an_error_in_mid_stream(theirs, machine):
    machine.push(fault="error", at=3, error="out of memory")
    chunks = theirs.chat("m", MESSAGES, stream=True)
    assert "".join(next(chunks).message.content for _ in range(3)) == "why is the"
    with pytest.raises(ollama.ResponseError, match="out of memory"):
        next(chunks)


def test_an_error_in_mid_answer_of_a_call_that_does_not_stream(theirs, machine):
    machine.push(fault="error", at=3, error="out of memory")
    with pytest.raises(ollama.ResponseError, match="out of memory") as caught:
        theirs.chat("m", MESSAGES)
    assert caught.value.status_code == 500


@pytest.mark.parametrize("fault", ["cut", "garbage", "half_line", "empty"])
def test_a_stream_that_breaks_never_ends_silently(queued_way, machine, asynchronous, fault):
    machine.push(fault=fault, at=3)
    with ollama_client(queued_way.url, asynchronous=asynchronous) as client:
        chunks = client.chat("m", MESSAGES, stream=True)
        assert "".join(next(chunks).message.content for _ in range(3)) == "why is the"
        with pytest.raises(ollama.ResponseError, match=r"\w"):
            next(chunks)


# -- hanging up


@pytest.mark.parametrize("what", ["chat", "generate"])
def test_closing_the_stream_stops_the_model(theirs, way, machine, what):
    machine.push(**HANG)
    asked = {"chat": lambda: theirs.chat("m", MESSAGES, stream=True),
             "generate": lambda: theirs.generate("m", PROMPT, stream=True)}  # fmt: skip
    chunks = asked[what]()
    assert not next(chunks).done
    chunks.close()
    machine.until(lambda: machine.calls[0].hung_up_at, "the model's server sees the hang-up")
    if way.oq:
        assert way.ended(way.tasks(limit="1")[0]["id"])["status"] == "cancelled"


def test_a_caller_who_loses_patience_stops_the_model(queued_way, machine, asynchronous):
    machine.push(**HANG)
    with (
        ollama_client(queued_way.url, asynchronous=asynchronous, timeout=0.5) as impatient,
        pytest.raises(httpx.ReadTimeout),
    ):
        impatient.chat("m", MESSAGES)
    machine.until(lambda: machine.calls[0].hung_up_at, "the model's server sees the hang-up")
    task = queued_way.ended(queued_way.tasks(limit="1")[0]["id"])
    assert task["status"] == "cancelled"


# -- as tasks


def test_each_call_is_a_task_that_says_who_called(queued_way, asynchronous):
    with ollama_client(queued_way.url, asynchronous=asynchronous, timeout=SOON) as client:
        client.chat("m", MESSAGES)
    task = queued_way.ended(queued_way.tasks(limit="1")[0]["id"])
    assert (task["type"], task["model"], task["status"]) == ("chat", "m", "completed")
    assert task["priority"] == 10
    assert task["result"]["message"]["content"] == answer(PROMPT)
    assert task["payload"]["messages"] == MESSAGES
    assert "ollama-python" in json.dumps(task["metadata"])
    assert "127.0.0.1" in json.dumps(task["metadata"])
