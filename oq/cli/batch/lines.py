"""The lines of a batch: what each asks for, and the key under which it is submitted.

A line is a call of an OpenAI batch (`custom_id`, `method`, `url`, `body`) or a task as
POST /api/tasks takes it, with a `custom_id` if it has one. Both may be in one file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, BinaryIO

import msgspec

from oq.cli.batch.openai_request import openai_task
from oq.cli.texts import without_mark
from oq.rules.limits import Limits
from oq.rules.validation import check, decode_submission
from oq.words.errors import InvalidTask
from oq.words.from_json import NOT_READ
from oq.words.new import NewTask
from oq.words.task import TaskType

MAX_CUSTOM_ID = 512
_SHOWN_OF_ID = 80
# The server has the last word on sizes: its limits may not be these.
_LIMITS = Limits(
    max_payload=1 << 30, max_metadata=1 << 20, max_batch=1, max_retries=0, max_values=1 << 30
)
_OBJECT = msgspec.json.Decoder(dict[str, Any])


class BadLine(Exception):
    """A line that cannot become a task. `custom_id` is its own, or stands in for one."""

    def __init__(self, number: int, custom_id: str, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number = number
        self.custom_id = custom_id
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Terms:
    """What the command says of every line. `run` is what tells this batch's keys from others'."""

    run: str
    model: str | None = None
    priority: int | str | None = None
    """None: a line's own, or else low."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its task, and in which form its result is to be written."""

    number: int
    custom_id: str
    task: NewTask
    openai: bool
    packed: bool
    """Whether its embeddings are to be base64."""
    key: str
    """The idempotency key: the same whenever this line of this batch is submitted."""
    asked: str
    """What the model is asked, as a digest. It stands in the result: who edits a line wants
    another answer, and who gives another priority does not.
    """


@dataclass(frozen=True, slots=True)
class Survey:
    """What the file holds. `bad` has the fault of each line that has one, by its number; `ids`
    the number of each line by its custom_id, shortened; `asked` what each good one asks for, by
    that id, shortened too.
    """

    total: int
    bad: dict[int, BadLine]
    ids: dict[int, int]
    asked: dict[int, int]


def survey(file: BinaryIO, terms: Terms) -> Survey:
    """Read the whole file once, and submit nothing."""
    bad: dict[int, BadLine] = {}
    first: dict[int, int] = {}  # 64 bits instead of an id: a file of millions has to fit
    asked: dict[int, int] = {}
    total = 0
    for line in read(file, terms):
        total += 1
        short_id = short(line.custom_id)
        earlier = first.setdefault(short_id, line.number)
        if earlier != line.number:
            line = _without_id(line, earlier, first)
        if isinstance(line, BadLine):
            bad[line.number] = line
        else:
            asked[short_id] = short(line.asked)
    return Survey(total, bad, first, asked)


def read(file: Iterable[bytes], terms: Terms) -> Iterator[Line | BadLine]:
    """The lines, one after the other; blank ones are passed over. NotUtf8 for another encoding."""
    for number, text in enumerate(file, 1):
        if number == 1:
            text = without_mark(text)
        if text.strip():
            yield _line(number, text, terms)


def _without_id(line: Line | BadLine, earlier: int, first: dict[int, int]) -> BadLine:
    """A line whose id an earlier one has; its result gets an id that no other has."""
    if isinstance(line, BadLine):
        reason = line.reason
    else:
        reason = f"custom_id: {line.custom_id[:_SHOWN_OF_ID]!r} is also that of line {earlier}"
    stand_in = f"line-{line.number}"
    while first.setdefault(short(stand_in), line.number) != line.number:
        stand_in += "'"
    return BadLine(line.number, stand_in, reason)


def short(custom_id: str) -> int:
    """The id in 64 bits: among a million of them two are the same once in 37 million files."""
    digest = blake2b(custom_id.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _line(number: int, text: bytes, terms: Terms) -> Line | BadLine:
    custom_id = f"line-{number}"
    try:
        fields = _fields(text)
        custom_id = _custom_id(fields, custom_id)
        openai = "url" in fields or "body" in fields
        task = _from_openai(fields, terms) if openai else _plain(fields, terms)
        task = _with_terms(task, custom_id, terms)
        encoded = msgspec.json.encode(task)
        check(decode_submission(encoded), _LIMITS)
    except InvalidTask as error:
        return BadLine(number, custom_id, str(error))
    packed = openai and fields["body"].get("encoding_format") == "base64"
    key = _key(terms.run, custom_id, encoded)
    return Line(number, custom_id, task, openai, packed, key, _asked(task))


def _fields(text: bytes) -> dict[str, Any]:
    try:
        return _OBJECT.decode(text)
    except msgspec.ValidationError:
        raise InvalidTask("", "this is not a JSON object") from None
    except NOT_READ as error:
        raise InvalidTask("", f"this is not JSON: {error}") from None


def _custom_id(fields: dict[str, Any], default: str) -> str:
    given = fields.get("custom_id", default)
    if not isinstance(given, str) or not 1 <= len(given) <= MAX_CUSTOM_ID:
        raise InvalidTask("custom_id", f"it must be a text of 1 to {MAX_CUSTOM_ID} characters")
    return given


def _from_openai(fields: dict[str, Any], terms: Terms) -> NewTask:
    if "custom_id" not in fields:
        raise InvalidTask("custom_id", "there is none")
    if fields.get("method", "POST") != "POST":
        raise InvalidTask("method", "it must be POST")
    body = fields.get("body")
    if not isinstance(body, dict):
        raise InvalidTask("body", "it must be an object")
    return openai_task(fields.get("url", ""), body | _model(terms))


def _plain(fields: dict[str, Any], terms: Terms) -> NewTask:
    task = {name: value for name, value in fields.items() if name != "custom_id"} | _model(terms)
    for name in ("type", "model", "payload"):
        if name not in task:
            raise InvalidTask(name, "there is none; a line is an OpenAI batch call or an oq task")
    check(decode_submission(msgspec.json.encode(task)), _LIMITS)
    known = {name: task[name] for name in NewTask.__struct_fields__ if name in task}
    return NewTask(**known | {"type": TaskType(task["type"])})


def _model(terms: Terms) -> dict[str, Any]:
    return {} if terms.model is None else {"model": terms.model}


def _with_terms(task: NewTask, custom_id: str, terms: Terms) -> NewTask:
    """The task with what the command says of it, and its custom_id where lists show it."""
    priority = task.priority if terms.priority is None else terms.priority
    return msgspec.structs.replace(
        task,
        priority="low" if priority is None else priority,
        metadata={"custom_id": custom_id} | dict(task.metadata or {}),
    )


def _asked(task: NewTask) -> str:
    document = msgspec.json.encode([task.type, task.model, task.payload, task.options or {}])
    return blake2b(document, digest_size=16).hexdigest()


def _key(run: str, custom_id: str, task: bytes) -> str:
    """One key a line, whatever else the file holds. A line that is changed asks for something
    else, so its task is part of the key: a key that was used for another task would be refused.
    """
    digest = blake2b(digest_size=20)
    for part in (run.encode(errors="surrogatepass"), custom_id.encode(), task):
        digest.update(b"%d:" % len(part) + part)
    return f"oq-batch-{digest.hexdigest()}"
