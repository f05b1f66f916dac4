"""A program that uses a queue server: `oq serve` at localhost:7125, or at OQ_SERVER."""

import os

import oq

SERVER = os.environ.get("OQ_SERVER", "localhost:7125")

with oq.Client(SERVER) as queue:
    task_id = queue.submit(oq.chat("llama3.2", "Hello, who are you?", priority="high"))
    print("submitted", task_id)
    print("status:", queue.get(task_id).status)
    try:
        print("answer:", queue.result(task_id, timeout=300)["message"]["content"])
    except oq.TaskFailed as error:
        print("failed:", error)
