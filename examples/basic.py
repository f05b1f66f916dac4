"""A queue inside a program of your own: submit, wait for the answer, be called with it.

It talks to Ollama at localhost:11434, or to OLLAMA_HOST. Without one: `oq simulate --port 11434`.
"""

import os

import trio

import oq

OLLAMA = os.environ.get("OLLAMA_HOST", "http://localhost:11434")


def report(task: oq.Task) -> None:
    if task.result:
        print("called back:", task.result["message"]["content"])
    else:
        print("failed:", task.error)


async def main() -> None:
    async with oq.open_queue(ollama_host=OLLAMA, max_workers=4, storage_path="./data") as queue:
        question = oq.chat("llama3.2", "Hello, who are you?", priority="high")

        task_id = await queue.submit(question)
        print("submitted", task_id)
        answer = await queue.result(task_id)
        print("answered:", answer["message"]["content"])

        await queue.submit(question, on_done=report)
        # Leaving the block lets what runs end, and then closes the store.


trio.run(main)
