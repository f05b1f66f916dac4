"""What may become a task, and what is said of what may not.

Payloads are checked as far as their shape decides whether a backend could ever take them; fields
that oq does not know pass through untouched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, UnsetType

from oq.rules.fields import plain, unknown_field
from oq.rules.json_size import count_values, without_strings
from oq.rules.ollama_queue import WholeTask, from_prompt
from oq.words.config import QueueConfig
from oq.words.durations import parse_duration
from oq.words.errors import InvalidBatch, InvalidTask
from oq.words.task import (
    MAX_PRIORITY,
    MAX_RETRIES,
    MIN_PRIORITY,
    Body,
    Priority,
    Submission,
    TaskType,
)
from oq.words.terms import Terms

T = TypeVar("T")

MOST_DIGITS = 4300
"""Digits of an integer that Python reads."""

_DIGITS = b"0123456789"
_FAR = re.compile(rb"[eE]\+?[0-9]{3}|(?<![0-9])[0-9]{300}")
"""What a number must contain to be out of a double's range. Of a long run of digits only the first
is looked at as a beginning. To count the digits shows for many texts that there is no such number,
and is ten times as fast."""
_FAR_NUMBER = re.compile(
    rb"(?<![-+.0-9eE])-?[0-9]++(?:\.[0-9]++)?[eE]\+?[0-9]{3}[0-9]*+"
    rb"|(?<![-+.0-9eE])-?[0-9]{300}[0-9]*+(?:\.[0-9]++(?:[eE][-+]?[0-9]++)?|[eE][-+]?[0-9]++)"
)
"""Such a number, whole; one that is an integer is no double, and has a bound of its own."""
_LONG_INTEGER = re.compile(rb"(?<![-+.0-9eE])-?[0-9]{%d}" % (MOST_DIGITS + 1))
_NUMBERS = msgspec.json.Decoder(list[float])

_FEW_DIGITS = 4
"""With less than these no number is that large."""

_LINE = re.compile(rb"[^\s][^\r\n]*")
"""A line that is not blank."""

MAX_MODEL_LENGTH = 256
MAX_KEY_LENGTH = 255
_MOST_DIGITS = 9  # of a priority that is written as text


class _Message(Struct):
    role: str


class _Chat(Struct):
    messages: list[_Message]
    system: str | None = None


class _Generate(Struct):
    prompt: str
    system: str | None = None


class _Embed(Struct):
    input: str | list[str]


_TYPES: dict[str, TaskType] = {kind.value: kind for kind in TaskType}
_PRIORITIES = {priority.name.lower(): int(priority) for priority in Priority}
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


class Limits(Struct, frozen=True):
    """The bounds of what one task may ask for; see `oq.words.config`."""

    max_payload: int
    max_metadata: int
    max_batch: int
    max_retries: int
    """What a task gets that does not say."""
    zero_is_default: bool = False
    """Whether a task that says 0 does not say: Go clients cannot leave the field out."""
    max_values: int = QueueConfig().max_values


class Checked(Struct, frozen=True, gc=False):
    """A submission that has passed: every field has its final type."""

    type: TaskType
    terms: Terms
    body: Body


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
        raise InvalidTask("type", f"{submission.type[:64]!r} is none of chat, generate, embed")
    terms = _terms(submission, limits)
    payload = bytes(submission.payload)
    if len(payload) > limits.max_payload:
        raise InvalidTask(
            "payload", f"{len(payload)} bytes, at most {limits.max_payload} (queue.max_payload)"
        )
    check_size("payload", payload, limits)
    payload = _payload(kind, payload)
    options = _object("options", submission.options)
    if options is not None:
        check_size("options", options, limits)
    return Checked(kind, terms, Body(payload, options or b"{}"))


def _terms(submission: Submission, limits: Limits) -> Terms:
    """What its user wants of the task beside the answer."""
    key, run_at = submission.idempotency_key, submission.run_at
    return Terms(
        model=_model(submission.model),
        priority=parse_priority(submission.priority),
        max_retries=_max_retries(submission.max_retries, limits),
        run_at=None if run_at is None else _run_at(run_at),
        timeout=_timeout(submission.timeout),
        metadata=_metadata(submission.metadata, limits),
        idempotency_key=None if key is None else check_idempotency_key(key),
    )


def check_call(
    path: str,
    body: bytes,
    *,
    kind: TaskType,
    model: str,
    priority: int,
    timeout: float | str | None,
    metadata: bytes,
    key: str | None = None,
    limits: Limits,
    way: str = "",
) -> Checked:
    """The task that a call to `path` is. What its body says is for the backend to judge."""
    check_size("", body, limits)
    terms = Terms(
        model=_model(model),
        priority=priority,
        max_retries=limits.max_retries,
        timeout=_timeout(timeout),
        metadata=metadata,
        idempotency_key=None if key is None else check_idempotency_key(key),
    )
    return Checked(kind, terms, Body(body, call=path, way=way))


def check_size(field: str, text: bytes, limits: Limits, *, tasks: int = 1) -> None:
    """Return if the text of so many tasks has no more values than they may have: they take far more
    memory than their text, and time.
    """
    most = limits.max_values  # a text of so many bytes has no more values than that
    if len(text) > most and count_values(text, unless_over=most) > tasks * most:
        raise InvalidTask(field, f"it has more than {most} JSON values (queue.max_values)")


def parse_priority(value: object) -> int:
    """A priority from its number (0 to 100) or its name; InvalidTask otherwise."""
    if isinstance(value, str):
        named = _PRIORITIES.get(value.lower())
        if named is not None:
            return named
        if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
            value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if MIN_PRIORITY <= value <= MAX_PRIORITY:
            return int(value)
    raise InvalidTask(
        "priority",
        f"{str(value)[:64]!r} is neither low, normal, high, critical"
        f" nor a number from {MIN_PRIORITY} to {MAX_PRIORITY}",
    )


def check_idempotency_key(key: str) -> str:
    """The key, if it can be one: 1 to 255 printable ASCII characters."""
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise InvalidTask(
            "Idempotency-Key", f"it must be 1 to {MAX_KEY_LENGTH} printable ASCII characters"
        )
    return key


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
    try:
        decode(_PAYLOADS[kind].decode, payload)
    except InvalidTask as error:
        field = f"payload.{error.field}" if error.field else "payload"
        raise InvalidTask(field, f"{error.reason} ({kind} task)") from None


def _payload(kind: TaskType, payload: bytes) -> bytes:
    """The payload, once it has passed; one with only a prompt as its kind of task has it."""
    try:
        check_payload(kind, payload)
    except InvalidTask:
        made = None
        with suppress(InvalidTask):
            decode(_OBJECT.decode, payload)
            made = from_prompt(kind, payload)
        if made is None:
            raise
        check_payload(kind, made)
        return made
    return payload


def _model(name: str) -> str:
    if not name or len(name) > MAX_MODEL_LENGTH or not name.isprintable():
        raise InvalidTask(
            "model", f"{name[:64]!r} is not a name of 1 to {MAX_MODEL_LENGTH} printable characters"
        )
    return name


def _max_retries(value: int | None, limits: Limits) -> int:
    if value is None or (value == 0 and limits.zero_is_default):
        return limits.max_retries
    if not 0 <= value <= MAX_RETRIES:
        raise InvalidTask("max_retries", f"{value} is not between 0 and {MAX_RETRIES}")
    return value


def _run_at(value: datetime) -> datetime:
    """In UTC, as it is stored: near year 9999 another zone's time has no such form."""
    if value.tzinfo is None:
        raise InvalidTask("run_at", "the time has no zone; write 2026-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidTask("run_at", "the time is not between the years 1 and 9999") from None


def _timeout(value: float | str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(parse_duration(value))
    except ValueError as error:
        raise InvalidTask("timeout", str(error)) from None
    if seconds <= 0:
        raise InvalidTask("timeout", "it must be more than 0")
    return seconds


def _metadata(value: Raw | UnsetType, limits: Limits) -> bytes | None:
    document = _object("metadata", value)
    if document is not None and len(document) > limits.max_metadata:
        raise InvalidTask(
            "metadata", f"{len(document)} bytes, at most {limits.max_metadata} (queue.max_metadata)"
        )
    return document


def _object(field: str, value: Raw | UnsetType) -> bytes | None:
    """The JSON object in `value`, as bytes; None for null and for nothing."""
    if isinstance(value, UnsetType) or bytes(value) == b"null":
        return None
    document = bytes(value)
    try:
        decode(_OBJECT.decode, document)
    except InvalidTask as error:
        raise InvalidTask(field, error.reason) from None
    return document


def decode(
    decoder: Callable[[bytes | Raw], T], body: bytes | Raw, *, any_number: bool = False
) -> T:
    """Decode JSON from outside: whatever is wrong with it becomes an InvalidTask, which names the
    field. `any_number` lets numbers pass that no double can hold.
    """
    try:
        # msgspec looks at no text and no number that it skips; who reads the task will.
        str(body, "utf-8")
        decoded = decoder(body)
        if not any_number and _is_far(body):
            _check_numbers(without_strings(body))
        return decoded  # noqa: TRY300 - what the numbers raise is translated, too
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        unknown = unknown_field(reason, getattr(getattr(decoder, "__self__", None), "type", None))
        raise InvalidTask(where.rstrip("`").lstrip("."), unknown or plain(reason)) from None
    except msgspec.DecodeError as error:
        raise InvalidTask("", f"this is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise InvalidTask("", "this is not JSON: it is not UTF-8") from None
    except RecursionError:
        raise InvalidTask("", "the JSON is nested too deeply") from None


def _check_numbers(text: bytes) -> None:
    """Raise what msgspec would if it read the numbers in here."""
    if _LONG_INTEGER.search(text):
        raise msgspec.ValidationError("Integer value out of range")
    _NUMBERS.decode(b"[%b]" % b",".join(_FAR_NUMBER.findall(text)))


def _is_far(body: bytes | Raw) -> bool:
    """Whether there may be a number in it that is out of a double's range."""
    if len(body) - len(bytes(body).translate(None, _DIGITS)) < _FEW_DIGITS:
        return False
    return bool(_FAR.search(body))
