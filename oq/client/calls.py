"""Each call's request, and how to read its answer. Nothing here does I/O."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from oq.words.errors import InvalidTask
from oq.words.new import NewTask
from oq.words.status import QueueStatus
from oq.words.task import Task

T = TypeVar("T")
Tasks = list[Task]


class _Submitted(msgspec.Struct):
    task_id: str


class _SubmittedMany(msgspec.Struct):
    task_ids: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request. `safe` calls may be sent again when the connection was lost underway."""

    method: str
    path: str
    read: Callable[[bytes], T]
    safe: bool = False
    params: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    task_id: str | None = None
    wait: float = 0
    """How long the server may hold the request before it answers."""

    def request(self, http: httpx.Client, timeout: float) -> httpx.Request:
        """As `http` sends it. `timeout` is for each step; reading may take `wait` longer."""
        headers = self.headers if self.body is None else self.headers | _JSON
        return http.build_request(
            self.method,
            self.path,
            params=self.params or None,
            content=self.body,
            headers=headers,
            timeout=httpx.Timeout(timeout, read=timeout + self.wait),
        )


_JSON = {"Content-Type": "application/json"}


def submit(task: NewTask, key: str | None) -> Call[str]:
    """The key makes a submit safe: sent twice, it is still one task."""
    key = str(uuid.uuid4()) if key is None else key
    if not (key.isascii() and key.isprintable()):
        raise InvalidTask("Idempotency-Key", "it must be printable ASCII characters")
    return Call(
        method="POST",
        path="api/tasks",
        body=_encode(task),
        headers={"Idempotency-Key": key},
        safe=True,
        read=lambda body: _decode(body, _Submitted).task_id,
    )


def submit_many(tasks: Sequence[NewTask]) -> Call[list[str]]:
    return Call(
        method="POST",
        path="api/tasks/batch",
        body=_encode(tasks),
        read=lambda body: _decode(body, _SubmittedMany).task_ids,
    )


def get(task_id: str, wait: float = 0) -> Call[Task]:
    """`wait` is in seconds."""
    params = (("wait", f"{wait * 1000:.0f}ms"),) if wait else ()
    return _on_task("GET", task_id, read=lambda body: _decode(body, Task), params=params, wait=wait)


def list_tasks(**filters: object) -> Call[Tasks]:
    """Each filter is a value or several; what is empty or None is left out."""
    params = ((name, str(value)) for name, given in filters.items() for value in _several(given))
    return Call(
        method="GET",
        path="api/tasks",
        params=tuple(params),
        safe=True,
        read=lambda body: _decode(body, Tasks),
    )


def status() -> Call[QueueStatus]:
    return Call(
        method="GET", path="api/status", safe=True, read=lambda body: _decode(body, QueueStatus)
    )


def cancel(task_id: str) -> Call[None]:
    return _on_task("POST", task_id, "cancel", read=_nothing)


def set_priority(task_id: str, priority: int | str) -> Call[None]:
    body = _encode({"priority": priority})
    return _on_task("POST", task_id, "priority", body=body, read=_nothing)


def retry(task_id: str) -> Call[None]:
    return _on_task("POST", task_id, "retry", read=_nothing)


def delete(task_id: str) -> Call[None]:
    return _on_task("DELETE", task_id, read=_nothing)


def pause() -> Call[None]:
    return Call(method="POST", path="api/queue/pause", safe=True, read=_nothing)


def resume() -> Call[None]:
    return Call(method="POST", path="api/queue/resume", safe=True, read=_nothing)


def _on_task(
    method: str, task_id: str, verb: str = "", *, read: Callable[[bytes], T], **rest: Any
) -> Call[T]:
    # Quoted whole: an id is a user's text, and "../status" must not become another call.
    path = f"api/tasks/{quote(task_id, safe='')}"
    if not task_id or set(task_id) <= {"."}:
        raise InvalidTask("task_id", f"{task_id!r} is not a task's id")
    return Call(
        method=method,
        path=f"{path}/{verb}" if verb else path,
        task_id=task_id,
        safe=method == "GET",
        read=read,
        **rest,
    )


def _several(given: object) -> Iterable[object]:
    if given is None:
        return ()
    return given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


def _encode(document: object) -> bytes:
    try:
        return msgspec.json.encode(document)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidTask("", f"this cannot be written as JSON: {error}") from None


def _decode(body: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(body, type=kind)


def _nothing(body: bytes) -> None:
    return None
