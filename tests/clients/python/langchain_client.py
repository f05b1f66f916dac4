"""langchain-ollama and langchain-openai."""

from cases import MODEL, QUESTION, TOOL, URL, case
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

theirs = ChatOllama(model=MODEL, base_url=URL)
others = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key="-", max_retries=0)


@case("ollama: invoke")
def invoke():
    answer = theirs.invoke(QUESTION)
    return answer.content, answer.usage_metadata


@case("ollama: stream")
def stream():
    return [part.content for part in theirs.stream(QUESTION)]


@case("ollama: embeddings")
def embeddings():
    return OllamaEmbeddings(model=MODEL, base_url=URL).embed_documents(["a", "b"])


@case("openai: invoke")
def openai_invoke():
    answer = others.invoke(QUESTION)
    return answer.content, answer.usage_metadata


@case("openai: stream")
def openai_stream():
    return [part.content for part in others.stream(QUESTION)]


@case("openai: a batch")
def openai_batch():
    return [each.content for each in others.batch([QUESTION, "and the sea"])]


@case("openai: bound tools")
def openai_tools():
    bound = others.bind_tools([{"type": "function", "function": TOOL}])
    return bound.invoke(QUESTION).content


@case("openai: the responses API")
def openai_responses():
    told = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key="-", use_responses_api=True)
    return [block.get("text") for block in told.invoke(QUESTION).content]


@case("openai: embeddings")
def openai_embeddings():
    made = OpenAIEmbeddings(
        model=MODEL, base_url=f"{URL}/v1", api_key="-", check_embedding_ctx_length=False
    )
    return made.embed_documents(["a", "b"])
