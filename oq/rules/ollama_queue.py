"""What clients of ollama-queue send, where that is not what oq's own do."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType

from oq.words.task import Submission, TaskType

_OBJECT = msgspec.json.Decoder(dict[str, Raw])


class WholeTask(Submission, kw_only=True, omit_defaults=True):
    """A submission with the fields that only the queue fills: its Go client sends a whole task.
    They are not looked at, and the id is not either.
    """

    id: Raw | UnsetType = UNSET
    status: Raw | UnsetType = UNSET
    created_at: Raw | UnsetType = UNSET
    started_at: Raw | UnsetType = UNSET
    completed_at: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    retry_count: Raw | UnsetType = UNSET


def from_prompt(kind: TaskType, payload: bytes) -> bytes | None:
    """A chat or embed payload that has only a prompt to answer, as the page's form makes it, in the
    shape of its kind; None if it is another. `payload` is a JSON object.
    """
    wanted = {TaskType.CHAT: "messages", TaskType.EMBED: "input"}.get(kind)
    fields = _OBJECT.decode(payload)
    prompt = fields.pop("prompt", None)
    if wanted is None or wanted in fields or prompt is None or bytes(prompt)[:1] != b'"':
        return None
    said = b'[{"role":"user","content":%b}]' % bytes(prompt)
    value = Raw(said) if kind is TaskType.CHAT else prompt
    return msgspec.json.encode({wanted: value, **fields})
