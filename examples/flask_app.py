"""A Flask application with a queue inside: each request is a thread, and they share the queue.

Django is served likewise, and so are threads of your own. With several worker processes run
`oq serve` and use `oq.Client` instead: one process can have a data directory open. So `flask
--debug`, whose reloader imports this file in two processes, needs `--no-reload`, or the client.
"""

import os
from typing import Any

from flask import Flask, request

import oq

OLLAMA = os.environ.get("OLLAMA_HOST", "http://localhost:11434")

app = Flask(__name__)
queue = oq.BlockingQueue(ollama_host=OLLAMA, storage_path="./data")


@app.post("/chat")
def chat() -> dict[str, Any]:
    asked = request.get_json()
    task_id = queue.submit(oq.chat(asked["model"], asked["message"]))
    return {"task_id": task_id, "answer": queue.result(task_id)["message"]["content"]}


@app.get("/status")
def status() -> dict[str, Any]:
    now = queue.status()
    return {"pending": now.pending_tasks, "completed": now.completed_tasks}


if __name__ == "__main__":
    with queue:
        app.run(port=int(os.environ.get("PORT", "3000")))
