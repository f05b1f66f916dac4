"""Floor 3: the servers that run models.

    base         what the queue asks of each
    server       what the next two have in common
    ollama       Ollama, over its own API
    openai       any OpenAI-compatible server
        openai_tasks     a task there: translate, to its API; openai_stream, back; messages
        ollama_calls     calls of Ollama's there; ollama_pages: what Ollama says of its models
    simulated    a faithful fake model server: in process, or over HTTP
    models       lists of models, as servers send them
    server_facts what a server without Ollama's API says of its slots and its memory

    verbatim     calls in a dialect that a server speaks; together: what comes at once, passes so
    served_calls the same, and translated for servers that lack their path:
        missing_paths    whether it does           refused_fields   which fields it refuses
        refusals         both, remembered          echoes           errors that repeat a caller

    transport    HTTP, its timeouts and its errors: connections, how they are opened; target, urls
                 made of parts; address, urls as people write them
    http1        HTTP/1.1: a client with no more than backends need
    keep_alive   whether a server leaves a connection open
    silence      whether a server that says nothing lives
    secrets      a backend's key is not shown
    replies      the head of an answer, and its error: locations, where it leads; failures, what a
                 status means; busy, which only say that a server is busy, or has not the model
    pouring      feeds bodies to their readers as they come; encoding: those that come compressed;
                 reading_thread: large ones are read apart

httpx is imported when the first backend that needs it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, assert_never

from oq.backends.address import base_url, check_api_key
from oq.backends.base import Backend, Request
from oq.dialects.base import Emit
from oq.words.clock import Clock
from oq.words.config import BackendConfig, Config
from oq.words.errors import InvalidConfig

if TYPE_CHECKING:
    from oq.backends.server import ServerBackend

__all__ = ["Backend", "Emit", "Request", "check_backends", "make_backend", "open_backends"]

Server = TypeVar("Server", bound="ServerBackend")


def open_backends(config: Config, clock: Clock | None = None) -> list[Backend]:
    """The backends of `config`, in its order. Nothing is connected yet; close each one.

    InvalidConfig names the backend whose url or key cannot be one.
    """
    return [make_backend(backend, config, clock) for backend in config.backend_list()]


def check_backends(config: Config) -> None:
    """InvalidConfig names the key of the first url or api_key that cannot be one.

    Nothing is made, and nothing heavy imported.
    """
    for index, backend in enumerate(config.backend_list()):
        if backend.kind == "simulated":
            continue
        with _named(f"backends[{index}].url" if config.backends else "ollama.host"):
            base_url(backend.url)
        with _named(f"backends[{index}].api_key"):
            check_api_key(backend.api_key)


def make_backend(backend: BackendConfig, config: Config, clock: Clock | None = None) -> Backend:
    """One backend, with the timeouts and bounds that `config` sets for all of them."""
    try:
        return _make(backend, config, clock)
    except InvalidConfig as error:
        raise InvalidConfig(f"backend {backend.name!r}: {error}") from None


@contextmanager
def _named(key: str) -> Iterator[None]:
    try:
        yield
    except InvalidConfig as error:
        raise InvalidConfig(f"{key}: {error}") from None


def _make(backend: BackendConfig, config: Config, clock: Clock | None) -> Backend:
    match backend.kind:
        case "ollama":
            from oq.backends.ollama import OllamaBackend

            return _server(OllamaBackend, backend, config, clock)
        case "openai":
            from oq.backends.openai import OpenAIBackend

            return _server(OpenAIBackend, backend, config, clock)
        case "simulated":
            from oq.backends.simulated import Script, SimulatedBackend, Simulator

            pace = config.simulated
            simulator = Simulator(
                Script(delay=pace.delay, rate=pace.tokens_per_second),
                load=pace.load,
                parallel=pace.parallel or None,
                max_models=pace.max_models,
                max_queue=pace.max_queue,
                keep_alive=pace.keep_alive,
                clock=clock,
            )
            return SimulatedBackend(backend.name, simulator)
        case _:
            assert_never(backend.kind)


def _server(
    kind: type[Server], backend: BackendConfig, config: Config, clock: Clock | None
) -> Server:
    return kind(
        backend.name, backend.url, backend.api_key,
        config.ollama.connect_timeout, config.health.silence,
        max_answer=config.ollama.max_answer, pass_authorization=backend.pass_authorization,
        clock=clock,
    )  # fmt: skip
