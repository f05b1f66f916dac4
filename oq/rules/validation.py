"""What may become a task, and what is said of what may not.

Payloads are checked as far as their shape decides whether a backend could ever take them; fields
that oq does not know pass through untouched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from oq.rules.conversations import conversation_in
from oq.rules.json_decoding import decode, decode_object
from oq.rules.limits import Limits, check_size
from oq.rules.load_options import load_text
from oq.rules.ollama_queue import WholeTask, from_prompt
from oq.rules.terms import terms_of, terms_of_call
from oq.words.errors import InvalidBatch, InvalidTask
from oq.words.task import Body, Submission, TaskType
from oq.words.terms import Terms

_LINE = re.compile(rb"[^\s][^\r\n]*")
"""A line that is not blank."""


class _Message(Struct):
    role: str


class _Chat(Struct):
    messages: list[_Message]
    system: str | None = None
    shift: Raw = Raw()


class _Generate(Struct):
    prompt: str
    system: str | None = None
    shift: Raw = Raw()


class _Embed(Struct):
    input: str | list[str]


_Payload = _Chat | _Generate | _Embed


_TYPES: dict[str, TaskType] = {kind.value: kind for kind in TaskType}
_PAYLOADS: dict[TaskType, msgspec.json.Decoder[Any]] = {
    TaskType.CHAT: msgspec.json.Decoder(_Chat),
    TaskType.GENERATE: msgspec.json.Decoder(_Generate),
    TaskType.EMBED: msgspec.json.Decoder(_Embed),
}
_SUBMISSION = msgspec.json.Decoder(Submission)
_WHOLE_TASK = msgspec.json.Decoder(WholeTask)
_SUBMISSIONS = msgspec.json.Decoder(list[Submission])
_RAW_LIST = msgspec.json.Decoder(list[Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


class Checked(Struct, frozen=True, gc=False):
    """A submission that has passed: every field has its final type."""

    type: TaskType
    terms: Terms
    body: Body
    impatient: bool = False
    """Whether the caller of a call waits for no longer than its timeout in all."""


def decode_submission(body: bytes | Raw) -> Submission:
    """The task in a JSON object; InvalidTask says which field is wrong, and why."""
    # What of it is kept undecoded, `check` looks at.
    try:
        return decode(_SUBMISSION.decode, body, any_number=True)
    except InvalidTask as error:
        if error.reason.startswith("unknown field"):
            with suppress(InvalidTask):
                return decode(_WHOLE_TASK.decode, body, any_number=True)
        raise


def decode_batch(body: bytes, *, ndjson: bool, limits: Limits) -> list[Submission]:
    """The tasks in a JSON array or in lines of JSON.

    InvalidBatch names every bad item, also those that only `check` would find; when all of them
    decode, they may still fail that.
    """
    lines: list[bytes] | list[Raw]
    if ndjson:
        found = islice(_LINE.finditer(body), limits.max_batch + 1)
        lines = [line[0] for line in found]
    else:
        check_size("", body, limits, tasks=limits.max_batch)
        lines = decode(_RAW_LIST.decode, body, any_number=True)
    if not lines:
        raise InvalidTask("", "the batch has no tasks")
    if len(lines) > limits.max_batch:
        raise InvalidTask("", f"too many tasks: at most {limits.max_batch} (queue.max_batch)")
    if not ndjson:
        with suppress(InvalidTask):  # all in one go, or one by one to tell which are wrong
            return decode(_SUBMISSIONS.decode, body, any_number=True)
    tasks: dict[int, Submission] = {}
    problems: dict[int, str] = {}
    for index, line in enumerate(lines):
        try:
            tasks[index] = decode_submission(line)
        except InvalidTask as error:
            problems[index] = str(error)
    if problems:
        raise InvalidBatch(problems | _problems(tasks, limits))
    return list(tasks.values())


def check_batch(submissions: Sequence[Submission], limits: Limits) -> list[Checked]:
    """Each of them checked; InvalidBatch names every one that is wrong."""
    try:
        return [check(submission, limits) for submission in submissions]
    except InvalidTask:
        raise InvalidBatch(_problems(dict(enumerate(submissions)), limits)) from None


def check(submission: Submission, limits: Limits) -> Checked:
    """The submission in its final types; InvalidTask says which field is wrong, and why."""
    kind = _TYPES.get(submission.type)
    if kind is None:
        raise InvalidTask("type", f"{submission.type[:64]!r} is none of {', '.join(_PAYLOADS)}")
    if kind not in _PAYLOADS:
        raise InvalidTask(
            "type",
            f"a task of type {kind} cannot be submitted: it is made by a call of an API, whose path"
            " is in /openapi.json",
        )
    terms = terms_of(submission, limits)
    payload = bytes(submission.payload)
    if len(payload) > limits.max_payload:
        raise InvalidTask(
            "payload",
            f"it has {len(payload)} bytes, at most {limits.max_payload} (queue.max_payload)",
        )
    check_size("payload", payload, limits)
    payload, read = _payload(kind, payload)
    options = decode_object("options", submission.options)
    if options is not None:
        check_size("options", options, limits)
    shift = b"" if isinstance(read, _Embed) else read.shift
    if (options or shift) and (load := load_text(options or b"", shift)):
        terms = replace(terms, load=load)
    if limits.conversations and kind is TaskType.CHAT:
        terms = replace(terms, conversation=conversation_in(payload))
    return Checked(kind, terms, Body(payload, options or b"{}"))


def check_call(
    body: Body,
    *,
    document: bytes,
    kind: TaskType,
    model: str,
    priority: int,
    timeout: float | str | None,
    metadata: bytes,
    load: str = "",
    tenant: str = "",
    conversation: int = 0,
    key: str | None = None,
    impatient: bool = False,
    limits: Limits,
) -> Checked:
    """The task that a call is. What its body says is for the backend to judge; `document` is what
    oq itself reads of it, and has a bound of its own.
    """
    check_size("", document, limits)
    terms = terms_of_call(
        model=model, priority=priority, timeout=timeout, metadata=metadata, load=load,
        tenant=tenant, conversation=conversation, key=key, limits=limits,
    )  # fmt: skip
    return Checked(kind, terms, body, impatient)


def _problems(submissions: dict[int, Submission], limits: Limits) -> dict[int, str]:
    problems = {}
    for index, submission in submissions.items():
        try:
            check(submission, limits)
        except InvalidTask as error:
            problems[index] = str(error)
    return problems


def check_payload(kind: TaskType, payload: bytes) -> None:
    """Return if a backend could take such a payload; InvalidTask says what is wrong with it."""
    _read_payload(kind, payload)


def _read_payload(kind: TaskType, payload: bytes) -> _Payload:
    try:
        read: _Payload = decode(_PAYLOADS[kind].decode, payload)
    except InvalidTask as error:
        field = f"payload.{error.field}" if error.field else "payload"
        raise InvalidTask(field, f"{error.reason} ({kind} task)") from None
    return read


def _payload(kind: TaskType, payload: bytes) -> tuple[bytes, _Payload]:
    """The payload, once it has passed, and what was read of it; one with only a prompt as its kind
    of task has it.
    """
    try:
        return payload, _read_payload(kind, payload)
    except InvalidTask:
        made = None
        with suppress(InvalidTask):
            decode(_OBJECT.decode, payload)
            made = from_prompt(kind, payload)
        if made is None:
            raise
        return made, _read_payload(kind, made)
