"""What a request may hold is bounded in values, not only in bytes."""

from __future__ import annotations

import json

import pytest

from oq.rules.excerpt import excerpt
from oq.rules.json_size import count_values, without_strings
from oq.rules.validation import check, check_call, decode_batch, decode_submission
from oq.words.errors import InvalidTask
from oq.words.task import Body, TaskType
from tests.support.builders import LIMITS

MANY = "[" + "[]," * 2000 + "[]]"
FEW = LIMITS.__class__(
    max_payload=1 << 20, max_metadata=4096, max_batch=3, max_retries=3, max_values=1000
)
TOO_MANY = r"more than 1000 JSON values \(queue\.max_values\)"


def task(**fields: str) -> bytes:
    given = {"type": '"generate"', "model": '"m"', "payload": '{"prompt":"x"}', **fields}
    return ("{" + ",".join(f'"{key}":{value}' for key, value in given.items()) + "}").encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("payload", f'{{"prompt":"x","a":{MANY}}}'), ("options", f'{{"a":{MANY}}}')],
)
def test_a_task_with_too_many_values_is_refused(field, value):
    with pytest.raises(InvalidTask, match=f"^{field}: .*{TOO_MANY}"):
        check(decode_submission(task(**{field: value})), FEW)


def test_a_call_with_too_many_values_is_refused():
    asked = {
        "kind": TaskType.CHAT,
        "model": "m",
        "priority": 5,
        "timeout": None,
        "metadata": b"{}",
        "limits": FEW,
    }
    many, text = f'{{"model":"m","a":{MANY}}}'.encode(), b'{"model":"m"}'
    with pytest.raises(InvalidTask, match=TOO_MANY):
        check_call(Body(many, call="/api/chat"), document=many, **asked)
    for body, document in [
        (text, json.dumps({"model": "m", "prompt": MANY}).encode()),
        (many, text),  # a form, in which a file has such bytes
    ]:
        made = check_call(Body(body, call="/api/generate"), document=document, **asked)
        assert made.body.payload == body


def test_a_batch_may_have_so_many_for_each_of_its_tasks():
    few = task(payload=f'{{"prompt":"x","a":{MANY[:601]}0]}}')
    assert len(decode_batch(b"[" + b",".join([few] * 3) + b"]", ndjson=False, limits=FEW)) == 3
    with pytest.raises(InvalidTask, match=TOO_MANY):
        decode_batch(MANY.replace("[]", "[[]]").encode(), ndjson=False, limits=FEW)


def test_what_has_many_values_is_listed_without_an_excerpt():
    many = ("[" + "{}," * 200_000 + "{}]").encode()
    assert excerpt(TaskType.CHAT, b'{"messages":%b}' % many) == ""
    assert excerpt(TaskType.GENERATE, b'{"prompt":"a [ b","x":[1]}') == "a [ b"


@pytest.mark.parametrize(
    "unit", [b'"",', b'",""', b'"\\"[,",', b"[1,", b'"', b"\\", b'"a\\', b'"\\\\",'], ids=repr
)
@pytest.mark.parametrize("times", [1, 3, 19_999, 20_000, 20_001, 70_000])
def test_a_long_text_is_counted_as_a_whole(unit, times):
    text = unit * times
    expected = sum(without_strings(text).count(mark) for mark in (b",", b"[", b"{"))
    whole = sum(text.count(mark) for mark in (b",", b"[", b"{"))
    assert count_values(text, unless_over=-1) == expected
    assert (count_values(text, -1, 100) > 100) is (expected > 100)
    assert count_values(text, unless_over=whole) == whole
