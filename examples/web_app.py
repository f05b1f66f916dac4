"""A web application in front of a queue server: POST /chat submits, GET /task/ID reports.

    curl localhost:3000/chat -d '{"message": "Hello", "model": "llama3.2"}' \\
        -H 'Content-Type: application/json'
"""

import os
from typing import Any

from quart import Quart, request

import oq

SERVER = os.environ.get("OQ_SERVER", "localhost:7125")

app = Quart(__name__)
queue = oq.AsyncClient(SERVER)


@app.after_serving
async def disconnect() -> None:
    await queue.aclose()


@app.post("/chat")
async def chat() -> tuple[dict[str, Any], int]:
    asked = await request.get_json()
    task_id = await queue.submit(oq.chat(asked["model"], asked["message"]))
    return {"task_id": task_id, "status": "submitted"}, 202


@app.get("/task/<task_id>")
async def task(task_id: str) -> dict[str, Any]:
    found = await queue.get(task_id)
    return {
        "task_id": found.id,
        "status": found.status,
        "result": found.result,
        "error": found.error,
    }


@app.errorhandler(oq.NotFound)
async def not_found(error: oq.NotFound) -> tuple[dict[str, str], int]:
    return {"error": str(error)}, 404


@app.errorhandler(oq.InvalidTask)
async def invalid(error: oq.InvalidTask) -> tuple[dict[str, str], int]:
    return {"error": str(error)}, 400


@app.errorhandler(oq.QueueFull)
async def full(error: oq.QueueFull) -> tuple[dict[str, str], int, dict[str, str]]:
    return {"error": str(error)}, 429, {"Retry-After": f"{error.retry_after:.0f}"}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "3000")))
