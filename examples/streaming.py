"""The answer as it is generated. A reader that comes late, or again, misses nothing."""

import os

import trio

import oq

OLLAMA = os.environ.get("OLLAMA_HOST", "http://localhost:11434")


async def main() -> None:
    async with oq.open_queue(ollama_host=OLLAMA) as queue:
        task_id = await queue.submit(oq.chat("llama3.2", "Tell me a short story."))
        async with queue.stream(task_id) as chunks:
            async for chunk in chunks:
                if chunk.restart:
                    print("\n(that attempt failed; from the start)")
                print(chunk.data, end="", flush=True)
                if chunk.error:
                    print("failed:", chunk.error)
        print("\ndone:", chunk.status)


trio.run(main)
