"""The list of the input items of a response that oq keeps.

https://platform.openai.com/docs/api-reference/responses/input-items
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from oq.dialects.kept_response import KeptResponse, input_items, members
from oq.dialects.reading import read, write
from oq.words.errors import InvalidTask

_PARTS = {"assistant": "output_text"}


def items_page(
    response: KeptResponse, after: str | None, limit: int, *, newest_first: bool
) -> bytes:
    """At most `limit` items, from behind the one with the id `after`. InvalidTask if there is none
    with it.
    """
    items = [_item(response, index, raw) for index, raw in enumerate(input_items(response.request))]
    if newest_first:
        items.reverse()
    ids = [str(read(item["id"])) for item in items]
    begin = 0
    if after is not None:
        if after not in ids:
            raise InvalidTask("after", f"the input has no item {after[:64]!r}")
        begin = ids.index(after) + 1
    shown = ids[begin : begin + limit]
    return msgspec.json.encode(
        {
            "object": "list",
            "data": items[begin : begin + limit],
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
            "has_more": begin + limit < len(items),
        }
    )


def _item(response: KeptResponse, index: int, raw: Raw) -> dict[str, Raw]:
    """An item with an id, and a message with its parts: both may be missing in a request."""
    item = members(raw)
    role = read(item.get("role", Raw(b"null")))
    if "type" not in item and isinstance(role, str):
        item["type"] = Raw(b'"message"')
    content = read(item.get("content", Raw(b"null")))
    if isinstance(role, str) and isinstance(content, str):
        kind = _PARTS.get(role, "input_text")
        item["content"] = Raw(write([{"type": kind, "text": content}]))
    known = read(item.get("id", Raw(b"null")))
    if not isinstance(known, str) or not known:
        item["id"] = Raw(write(f"item_{response.state.id.replace('-', '')}_{index}"))
    return item
