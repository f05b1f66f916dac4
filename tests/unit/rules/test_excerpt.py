"""Excerpts: how what a task asks for begins."""

from __future__ import annotations

import json

import pytest

from oq.rules.excerpt import LENGTH, excerpt
from oq.words.task import TaskType


def said(kind: str, **payload: object) -> str:
    return excerpt(TaskType(kind), json.dumps(payload).encode())


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("kind", "payload", "text"),
    [
        ("generate", {"prompt": "Why is the sky blue?"}, "Why is the sky blue?"),
        ("generate", {"prompt": ""}, ""),
        ("embed", {"input": "one text"}, "one text"),
        ("embed", {"input": ["first", "second"]}, "first"),
        ("embed", {"input": []}, ""),
        ("chat", {"messages": []}, ""),
        ("chat", {"messages": [user("first"), user("last")]}, "last"),
        ("chat", {"messages": [user("mine"), {"role": "assistant", "content": "its"}]}, "mine"),
        ("chat", {"messages": [{"role": "system", "content": "Be brief."}]}, "Be brief."),
        ("chat", {"messages": [{"role": "user"}]}, ""),
        ("chat", {"messages": [user([{"type": "text", "text": "look"}, {"type": "x"}])]}, "look"),
        ("rerank", {"query": "Who?", "documents": ["a", "b"]}, "Who?"),
        ("image", {"prompt": "a cat"}, "a cat"),
        ("image", {"prompt": ["a cat", "a dog"]}, "a cat"),
        ("speech", {"input": "Good morning."}, "Good morning."),
        ("speech", {"input": [], "file": {"filename": "a.wav"}}, "a.wav"),
        ("speech", {"input": [7], "prompt": {}}, ""),
    ],
)
def test_it_is_what_a_person_asked_for(kind, payload, text):
    assert said(kind, **payload) == text


def test_it_is_one_short_line():
    assert said("generate", prompt="  two\nlines\t here ") == "two lines here"
    assert said("generate", prompt="x" * 1_000_000) == "x" * LENGTH


def test_what_it_says_is_not_touched():
    text = "<script>alert(1)</script> \u202eRTL 🧪"
    assert said("generate", prompt=text) == text


def test_a_shape_that_is_not_known_has_none():
    assert excerpt(TaskType.CHAT, b'{"messages": [{"role": "user", "content": 7}]}') == ""
    assert excerpt(TaskType.GENERATE, b'{"prompt": ["no", "text"]}') == ""


def test_bytes_that_are_no_text_are_left_out_and_no_more():
    assert excerpt(TaskType.GENERATE, b'{"prompt":"caf\xe9 noir"}') == "caf\ufffd noir"
    latin = b'{"messages":[{"role":"user","content":"caf\xe9"}]}'
    assert excerpt(TaskType.CHAT, latin) == "caf\ufffd"
