"""A processor of tasks in the background, as part of a larger program."""

import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

import trio

import oq

OLLAMA = os.environ.get("OLLAMA_HOST", "http://localhost:11434")


class TaskProcessor:
    """Answers messages; leaving its block waits for those that were given to it."""

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self._queue = await self._stack.enter_async_context(
            oq.open_queue(ollama_host=OLLAMA, max_workers=6, storage_path="./processor_data")
        )
        self._given: list[str] = []
        return self

    async def __aexit__(self, *error: Any) -> None:
        for task_id in self._given:
            await self._queue.get(task_id, wait=300)
        await self._stack.__aexit__(*error)

    async def process_chat(
        self, message: str, model: str, callback: Callable[[str | None, str | None], None]
    ) -> None:
        """Call `callback` with the answer, or with what went wrong, once there is one of them."""

        def done(task: oq.Task) -> None:
            callback(task.result["message"]["content"] if task.result else None, task.error)

        self._given.append(await self._queue.submit(oq.chat(model, message), on_done=done))

    async def process_batch(self, messages: Sequence[str], model: str) -> list[str]:
        """The answers to the messages, in their order."""
        tasks = await self._queue.run_batch([oq.chat(model, message) for message in messages])
        return [
            task.result["message"]["content"] if task.result else f"error: {task.error}"
            for task in tasks
        ]


def show(answer: str | None, error: str | None) -> None:
    print("in the background:", answer or f"error: {error}")


async def main() -> None:
    async with TaskProcessor() as processor:
        await processor.process_chat("Hello!", "llama3.2", show)
        for answer in await processor.process_batch(["One?", "Two?"], "llama3.2"):
            print("in the batch:", answer)


trio.run(main)
