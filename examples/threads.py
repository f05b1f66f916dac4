"""A queue for programs without async: its verbs block, and any thread may call them."""

import os
from concurrent.futures import ThreadPoolExecutor

import oq

OLLAMA = os.environ.get("OLLAMA_HOST", "http://localhost:11434")

with oq.BlockingQueue(ollama_host=OLLAMA, max_workers=2) as queue:

    def ask(question: str) -> str:
        answer = queue.result(queue.submit(oq.chat("llama3.2", question)))
        return str(answer["message"]["content"])

    questions = ["What is a thread?", "What is a queue?", "What is a lock?"]
    with ThreadPoolExecutor() as threads:
        for question, answer in zip(questions, threads.map(ask, questions), strict=True):
            print(f"{question} -> {answer}")

    with queue.stream(queue.submit(oq.generate("llama3.2", "Count to five."))) as chunks:
        for chunk in chunks:
            print(chunk.data, end="", flush=True)
    print()
