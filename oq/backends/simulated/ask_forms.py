"""Requests that come as forms with files: audio to write down, images to change.

https://platform.openai.com/docs/api-reference/audio, https://www.rfc-editor.org/rfc/rfc7578
"""

from __future__ import annotations

import re

import msgspec

from oq.backends.simulated.ask import Ask, script_of
from oq.backends.simulated.reading import Refused
from oq.words.from_json import NOT_READ
from oq.words.task import TaskType

_NAME = re.compile(rb'\bname="([^"]*)"', re.IGNORECASE)
_FILE = re.compile(rb'\bfilename="([^"]*)"', re.IGNORECASE)


def ask_transcription(kind: TaskType, body: bytes) -> Ask:
    """What a form sent to /v1/audio/transcriptions or /translations asks; Refused as by Ollama."""
    fields, files = read_form(body)
    if "file" not in files:
        raise Refused(400, "file is required: http: no such file")
    name, data = files["file"]
    if not data:
        raise Refused(400, "audio file is empty")
    return _ask(kind, fields, f"{name} has {len(data)} bytes")


def ask_edit(kind: TaskType, body: bytes) -> Ask:
    """What a form sent to /v1/images/edits asks; Refused if it is wrong."""
    fields, files = read_form(body)
    if not any(name.startswith("image") for name in files):
        raise Refused(400, "image is required")
    return _ask(kind, fields, fields.get("prompt", ""))


def read_form(body: bytes) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
    """Its fields, and its files with their names; Refused if it is no multipart form.

    The boundary is the first line: a form begins with it.
    """
    boundary, found, rest = body.partition(b"\r\n")
    if not found or not boundary.startswith(b"--"):
        raise Refused(400, "failed to parse multipart form: no multipart boundary param")
    parts = (b"\r\n" + rest).split(b"\r\n" + boundary)
    if not parts[-1].startswith(b"--"):
        raise Refused(400, "failed to parse multipart form: multipart: NextPart: EOF")
    fields: dict[str, str] = {}
    files: dict[str, tuple[str, bytes]] = {}
    for part in parts[:-1]:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name, file = _NAME.search(head), _FILE.search(head)
        if name is None:
            continue
        key = name[1].decode("utf-8", "replace")
        if file is None:
            fields[key] = data.decode("utf-8", "replace")
        else:
            files[key] = file[1].decode("utf-8", "replace"), data
    return fields, files


def _ask(kind: TaskType, fields: dict[str, str], prompt: str) -> Ask:
    if not fields.get("model"):
        raise Refused(400, "model is required")
    return Ask(
        kind=kind,
        model=fields["model"],
        prompts=(prompt,),
        prompt_tokens=len(prompt.split()),
        stream=fields.get("stream") in ("true", "1", "True"),
        request=dict(fields),
        script=script_of(_scripted(fields.get("simulate"))),
    )


def _scripted(text: str | None) -> object:
    try:
        return None if text is None else msgspec.json.decode(text)
    except NOT_READ as error:
        raise Refused(400, f"simulate: {error}") from None
