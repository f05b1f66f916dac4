"""The official `ollama` package."""

import ollama
from cases import CALL, MODEL, PIXEL, QUESTION, TOOL, URL, case

client = ollama.Client(host=URL)
ASK = [{"role": "user", "content": QUESTION}]


@case("chat")
def chat():
    answer = client.chat(MODEL, ASK)
    return answer.message.model_dump(), answer.eval_count, answer.done_reason


@case("chat, streamed")
def streamed():
    return [part.message.content for part in client.chat(MODEL, ASK, stream=True)]


@case("generate")
def generate():
    return client.generate(MODEL, QUESTION).response


@case("tools")
def tools():
    told = client.chat(
        MODEL, ASK, tools=[{"type": "function", "function": TOOL}], options={"simulate": CALL}
    )
    return [call.model_dump() for call in told.message.tool_calls or []]


@case("a schema")
def schema():
    return client.chat(MODEL, ASK, format={"type": "object"}).message.content


@case("an image")
def image():
    return client.chat(MODEL, [{**ASK[0], "images": [PIXEL]}]).message.content


@case("embed")
def embed():
    return client.embed(MODEL, ["a", "b"]).embeddings


@case("an unknown model")
def unknown():
    return client.chat(MODEL, ASK, options={"simulate": {"status": 404, "error": "no such model"}})


@case("an error in the middle")
def broken():
    script = {"fault": "error", "at": 3, "error": "out of memory"}
    return [
        each.message.content
        for each in client.chat(MODEL, ASK, stream=True, options={"simulate": script})
    ]


@case("tags")
def tags():
    return [each.model for each in client.list().models]
