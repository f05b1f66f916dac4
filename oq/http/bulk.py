"""One action on many tasks: `POST /api/tasks/bulk`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct, defstruct, field
from quart_trio.wrappers import TrioResponse as Response

from oq.http.context import Context
from oq.http.request import Request
from oq.http.responses import quart_response
from oq.rules.filters import TaskFilter, task_filter
from oq.rules.json_decoding import decode
from oq.rules.limits import check_size
from oq.words.errors import InvalidTask
from oq.words.messages import Verb
from oq.words.task import Priority
from oq.words.which import CONDITIONS, IN_HTTP

Time = Annotated[datetime, Meta(tz=True)]


def _bulk_filter() -> type[Struct]:
    fields: list[tuple[str, Any, Any]] = []
    for name, one in CONDITIONS.items():
        kind = {Priority: int | str, datetime: Time | None}.get(one.kind, one.kind)
        if one.many:
            fields.append((IN_HTTP[name], list[kind], field(default_factory=list)))  # type: ignore[valid-type]
        else:
            fields.append((IN_HTTP[name], kind, None if one.kind is datetime else ""))
    made = defstruct(
        "BulkFilter", fields, frozen=True, kw_only=True, forbid_unknown_fields=True,
        module=__name__,
    )  # fmt: skip
    made.__doc__ = """The conditions for tasks: the same fields as the parameters of a listing. A
    field that is left out admits every task. Without `status` only tasks in a state in which the
    action is possible match.
    """
    return made


if TYPE_CHECKING:  # its fields are those of the filter, which is declared elsewhere
    BulkFilter = Any
else:
    BulkFilter = _bulk_filter()


class BulkRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One action on many tasks. Give either `ids` or a `filter`. `priority` is the new priority;
    only the action "priority" needs it.
    """

    action: Verb
    priority: int | str | None = None
    ids: list[str] | None = None
    filter: BulkFilter | None = None


_REQUEST = msgspec.json.Decoder(BulkRequest)


async def bulk(context: Context, request: Request) -> Response:
    """Cancel, retry or delete many tasks, or change their priority. The answer is sent once all
    changes are on disk.
    """
    check_size("", request.body, request.queue.limits)
    wish = decode(_REQUEST.decode, request.body)
    if (wish.action is Verb.PRIORITY) != (wish.priority is not None):
        raise InvalidTask(
            "priority", 'the action "priority" needs it, and no other action may have it'
        )
    tasks = _tasks(wish)
    priority = 0 if wish.priority is None else wish.priority
    return quart_response(await request.queue.bulk(wish.action, tasks, priority))


def _tasks(wish: BulkRequest) -> list[str] | TaskFilter:
    if wish.ids is not None and wish.filter is None:
        return wish.ids
    if wish.filter is None or wish.ids is not None:
        raise InvalidTask("ids", "give either ids or a filter, and not both")
    given = {name: getattr(wish.filter, asked) for name, asked in IN_HTTP.items()}
    return task_filter(**given)
