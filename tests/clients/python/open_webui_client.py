"""Open WebUI, started here, through its own API: its models come by Ollama's API and by OpenAI's.

Each case is a request to Open WebUI. What differs from run to run, such as ids and times, is left
out of what it answers.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from cases import CALL, PIXEL, QUESTION, SERVER, TOOL, URL, case

OLLAMA, OPENAI = "simulated:latest", "openai.simulated:latest"
"""The model, which the simulated server always lists, by the connection that it comes from."""
ASK = [{"role": "user", "content": QUESTION}]
TOOLS = [{"type": "function", "function": TOOL}]
LONG = {"tokens": 6000, "rate": 50}
"""An answer that takes two minutes, if nobody stops it."""
VARIES = re.compile(r"id|created|\w+_at|\w+_duration|\w+/s|\w*time\w*")
"""Fields that differ from run to run."""
NOT_TRANSLATED = {"context"}
"""What a server of OpenAI's API cannot say in an answer of Ollama's."""
SECONDS = 60
"""The longest that an answer may take."""
STARTS = 400
"""The longest that Open WebUI may take to start: it takes 15 s of a processor."""


def settings(folder):
    """Everything in this folder, nothing from elsewhere, and nobody who has to log in."""
    return os.environ | {
        "HOME": folder,
        "DATA_DIR": folder,
        "STATIC_DIR": f"{folder}/static",
        "USE_SLIM_DOCKER": "true",  # without models of its own, and the packages that run them
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "RAG_EMBEDDING_ENGINE": "ollama",
        "WEBUI_AUTH": "False",
        "WEBUI_SECRET_KEY": "of this test only",
        "OLLAMA_BASE_URL": URL,
        "OPENAI_API_BASE_URL": f"{URL}/v1",
        "OPENAI_API_KEY": "-",
        "OPENAI_API_CONFIGS": json.dumps({"0": {"enable": True, "prefix_id": "openai"}}),
    }


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def open_webui():
    """A client of an Open WebUI for as long as the block lasts."""
    port = free_port()
    command = [Path(sys.executable).with_name("open-webui"), "serve", "--host", "127.0.0.1"]
    with tempfile.TemporaryDirectory(prefix="oq-open-webui-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, "--port", str(port)], env=settings(folder), cwd=folder,
                stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            base = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=base, timeout=SECONDS, trust_env=False) as client:
                wait_until_it_answers(client, process, log)
                answer = client.post("/api/v1/auths/signin", json={"email": "", "password": ""})
                client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
                yield client
        finally:
            process.terminate()
            process.wait(30)


def wait_until_it_answers(client, process, log):
    """It listens after some seconds only, and tells nobody when it does."""
    until = time.monotonic() + STARTS
    while time.monotonic() < until and process.poll() is None:
        with suppress(httpx.TransportError):
            if client.get("/health", timeout=5).is_success:
                return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    raise SystemExit(f"Open WebUI did not start: {log.read_text()[-500:]}")


class Refused(Exception):
    """Open WebUI answered with an error."""

    def __init__(self, answer):
        super().__init__(answer.text)
        self.status_code = answer.status_code


def told(answer):
    """The type of this answer, and its values: of a stream that of each line."""
    if answer.is_error:
        raise Refused(answer)
    return answer.headers["content-type"], [value(line) for line in answer.text.splitlines()]


def value(line):
    """What this line of an answer says, without what varies."""
    try:
        return steady(json.loads(line.removeprefix("data: ")))
    except ValueError:
        return line


def steady(said):
    if isinstance(said, dict):
        kept = said.keys() - NOT_TRANSLATED
        return {name: steady(said[name]) for name in kept if not VARIES.fullmatch(name)}
    return [steady(each) for each in said] if isinstance(said, list) else said


def post(path, **body):
    return told(webui.post(path, json=body))


def hang_up(path, **body):
    """Read some of a stream, and leave. Whether the model server was left then, too."""
    before = max((each["number"] for each in asked()), default=0)
    with webui.stream("POST", path, json={**body, "stream": True}) as answer:
        next(answer.iter_raw())
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        ours = [each for each in asked() if each["number"] > before and QUESTION in each["body"]]
        if any(each["hung_up_at"] is not None for each in ours):
            return "the model was stopped"
        if any(each["ended_at"] is not None for each in ours):
            return "the model went on to the end"
    return "the model goes on"


def asked():
    """The requests that the model server had, also where oq is between."""
    return httpx.get(f"{SERVER}/simulator/requests", trust_env=False).json()


def next_answer(**script):
    """Say how the model server answers the next call."""
    httpx.post(f"{SERVER}/simulator/script", json=[script], trust_env=False).raise_for_status()


def chats(way, model):
    """The cases of Open WebUI's own chat, whose model comes by this connection."""
    path = "/api/chat/completions"

    @case(f"{way}: chat")
    def whole():
        return post(path, model=model, messages=ASK, stream=False)

    @case(f"{way}: chat, streamed")
    def streamed():
        return post(path, model=model, messages=ASK, stream=True)

    @case(f"{way}: an image")
    def image():
        url = {"url": f"data:image/png;base64,{PIXEL}"}
        parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": url}]
        return post(path, model=model, messages=[{"role": "user", "content": parts}])

    @case(f"{way}: a tool call")
    def tools():
        next_answer(**CALL)
        return post(path, model=model, messages=ASK, tools=TOOLS, stream=False)

    @case(f"{way}: a tool call, streamed")
    def tools_streamed():
        next_answer(**CALL)
        return post(path, model=model, messages=ASK, tools=TOOLS, stream=True)

    @case(f"{way}: a refusal")
    def refused():
        next_answer(status=404, error='model "m" not found, try pulling it first')
        return post(path, model=model, messages=ASK, stream=False)

    @case(f"{way}: a refusal of a stream")
    def refused_stream():
        next_answer(status=400, error="too long")
        return post(path, model=model, messages=ASK, stream=True)

    @case(f"{way}: an error in the middle")
    def broken():
        next_answer(fault="error", at=3, error="out of memory")
        return post(path, model=model, messages=ASK, stream=True)

    @case(f"{way}: a stream that is left")
    def left():
        next_answer(**LONG)
        return hang_up(path, model=model, messages=ASK)

    @case(f"{way}: embeddings")
    def embeddings():
        return post("/api/embeddings", model=model, input=["a", "b"])


with open_webui() as webui:

    @case("models")
    def models():
        listed = webui.get("/api/models").json()["data"]
        ours = [each for each in listed if each["id"] in (OLLAMA, OPENAI)]
        return sorted((each["id"], each["name"], each["owned_by"]) for each in ours)

    @case("version of the Ollama connection")
    def version():
        return sorted(webui.get("/ollama/api/version").json())

    @case("what its Ollama connection tells of a model")
    def show():
        told = webui.post("/ollama/api/show", json={"model": OLLAMA}).json()
        return sorted(told), "completion" in told["capabilities"]

    chats("Ollama", OLLAMA)
    chats("OpenAI", OPENAI)

    @case("an unknown model")
    def unknown():
        return post("/api/chat/completions", model="nobody", messages=ASK)

    @case("/ollama/api/chat")
    def ollama_chat():
        return post("/ollama/api/chat", model=OLLAMA, messages=ASK, stream=False)

    @case("/ollama/api/chat, streamed")
    def ollama_chat_streamed():
        return post("/ollama/api/chat", model=OLLAMA, messages=ASK, stream=True)

    @case("/ollama/api/chat, a stream that is left")
    def ollama_chat_left():
        return hang_up("/ollama/api/chat", model=OLLAMA, messages=ASK, options={"simulate": LONG})

    @case("/ollama/api/generate")
    def ollama_generate():
        return post("/ollama/api/generate", model=OLLAMA, prompt=QUESTION, stream=False)

    @case("/ollama/api/generate, streamed")
    def ollama_generate_streamed():
        return post("/ollama/api/generate", model=OLLAMA, prompt=QUESTION)

    @case("/ollama/api/embed")
    def ollama_embed():
        return post("/ollama/api/embed", model=OLLAMA, input=["a", "b"])

    @case("/ollama/v1/chat/completions")
    def ollama_openai():
        return post("/ollama/v1/chat/completions", model=OLLAMA, messages=ASK, stream=True)

    @case("/ollama/v1/messages")
    def ollama_messages():
        return post("/ollama/v1/messages", model=OLLAMA, messages=ASK, max_tokens=50)

    @case("/openai/chat/completions")
    def openai_chat():
        return post("/openai/chat/completions", model=OPENAI, messages=ASK, stream=True)

    @case("/openai/responses")
    def openai_responses():
        return post("/openai/responses", model=OPENAI, input=QUESTION)
