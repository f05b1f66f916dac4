"""A queue with all its settings, as in production. Those that are left out have good defaults."""

import os
from datetime import timedelta

import trio

import oq

OLLAMA = os.environ.get("OLLAMA_HOST", "http://localhost:11434")


async def main() -> None:
    async with oq.open_queue(
        # Ollama; a time is Go's notation, seconds, or a timedelta
        ollama_host=OLLAMA,
        ollama_timeout=timedelta(minutes=5),
        # the queue
        max_workers=8,
        storage_path="./my_app_queue",
        cleanup_interval="1h",
        max_completed_tasks=1000,
        scheduling_interval="1s",  # accepted for the seed's sake: tasks wait for no tick
        drain_timeout="30s",
        # retries
        max_retries=3,
        initial_delay="1s",
        max_delay="30s",
        backoff_factor=2.0,
        # the log
        log_level="info",
        log_file="./queue.log",
    ) as queue:
        status = queue.status()
        workers = queue.config.queue.max_workers
        print(f"{workers} workers at most, backend {status.backends[0].url}")
        print((await queue.result(await queue.submit(oq.chat("llama3.2", "Ready?"))))["done"])


trio.run(main)
