"""Makes the request of each client method, and reads its response. Nothing here does I/O."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec

from oq.client.timeouts import steps
from oq.client.urls import Parameters, making_url, parameters, path_of
from oq.words.answer import answer_of
from oq.words.arguments import check_new, check_several, task_id_of, whole_number
from oq.words.bulk import BulkOutcome
from oq.words.durations import Time, seconds_of
from oq.words.errors import InvalidBatch, InvalidTask
from oq.words.new import NewTask
from oq.words.stats import Stats, StatsByModel
from oq.words.task import Summary, Task
from oq.words.to_json import to_json
from oq.words.views import BackendView, QueueStatus
from oq.words.which import (
    CONDITIONS,
    IN_HTTP,
    Count,
    Wanted,
    Which,
    check_keywords,
    values_of,
)

T = TypeVar("T")
PAGE = 1000
"""Tasks that one request for a listing asks for at most."""


class _Submitted(msgspec.Struct):
    task_id: str


class _SubmittedMany(msgspec.Struct):
    task_ids: list[str]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the tasks of a listing. `after` is the cursor to the rest, if there is any."""

    tasks: list[T]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest(Generic[T]):
    """One request. `safe` calls may be sent again when the connection was lost underway.

    `read` makes of a successful response what was asked for.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    safe: bool = False
    params: Parameters = ()
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    task_id: str | None = None
    wait: float = 0
    """How long the server may hold the request before it answers."""

    def request(self, http: httpx.Client | httpx.AsyncClient, timeout: float) -> httpx.Request:
        """As `http` sends it. `timeout` is for each step; reading may take `wait` longer."""
        headers = self.headers if self.body is None else self.headers | _JSON
        with making_url():
            return http.build_request(
                self.method,
                self.path,
                params=self.params or None,
                content=self.body,
                headers=headers,
                timeout=steps(timeout, self.wait),
            )


_JSON = {"Content-Type": "application/json"}
_AS_IT_COMES = {"Accept-Encoding": "identity"}
"""A proxy that compressed a stream would hold it back."""


def draft(task: NewTask) -> bytes:
    """The task as it is sent; InvalidTask when it is none, or cannot be written as JSON."""
    check_new(task)
    return to_json(task)


def drafts(tasks: Sequence[NewTask]) -> list[tuple[bytes, str]]:
    """Each task as it is sent, and a key of its own; InvalidBatch names those that cannot be."""
    check_several(tasks)
    made, problems = [], {}
    for index, task in enumerate(tasks):
        try:
            made.append((draft(task), new_key(None)))
        except InvalidTask as error:
            problems[index] = str(error)
    if problems:
        raise InvalidBatch(problems)
    return made


def new_key(key: str | None) -> str:
    """The idempotency key of a submit: the one that was given, or one that nobody else has."""
    if key is None:
        return str(uuid.uuid4())
    if not (isinstance(key, str) and key.isascii() and key.isprintable()):
        raise InvalidTask("Idempotency-Key", "it must be printable ASCII characters")
    if key.strip() != key:  # of a header they are no part
        raise InvalidTask("Idempotency-Key", "it must have no spaces at its ends")
    return key


def submit(body: bytes, key: str, max_wait: Time | None = None) -> ApiRequest[str]:
    """The key makes a submit safe: sent twice, it is still one task."""
    return ApiRequest(
        method="POST",
        path="api/tasks",
        body=body,
        headers={"Idempotency-Key": key, **_max_wait(max_wait)},
        safe=True,
        read=lambda response: _decode(response, _Submitted).task_id,
    )


def submit_alone(body: bytes, key: str, max_wait: Time | None = None) -> ApiRequest[list[str]]:
    """One task, answered as several are."""
    call = submit(body, key, max_wait)
    return replace(call, read=lambda response: [call.read(response)])  # type: ignore[arg-type, return-value]


def submit_many(
    drafts: Sequence[tuple[bytes, str]], max_wait: Time | None = None
) -> ApiRequest[list[str]]:
    """Several tasks in one commit: each as it is sent, and its key, which makes that safe."""
    items = [_with_key(body, key) for body, key in drafts]
    return ApiRequest(
        method="POST",
        path="api/tasks/batch",
        body=b"[" + b",".join(items) + b"]",
        headers=_max_wait(max_wait),
        safe=True,
        read=lambda response: _decode(response, _SubmittedMany).task_ids,
    )


def get(task_id: str, wait: float = 0) -> ApiRequest[Task]:
    """`wait` is in seconds."""
    params = (("wait", f"{wait * 1000:.0f}ms"),) if wait else ()
    return _on_task(
        "GET", task_id, read=lambda response: _decode(response, Task), params=params, wait=wait
    )


def list_tasks(kind: type[T], wanted: Wanted) -> ApiRequest[Page[T]]:
    """Each filter is a value or several; what is empty or None is left out. A `kind` of Summary
    leaves out the documents.
    """
    view = "summary" if kind is Summary else None
    return ApiRequest(
        method="GET",
        path="api/tasks",
        params=parameters({**_named(wanted), "view": view}),
        safe=True,
        read=lambda response: Page(_decode(response, list[kind]), _cursor(response)),  # type: ignore[valid-type]
    )


class Listing(Generic[T]):
    """A listing of up to `limit` tasks, in as many calls as it takes. Run each `next`, `add` its
    page, until there is none. Pages are bounded in bytes too: one may be short, or empty.
    """

    def __init__(self, kind: type[T], wanted: Wanted) -> None:
        self.tasks: list[T] = []
        self._kind = kind
        limit = wanted.get("limit")
        self._limit = PAGE if limit is None else whole_number("limit", limit)
        self._wanted = wanted
        self._whole = False

    def next(self) -> ApiRequest[Page[T]] | None:
        if self._whole:
            return None
        limit = min(PAGE, self._limit - len(self.tasks))
        return list_tasks(self._kind, {**self._wanted, "limit": limit})

    def add(self, page: Page[T]) -> None:
        self.tasks += page.tasks
        self._whole = len(self.tasks) >= self._limit or page.after is None
        self._wanted = {**self._wanted, "after": page.after, "offset": None}


def count(which: Which) -> ApiRequest[Count]:
    return ApiRequest(
        method="GET",
        path="api/tasks/count",
        params=parameters(_named(which)),
        safe=True,
        read=lambda response: _decode(response, Count),
    )


def bulk(
    action: str, ids: Sequence[str] | None, to: int | str | None, which: Which
) -> ApiRequest[BulkOutcome]:
    """Not safe: what it did the first time cannot be told from what it did the second time."""
    wish: dict[str, object] = {"action": action}
    if to is not None:
        wish["priority"] = to
    if ids is not None:
        wish["ids"] = [task_id_of(one) for one in ids]
    if ids is None or which:
        check_keywords(which, CONDITIONS)
        wish["filter"] = {
            IN_HTTP[name]: list(values_of(value)) if CONDITIONS[name].many else _text(value)
            for name, value in which.items()
            if value
        }
    return ApiRequest(
        method="POST",
        path="api/tasks/bulk",
        body=to_json(wish),
        read=lambda response: _decode(response, BulkOutcome),
    )


def backends() -> ApiRequest[list[BackendView]]:
    return ApiRequest(
        method="GET",
        path="api/backends",
        safe=True,
        read=lambda response: _decode(response, list[BackendView]),
    )


def stats(window: str, model: str | None) -> ApiRequest[Stats]:
    return ApiRequest(
        method="GET",
        path="api/stats",
        params=parameters({"window": window, "model": model}),
        safe=True,
        read=lambda response: _decode(response, Stats),
    )


def models(window: str) -> ApiRequest[StatsByModel]:
    return ApiRequest(
        method="GET",
        path="api/models",
        params=parameters({"window": window}),
        safe=True,
        read=lambda response: _decode(response, StatsByModel),
    )


def status() -> ApiRequest[QueueStatus]:
    return ApiRequest(
        method="GET",
        path="api/status",
        safe=True,
        read=lambda response: _decode(response, QueueStatus),
    )


def stream_task(task_id: str, offset: int, attempt: int | None, quiet: float) -> ApiRequest[None]:
    """What the task generates, as lines; `quiet` is how many seconds may pass between two."""
    place = {"offset": offset or None, "attempt": attempt}
    return _on_task(
        "GET", task_id, "stream", read=_nothing, wait=quiet,
        params=parameters(place), headers=_AS_IT_COMES | {"Accept": "application/x-ndjson"},
    )  # fmt: skip


def feed_events(path: str, wanted: Mapping[str, object], quiet: float) -> ApiRequest[None]:
    """What goes on; `quiet` is how many seconds may pass without a byte."""
    return ApiRequest(
        method="GET", path=path, params=parameters(wanted), safe=True, wait=quiet, read=_nothing,
        headers=_AS_IT_COMES,
    )  # fmt: skip


def cancel(task_id: str) -> ApiRequest[None]:
    return _on_task("POST", task_id, "cancel", read=_nothing)


def set_priority(task_id: str, priority: int | str) -> ApiRequest[None]:
    body = to_json({"priority": priority})
    return _on_task("POST", task_id, "priority", body=body, read=_nothing)


def retry(task_id: str) -> ApiRequest[None]:
    return _on_task("POST", task_id, "retry", read=_nothing)


def delete(task_id: str) -> ApiRequest[None]:
    return _on_task("DELETE", task_id, read=_nothing)


def pause(model: str | None) -> ApiRequest[None]:
    return _pause("pause", model)


def resume(model: str | None) -> ApiRequest[None]:
    return _pause("resume", model)


def _pause(verb: str, model: str | None) -> ApiRequest[None]:
    if model is None:
        return ApiRequest(method="POST", path=f"api/queue/{verb}", safe=True, read=_nothing)
    body = to_json({"model": model})
    return ApiRequest(method="POST", path=f"api/models/{verb}", body=body, safe=True, read=_nothing)


def outcome(task: Task, timeout: float) -> dict[str, Any]:
    """The result of a task that was waited for; what `answer_of` raises, or TimeoutError."""
    answer = answer_of(task)
    if answer is not None:
        return answer
    raise TimeoutError(f"task {task.id} is {task.status} after {timeout:g} s; it goes on")


def _on_task(
    method: str, task_id: str, verb: str = "", *, read: Callable[[httpx.Response], T], **rest: Any
) -> ApiRequest[T]:
    return ApiRequest(
        method=method,
        path=path_of(task_id, verb),
        task_id=task_id,
        safe=method == "GET",
        read=read,
        **rest,
    )


def _named(wanted: Mapping[str, object]) -> dict[str, object]:
    """The filter as the HTTP API names it. What is the default is left out."""
    check_keywords(wanted, Wanted.__annotations__)
    given = {IN_HTTP.get(name, name): _text(value) for name, value in wanted.items()}
    for name, default in (("q", ""), ("sort", "newest")):
        if given.get(name) == default:
            del given[name]
    return given


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _max_wait(given: Time | None) -> dict[str, str]:
    """The header that says so; without it, or with infinity, there is no limit."""
    seconds = inf if given is None else seconds_of("max_wait", given)
    return {} if seconds == inf else {"X-OQ-Max-Wait": f"{seconds * 1000:.0f}ms"}


def _with_key(body: bytes, key: str) -> bytes:
    return body[:-1] + b',"idempotency_key":' + msgspec.json.encode(key) + b"}"


def _decode(response: httpx.Response, kind: type[T]) -> T:
    return msgspec.json.decode(response.content, type=kind)


def _cursor(response: httpx.Response) -> str | None:
    """Where the next page begins, by the Link header. It names our own call; only the cursor is
    taken from it, so that no answer can send us elsewhere.
    """
    following = response.links.get("next", {}).get("url")
    return dict(parse_qsl(urlsplit(following).query)).get("after") if following else None


def _nothing(response: httpx.Response) -> None:
    return None
