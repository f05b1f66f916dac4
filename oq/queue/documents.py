"""What people give the verbs of a queue, in the form that these take; and what these give, in the
form that people read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from oq.rules.limits import Limits
from oq.rules.validation import check, decode_submission
from oq.words.answer import answer_of
from oq.words.arguments import check_new, check_several
from oq.words.errors import InvalidBatch, InvalidTask, Unavailable
from oq.words.events import EventType
from oq.words.new import NewTask
from oq.words.task import RawTask, Submission, Task
from oq.words.to_json import to_json

_decode_task = msgspec.json.Decoder(Task).decode


def result_of(task: Task, timeout: float | None) -> dict[str, Any]:
    """The result of a task after waiting for it, or the error that says why there is none."""
    answer = answer_of(task)
    if answer is not None:
        return answer
    if timeout is None:
        raise Unavailable(f"the queue closed while task {task.id} was {task.status}; it is kept")
    raise TimeoutError(f"task {task.id} is still {task.status} after {timeout:g} s; it goes on")


def event_types_of(types: str | Collection[str] | None) -> set[EventType] | None:
    """The types that are meant. InvalidTask for one that there is not."""
    if types is None:
        return None
    try:
        return {EventType(kind) for kind in ([types] if isinstance(types, str) else types)}
    except ValueError as error:
        known = ", ".join(EventType)
        raise InvalidTask("types", f"{error}; the types are {known}") from None


def submission_of(task: NewTask | Submission) -> Submission:
    """The task in the form that is checked. InvalidTask."""
    if isinstance(task, Submission):
        return task
    check_new(task)
    return decode_submission(to_json(task))


def submissions_of(tasks: Sequence[NewTask | Submission], limits: Limits) -> list[Submission]:
    """The tasks in the form that is checked; InvalidBatch names all that are wrong."""
    check_several(tasks)
    made: dict[int, Submission] = {}
    problems: dict[int, str] = {}
    for index, task in enumerate(tasks):
        try:
            made[index] = submission_of(task)
        except InvalidTask as error:
            problems[index] = str(error)
    if not problems:
        return [*made.values()]  # whoever takes them in checks them
    for index, submission in made.items():
        try:
            check(submission, limits)
        except InvalidTask as error:
            problems[index] = str(error)
    raise InvalidBatch(problems)


def task_of(task: RawTask) -> Task:
    """The task with its documents decoded."""
    return _decode_task(msgspec.json.encode(task))
