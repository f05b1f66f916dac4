"""The server's errors, and those of the way to it, as oq's own. The one place that translates."""

from __future__ import annotations

import os
import re
import ssl

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
    Removed,
    ServerNotReached,
    Unavailable,
    WaitTooLong,
)
from oq.words.from_json import NOT_READ

_FIELD = re.compile(r"([\w-]+(?:\.\w+|\[\d+\])*): (.+)", re.DOTALL)
_NUMBER = re.compile(r"\d{1,18}")
_WAIT = re.compile(
    r"it would start in about (\d{1,18}) s, and may wait for (\d+(?:\.\d+)?(?:e[+-]?\d+)?) s "
)


_BATCH = "nothing was stored: "
_ITEM = re.compile(r"; item (\d{1,18}): ")


class ServerFault(OqError):
    """The server failed at this request: a record of it cannot be read, or oq has a fault. It may
    answer all others.
    """


class _Error(msgspec.Struct):
    error: str


def refusal(response: httpx.Response, server: str, task_id: str | None = None) -> OqError:
    """What an answer that is not a success means. `task_id` is the task that was asked for."""
    try:
        said = msgspec.json.decode(response.content, type=_Error).error
    except NOT_READ:
        return _no_oq(response, server)
    match response.status_code:
        case 400 | 422:
            problems = _items(said)
            return InvalidBatch(problems) if problems else _invalid(said)
        case 404:
            return NotFound(task_id) if task_id is not None else _no_oq(response, server)
        case 410 if task_id is not None:
            return Removed(task_id, said)
        case 409:
            return Conflict(said)
        case 413:
            return PayloadTooLarge(_first_number(said))
        case 429:
            return QueueFull(_first_number(said), _retry_after(response))
        case 503 if limits := _WAIT.match(said):
            return WaitTooLong(float(limits[1]), float(limits[2]))
        case 503:
            return Unavailable(said)
        case 500:
            return ServerFault(f"{server} answered 500: {said}")
        case status:
            return OqError(f"{server} answered {status}: {said}")


def unreached(error: httpx.HTTPError, server: str) -> OqError:
    """What it means that no answer came."""
    match error:
        case httpx.ConnectTimeout():
            return ServerNotReached(server, "it did not accept the connection in time")
        case httpx.ConnectError():
            return ServerNotReached(server, reason(error))
        case httpx.TimeoutException():
            return Unavailable(
                f"{server} did not answer in time; the request may still take effect"
            )
        case _:
            return Unavailable(
                f"the connection to {server} was lost ({reason(error)});"
                " the request may still take effect"
            )


def garbled(server: str) -> OqError:
    """A success whose body is not what oq says."""
    return ServerNotReached(server, "what listens there gave an answer that is not oq's")


def again(error: OqError) -> OqError:
    """The same error once more: one that is raised in several tasks collects all their traces."""
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    return copy


def _invalid(said: str) -> InvalidTask:
    field = _FIELD.fullmatch(said)
    return InvalidTask(*field.groups()) if field else InvalidTask("", said)


def _items(said: str) -> dict[int, str]:
    """The items that the text of a refused batch names, and why. What it quotes of users' text may
    look like one more: it is for people, and to know what to look at again.
    """
    if not said.startswith(_BATCH):
        return {}
    parts = _ITEM.split("; " + said.removeprefix(_BATCH))
    return {int(index): why for index, why in zip(parts[1::2], parts[2::2], strict=True)}


def _no_oq(response: httpx.Response, server: str) -> ServerNotReached:
    what = f"what listens there answered {response.status_code} and is not oq"
    return ServerNotReached(server, what)


def reason(error: BaseException) -> str:
    """Why there is no connection: what the system says, under all that is wrapped around it."""
    inner: BaseException | None = error
    while inner is not None:
        error, inner = inner, inner.__cause__ or inner.__context__
        if isinstance(inner, BaseExceptionGroup):  # one for each address that was tried
            inner = inner.exceptions[-1]
    if isinstance(error, ssl.SSLError):  # its errno is OpenSSL's own
        return _no_tls(error)
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)).lower() or type(error).__name__


def _no_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    said = (error.reason or str(error)).lower().replace("_", " ")
    return f"it does not speak TLS ({said}); write http:// instead of https://"


def _first_number(text: str) -> int:
    found = _NUMBER.search(text)
    return int(found[0]) if found else 0


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0
