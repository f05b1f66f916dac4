"""What happens in the queue, as it happens."""

import os

import trio

import oq

OLLAMA = os.environ.get("OLLAMA_HOST", "http://localhost:11434")


async def watch(queue: oq.Queue, *, task_status: trio.TaskStatus[None]) -> None:
    with queue.subscribe({"task_started", "task_completed", "task_failed"}) as events:
        task_status.started()
        async for batch in events:  # all that are due at once
            for event in batch:
                if isinstance(event, oq.Lagged):
                    print(f"fell behind by {event.missed} events")
                else:
                    print(f"event: {event.type}, task: {event.task_id}, status: {event.status}")


async def main() -> None:
    # The watchers around the queue: they end when it closes.
    async with trio.open_nursery() as nursery, oq.open_queue(ollama_host=OLLAMA) as queue:
        await nursery.start(watch, queue)
        await queue.run_batch([oq.chat("llama3.2", f"Say {number}.") for number in range(3)])


trio.run(main)
