"""The official `anthropic` package."""

import anthropic
from cases import CALL, MODEL, PIXEL, QUESTION, TOOL, URL, case

client = anthropic.Anthropic(base_url=URL, api_key="-", max_retries=0)
ASK = [{"role": "user", "content": QUESTION}]
ASKED = {"model": MODEL, "max_tokens": 64, "messages": ASK}


@case("a message")
def message():
    answer = client.messages.create(**ASKED)
    return (
        [block.model_dump() for block in answer.content],
        answer.stop_reason,
        answer.usage.output_tokens,
    )


@case("a message, streamed")
def streamed():
    with client.messages.stream(**ASKED) as stream:
        texts = list(stream.text_stream)
        return texts, stream.get_final_message().stop_reason


@case("events")
def events():
    return [event.type for event in client.messages.create(**ASKED, stream=True)]


@case("tools")
def tools():
    tool = {"name": TOOL["name"], "input_schema": TOOL["parameters"]}
    answer = client.messages.create(**ASKED, tools=[tool], extra_body={"simulate": CALL})
    return [(block.name, block.input) for block in answer.content if block.type == "tool_use"]


@case("an image")
def image():
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": QUESTION}]
    answer = client.messages.create(**{**ASKED, "messages": [{"role": "user", "content": content}]})
    return answer.content[0].text


@case("tokens are counted")
def counted():
    return client.messages.count_tokens(model=MODEL, messages=ASK).input_tokens


@case("an error")
def refused():
    script = {"status": 404, "error": "no such model"}
    return client.messages.create(**ASKED, extra_body={"simulate": script})
