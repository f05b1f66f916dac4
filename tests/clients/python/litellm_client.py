"""litellm, by each of its providers that people point at their own servers."""

import litellm
from cases import MODEL, QUESTION, URL, case

litellm.suppress_debug_info = True
litellm.num_retries = 0
ASK = [{"role": "user", "content": QUESTION}]
WAYS = {
    "ollama": {"model": f"ollama/{MODEL}", "api_base": URL},
    "ollama_chat": {"model": f"ollama_chat/{MODEL}", "api_base": URL},
    "openai": {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": "-"},
    "anthropic": {"model": f"anthropic/{MODEL}", "api_base": URL, "api_key": "-"},
}

for name, way in WAYS.items():

    @case(f"{name}: whole")
    def whole(way=way):
        return litellm.completion(messages=ASK, **way).choices[0].message.content

    @case(f"{name}: streamed")
    def streamed(way=way):
        parts = litellm.completion(messages=ASK, stream=True, **way)
        return "".join(part.choices[0].delta.content or "" for part in parts)


@case("openai: embeddings")
def embeddings():
    return litellm.embedding(input=["a"], **WAYS["openai"]).data[0]["embedding"]
