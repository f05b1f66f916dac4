"""Which Locations of a backend pass to its caller.

A client follows a 307 with its own method and body. So a backend could have it pause the queue, or
delete a task, in its own name.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from oq.http.gateway.allowlist import is_odd, requests_at
from oq.http.peer import RawHeaders
from oq.rules.headers import LOCATION


def passable(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The headers without Locations that lead elsewhere than to what a gateway answers."""
    return [item for item in headers if item[0].lower() != LOCATION or leads_to_call(item[1])]


def leads_to_call(location: bytes) -> bool:
    """Whether it is the path of a call, or of a request on the list that changes nothing. None of
    oq's own API is; nor is a path that a client might take for another one, as it is or decoded.
    """
    raw = location.partition(b"#")[0].partition(b"?")[0]
    decoded = unquote_to_bytes(raw)
    if not (raw.isascii() and raw.startswith(b"/")) or b"\\" in decoded or b"%" in decoded:
        return False
    try:
        path = decoded.decode()
    except UnicodeDecodeError:
        return False
    if is_odd(path):
        return False
    found = requests_at(path, raw.decode())
    return found is not None and all(one.admin_effect is None for one in found)
