"""The official `openai` package."""

import openai
from cases import CALL, MODEL, PIXEL, QUESTION, TOOL, URL, case

client = openai.OpenAI(base_url=f"{URL}/v1", api_key="-", max_retries=0)
ASK = [{"role": "user", "content": QUESTION}]
chat = client.chat.completions.create


@case("chat")
def whole():
    answer = chat(model=MODEL, messages=ASK)
    return answer.choices[0].message.model_dump(), answer.usage.model_dump()


@case("chat, streamed")
def streamed():
    return [part.choices[0].delta.content for part in chat(model=MODEL, messages=ASK, stream=True)]


@case("chat, streamed, with usage")
def usage():
    options = {"include_usage": True}
    parts = list(chat(model=MODEL, messages=ASK, stream=True, stream_options=options))
    return parts[-1].usage.model_dump()


@case("several choices")
def several():
    return [each.message.content for each in chat(model=MODEL, messages=ASK, n=2).choices]


@case("tools")
def tools():
    answer = chat(
        model=MODEL, messages=ASK, tools=[{"type": "function", "function": TOOL}],
        extra_body={"simulate": CALL},
    )  # fmt: skip
    return [call.function.model_dump() for call in answer.choices[0].message.tool_calls or []]


@case("an image")
def image():
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    content = [{"type": "text", "text": QUESTION}, part]
    return (
        chat(model=MODEL, messages=[{"role": "user", "content": content}])
        .choices[0]
        .message.content
    )


@case("completions of two prompts")
def completions():
    return [each.text for each in client.completions.create(model=MODEL, prompt=["a", "b"]).choices]


@case("embeddings")
def embeddings():
    return [each.embedding for each in client.embeddings.create(model=MODEL, input=["a", "b"]).data]


@case("responses")
def responses():
    answer = client.responses.create(model=MODEL, input=QUESTION)
    return answer.output_text, answer.status, answer.usage.output_tokens


@case("responses, streamed")
def responses_streamed():
    return [
        event.type for event in client.responses.create(model=MODEL, input=QUESTION, stream=True)
    ]


@case("responses with a tool")
def responses_tool():
    answer = client.responses.create(
        model=MODEL, input=QUESTION, tools=[{"type": "function", **TOOL, "strict": False}],
        extra_body={"simulate": CALL},
    )  # fmt: skip
    return [(item.name, item.arguments) for item in answer.output if item.type == "function_call"]


@case("moderations")
def moderations():
    return client.moderations.create(model=MODEL, input="a").results[0].flagged


@case("an image is made")
def images():
    return len(client.images.generate(model=MODEL, prompt="a", n=1).data[0].b64_json or "")


@case("speech")
def speech():
    return len(client.audio.speech.create(model=MODEL, voice="v", input="a b c").content)


@case("a transcription")
def transcription():
    return client.audio.transcriptions.create(model=MODEL, file=("a.wav", b"RIFF....WAVE")).text


@case("too long a prompt")
def too_long():
    fields = {"code": 400, "type": "exceed_context_size_error", "n_ctx": 4096}
    script = {"status": 400, "error": "too long", "error_fields": fields}
    return chat(model=MODEL, messages=ASK, extra_body={"simulate": script})


@case("too many requests")
def too_many():
    limits = [["x-ratelimit-remaining-requests", "0"], ["x-request-id", "r1"]]
    script = {"status": 422, "error": "slow down", "headers": limits}
    try:
        return chat(model=MODEL, messages=ASK, extra_body={"simulate": script})
    except openai.APIStatusError as error:
        return error.status_code, error.request_id, error.body, error.response.headers[limits[0][0]]


@case("models")
def models():
    return [each.id for each in client.models.list()]
