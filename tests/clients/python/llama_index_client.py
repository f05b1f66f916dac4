"""llama-index: its classes for Ollama and for servers like OpenAI's."""

from cases import MODEL, QUESTION, URL, case
from llama_index.llms.ollama import Ollama
from llama_index.llms.openai_like import OpenAILike

theirs = Ollama(model=MODEL, base_url=URL, context_window=4096)
others = OpenAILike(
    model=MODEL, api_base=f"{URL}/v1", api_key="-", is_chat_model=True, max_retries=0
)


@case("ollama: complete")
def complete():
    return theirs.complete(QUESTION).text


@case("ollama: streamed")
def streamed():
    return [part.delta for part in theirs.stream_complete(QUESTION)]


@case("openai: complete")
def openai_complete():
    return others.complete(QUESTION).text


@case("openai: streamed")
def openai_streamed():
    return [part.delta for part in others.stream_complete(QUESTION)]
