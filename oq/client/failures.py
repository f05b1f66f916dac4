"""The server's errors, and those of the way to it, as oq's own. The one place that translates."""

from __future__ import annotations

import re

import httpx
import msgspec

from oq.words.errors import (
    Conflict,
    InvalidBatch,
    InvalidTask,
    NotFound,
    OqError,
    PayloadTooLarge,
    QueueFull,
    ServerNotReached,
    Unavailable,
)

_FIELD = re.compile(r"([\w-]+(?:\.\w+|\[\d+\])*): (.+)", re.DOTALL)
_NUMBER = re.compile(r"\d+")


_BATCH = "nothing was stored: "
_ITEM = re.compile(r"; item (\d+): ")


class BatchConflict(Conflict):
    """Items of a batch whose idempotency keys were used for other tasks; nothing was stored.

    ``problems`` maps each of their indexes to the reason.
    """

    def __init__(self, said: str, problems: dict[int, str]) -> None:
        super().__init__(said)
        self.problems = problems


class _Error(msgspec.Struct):
    error: str
    problems: dict[int, str] = {}


def refusal(response: httpx.Response, server: str, task_id: str | None = None) -> OqError:
    """What an answer that is not a success means. `task_id` is the task that was asked for."""
    try:
        answer = msgspec.json.decode(response.content, type=_Error)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _no_oq(response, server)
    said = answer.error
    match response.status_code:
        case 400 | 422:
            problems = answer.problems or _items(said)
            return InvalidBatch(problems) if problems else _invalid(said)
        case 404:
            return NotFound(task_id) if task_id is not None else _no_oq(response, server)
        case 409:
            return BatchConflict(said, answer.problems) if answer.problems else Conflict(said)
        case 413:
            return PayloadTooLarge(_first_number(said))
        case 429:
            return QueueFull(_first_number(said), _retry_after(response))
        case 503:
            return Unavailable(said)
        case status:
            return OqError(f"{server} answered {status}: {said}")


def alone(error: InvalidBatch | BatchConflict, reason: str) -> OqError:
    """What one item of a refused batch would have been told by itself."""
    return Conflict(reason) if isinstance(error, Conflict) else _invalid(reason)


def unreached(error: httpx.HTTPError, server: str) -> OqError:
    """What it means that no answer came."""
    match error:
        case httpx.ConnectTimeout():
            return ServerNotReached(server, "it did not accept the connection in time")
        case httpx.ConnectError():
            return ServerNotReached(server, _reason(error))
        case httpx.TimeoutException():
            return Unavailable(f"{server} did not answer in time; it may still do what was asked")
        case _:
            return Unavailable(
                f"the connection to {server} was lost ({_reason(error)});"
                " it may still do what was asked"
            )


def garbled(server: str) -> OqError:
    """A success whose body is not what oq says."""
    return ServerNotReached(server, "what listens there gave an answer that is not oq's")


def _invalid(said: str) -> InvalidTask:
    field = _FIELD.fullmatch(said)
    return InvalidTask(*field.groups()) if field else InvalidTask("", said)


def _items(said: str) -> dict[int, str]:
    """The items that the text of a refused batch names, from a server that says it only there."""
    if not said.startswith(_BATCH):
        return {}
    parts = _ITEM.split("; " + said.removeprefix(_BATCH))
    return {int(index): why for index, why in zip(parts[1::2], parts[2::2], strict=True)}


def _no_oq(response: httpx.Response, server: str) -> ServerNotReached:
    what = f"what listens there answered {response.status_code} and is not oq"
    return ServerNotReached(server, what)


def _reason(error: Exception) -> str:
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)).lower() or type(error).__name__


def _first_number(text: str) -> int:
    found = _NUMBER.search(text)
    return int(found[0]) if found else 0


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0
