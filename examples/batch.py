"""Many tasks at once: on disk in one commit, their results in the order of the tasks."""

import os

import trio

import oq

OLLAMA = os.environ.get("OLLAMA_HOST", "http://localhost:11434")


async def main() -> None:
    tasks = [
        oq.chat("llama3.2", "What is a queue?"),
        oq.generate("codellama", "Write a function."),
        oq.embed("nomic-embed-text", "a text as an example"),
    ]
    async with oq.open_queue(ollama_host=OLLAMA) as queue:
        for number, task in enumerate(await queue.run_batch(tasks), start=1):
            said = sorted(task.result) if task.result else task.error
            print(f"task {number}: {task.type} {task.status} {said}")


trio.run(main)
