"""The three kinds of task, and what each may say beside its prompt."""

import os
from datetime import UTC, datetime, timedelta

import oq

SERVER = os.environ.get("OQ_SERVER", "localhost:7125")

conversation = oq.chat(
    "llama3.2",
    [{"role": "user", "content": "Explain quantum computing."}],
    system="You are a physicist.",
    priority="high",
)
completion = oq.generate(
    "codellama",
    "Write a function that computes the Fibonacci numbers.",
    system="You are a programmer.",
    template="{{ .System }}\n### Task:\n{{ .Prompt }}\n### Answer:\n",
    options={"temperature": 0.2, "num_predict": 200},
)
vectors = oq.embed("nomic-embed-text", ["a first text", "and a second"], truncate=True)
patient = oq.chat(
    "llama3.2",
    "What is new?",
    run_at=datetime.now(UTC) + timedelta(seconds=1),
    timeout="2m",
    max_retries=5,
    metadata={"user": "ada"},
)

with oq.Client(SERVER) as queue:
    ids = queue.submit_many([conversation, completion, vectors, patient])
    print("chat:", queue.result(ids[0])["message"]["content"])
    print("generate:", queue.result(ids[1])["response"])
    print("embed:", len(queue.result(ids[2])["embeddings"]), "vectors")
    print("later:", queue.result(ids[3])["message"]["role"], queue.get(ids[3]).metadata)
