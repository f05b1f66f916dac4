"""The task that every scenario submits: a chat with one message of 400 bytes."""

from __future__ import annotations

import msgspec

from oq.words.new import NewTask, chat
from oq.words.task import Submission

PROMPT_BYTES = 400
PROMPT = "x" * PROMPT_BYTES


def submission(model: str = "m", priority: str = "normal") -> Submission:
    """As the embedded queue takes it."""
    payload = msgspec.Raw(msgspec.json.encode({"messages": [{"role": "user", "content": PROMPT}]}))
    return Submission(type="chat", model=model, payload=payload, priority=priority)


def new_task() -> NewTask:
    """As the clients take it."""
    return chat("m", PROMPT)


def body() -> bytes:
    """As POST /api/tasks takes it."""
    return msgspec.json.encode(submission())
