"""Which requests a script refuses, and with what. Pure."""

from __future__ import annotations

import base64

from oq.backends.simulated.reading import Refused, first_value
from oq.backends.simulated.script import Script


def check_refusal(script: Script, body: bytes) -> None:
    """Refused if the script has a status for a request with this body. One that has a body or
    frames of its own refuses nothing: these are its answer.
    """
    if script.status in (None, 200) or is_raw(script) or not _is_meant(script, body):
        return
    assert script.status is not None
    raise Refused(script.status, script.error, script.retry_after, script.error_fields)


def is_raw(script: Script) -> bool:
    """Whether the script has the bytes of the answer."""
    return script.body is not None or script.frames is not None


def raw_bytes(text: str, script: Script) -> bytes:
    """The bytes that a part of such an answer stands for."""
    return base64.b64decode(text) if script.base64 else text.encode("utf-8", "surrogatepass")


def _is_meant(script: Script, body: bytes) -> bool:
    if not script.refuses:
        return True
    fields = first_value(body)
    return isinstance(fields, dict) and any(
        fields.get(name) not in (None, False) for name in script.refuses
    )
