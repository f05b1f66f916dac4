"""The types of /openapi.json that say more than those that decode a request.

A request is decoded leniently, so that a check behind it can name the field and say what to do. The
document says what the checks let through.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from oq.rules.filters import MAX_LIMIT
from oq.rules.terms import MAX_KEY_LENGTH, MAX_MODEL_LENGTH
from oq.words import task
from oq.words.durations import TEN_YEARS
from oq.words.task import MAX_PRIORITY, MAX_RETRIES, MAX_TENANT, MIN_PRIORITY, TaskType

Priority = (
    Annotated[int, Meta(ge=MIN_PRIORITY, le=MAX_PRIORITY)]
    | Literal["low", "normal", "high", "critical"]
)
"""A number, or one of the names."""
PriorityText = Annotated[str, Meta(pattern="^(low|normal|high|critical|[0-9]{1,2}|100)$")]
"""The same in a query or a header, where a number is a text, too."""
_UNITS = r"([0-9]{1,4}(\.[0-9]{1,9})?(ns|us|ms|s|m|h)|[0-9]{1,3}d)"
Duration = Annotated[str, Meta(pattern=rf"^([0-9]{{1,8}}(\.[0-9]{{1,9}})?|{_UNITS}{{1,4}})$")]
"""Seconds, or a Go duration: 30, 1.5, 300ms, 1h30m, 7d. All of these are less than ten years."""
Timeout = Annotated[
    str, Meta(pattern=rf"^(?=[1-9])([0-9]{{1,8}}(\.[0-9]{{1,9}})?|{_UNITS}{{1,4}})$")
]
"""The same, and more than nothing."""
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]
Offset = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Seq = Annotated[int, Meta(ge=0, le=10**15)]
Model = Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_LENGTH, pattern="^[ -~]+$")]
"""Other printable characters are let in, too; no pattern says which these are."""
Key = Annotated[str, Meta(min_length=1, max_length=MAX_KEY_LENGTH, pattern=r"^[ -~]*$")]
Tenant = Annotated[str, Meta(min_length=1, max_length=MAX_TENANT, pattern=r"^[!-~]+$")]
Time = Annotated[datetime, Meta(tz=True)]
_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
TaskId = Annotated[str, Meta(pattern=_ID)]
StreamId = Annotated[str, Meta(pattern=r"^[0-9]{1,15}\.[0-9]{1,15}$")]
"""An attempt and an offset."""
Range = Annotated[str, Meta(pattern=r"^bytes=([0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})$")]
Flag = Literal["true", "1", "yes", "false", "0", "no"]


class Call(Struct):
    """A request of another API: its documentation describes the further members. oq reads `model`
    and `stream`, and sends the body on as it came.
    """

    model: Annotated[str, Meta(min_length=1)]
    stream: bool | None = None


class OpenCall(Struct):
    """The same where the server need not be told the model: then the task's model is "default"."""

    model: str | None = None
    stream: bool | None = None


VALUES: dict[type, Any] = {task.Priority: PriorityText, datetime: Time}
"""The types of parameters that are conditions of a filter, where their kind does not say it."""

Batch = Annotated[list[task.Submission], Meta(min_length=1)]

FIELDS: dict[str, dict[str, Any]] = {
    "Submission": {
        "type": Literal["chat", "generate", "embed"],
        "model": Model,
        "priority": Priority,
        "max_retries": Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | None,
        "run_at": Time | None,
        "timeout": Annotated[float, Meta(gt=0, le=TEN_YEARS)] | Timeout | None,
        "idempotency_key": Key | None,
    },
    "PriorityChange": {"priority": Priority},
    "ModelChoice": {"model": Model},
    "BulkRequest": {"priority": Priority | None},
    "BulkFilter": {"priority": list[Priority]},
}
"""For each body the fields that are described by another type than the one that decodes them."""

PAYLOADS: dict[TaskType, dict[str, Any]] = {
    TaskType.CHAT: {
        "messages": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"role": {"type": "string"}},
                "required": ["role"],
            },
        }
    },
    TaskType.GENERATE: {"prompt": {"type": "string"}},
    TaskType.EMBED: {
        "input": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    },
}
"""The member that the payload of each type of task must have. What else is in it is the model's."""


ONE_OF_TWO = [
    {
        "required": [given],
        "properties": {given: {"type": kind}, other: {"type": "null"}},
    }
    for given, kind, other in (("ids", "array", "filter"), ("filter", "object", "ids"))
]
"""What a bulk request must have: either of two members."""
NEEDS_PRIORITY = {
    "if": {"properties": {"action": {"const": "priority"}}, "required": ["action"]},
    "then": {"required": ["priority"], "properties": {"priority": {"not": {"type": "null"}}}},
    "else": {"properties": {"priority": {"type": "null"}}},
}
"""Its priority belongs to one action."""


def payload_rules() -> list[dict[str, Any]]:
    """What the type of a task requires of its payload, in JSON Schema."""
    return [
        {
            "if": {"properties": {"type": {"const": kind.value}}, "required": ["type"]},
            "then": {
                "properties": {
                    "payload": {
                        "type": "object",
                        "properties": {**members, "system": {"type": ["string", "null"]}},
                        "required": list(members),
                    }
                }
            },
        }
        for kind, members in PAYLOADS.items()
    ]
