"""Streams of images, sound and what was heard, folded into the answers of the same calls."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from oq.dialects.openai_media_fold import MediaFold
from oq.words.errors import BackendFailure
from oq.words.task import Usage


def folded(*events: Any) -> Any:
    fold = MediaFold()
    for event in events:
        data = json.dumps(event).encode()
        fold.add(data, b"data: " + data + b"\n\n")
    return fold.completed()


def choice(content: str | None, reason: str | None = None) -> Any:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}]}


def test_what_was_heard_may_come_as_a_chat():
    """As servers stream it that have no other form, vLLM for one."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    answer = folded(choice("Pa"), choice("ris"), choice(None, "stop"), usage)
    assert json.loads(answer.result)["text"] == "Paris"
    assert answer.usage == Usage(3, 2)


def test_a_chat_that_does_not_end_is_no_answer():
    with pytest.raises(BackendFailure, match="ended before"):
        folded(choice("Pa"))


@pytest.mark.parametrize("odd", ["c29", "\u00e9"])
def test_sound_that_cannot_be_read_is_left_out(odd):
    sound = [{"type": "speech.audio.delta", "audio": bit} for bit in ("c28=", odd, "dW5k")]
    answer = json.loads(folded(*sound, {"type": "speech.audio.done"}).result)
    assert base64.b64decode(answer["audio"]) == b"sound"
