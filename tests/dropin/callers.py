"""The official clients, blocking and asynchronous, behind one face: one test is for both.

The asynchronous ones run on asyncio, step by step, as the test asks.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import ollama
import openai


@contextmanager
def ollama_client(url: str, *, asynchronous: bool, **more: Any) -> Iterator[Any]:
    """`ollama.Client`, or `ollama.AsyncClient` as if it were one."""
    if not asynchronous:
        with ollama.Client(host=url, trust_env=False, **more) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        client = ollama.AsyncClient(host=url, trust_env=False, **more)
        yield Driven(client, runner)
        runner.run(client.close())


@contextmanager
def openai_client(url: str, *, asynchronous: bool, **more: Any) -> Iterator[Any]:
    """`openai.OpenAI`, or `openai.AsyncOpenAI` as if it were one. It retries nothing."""
    options = {"base_url": f"{url}/v1", "api_key": "any", "max_retries": 0, **more}
    if not asynchronous:
        with openai.OpenAI(**options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        client = openai.AsyncOpenAI(**options)
        yield Driven(client, runner)
        runner.run(client.close())


class Driven:
    """An asynchronous client, or a part of one, whose methods block."""

    def __init__(self, target: Any, runner: asyncio.Runner) -> None:
        self._target = target
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if inspect.ismethod(found) or inspect.isfunction(found):
            return lambda *args, **kwargs: self._call(found, *args, **kwargs)
        return Driven(found, self._runner)

    def _call(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        async def answer() -> Any:
            made = method(*args, **kwargs)
            return await made if inspect.isawaitable(made) else made

        made = self._runner.run(answer())
        if inspect.isasyncgen(made) or isinstance(made, openai.AsyncStream):
            return DrivenStream(made, self._runner)
        return made


class DrivenStream:
    """An asynchronous stream that is iterated over, and closed, by blocking code."""

    def __init__(self, stream: Any, runner: asyncio.Runner) -> None:
        self._stream = stream
        self._items: AsyncIterator[Any] = aiter(stream)
        self._runner = runner

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        async def step() -> Any:
            return await anext(self._items, None)

        item = self._runner.run(step())
        if item is None:
            raise StopIteration
        return item

    def close(self) -> None:
        close = getattr(self._stream, "aclose", None) or self._stream.close
        self._runner.run(close())
