"""What may become a task: every bad input is refused, by the field's name and with a reason, and a
good one passes through byte for byte.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from oq.rules import validation
from oq.rules.limits import Limits
from oq.rules.terms import check_idempotency_key
from oq.rules.validation import check, check_batch, decode_batch, decode_submission
from oq.words.errors import InvalidBatch, InvalidTask
from oq.words.task import TaskType
from tests.support.builders import LIMITS, submission

GOOD = {"type": "generate", "model": "m", "payload": {"prompt": "hello"}}
CHAT = {"messages": [{"role": "user", "content": "hello"}]}


def accept(document: object | bytes, limits: Limits = LIMITS) -> validation.Checked:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return check(decode_submission(body), limits)


def refusal(document: object | bytes, limits: Limits = LIMITS) -> InvalidTask:
    with pytest.raises(InvalidTask) as caught:
        accept(document, limits)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400, "an error does not repeat a whole body"
    return caught.value


def raw(text: str, field: str = "payload") -> bytes:
    """A good task with this text, JSON or not, as the value of one of its fields."""
    rest = json.dumps({key: value for key, value in GOOD.items() if key != field})
    return f'{rest[:-1]}, "{field}": {text}}}'.encode()


# -- fields

BAD_FIELDS = [
    ("type", "sing", "'sing' is none of chat, generate, embed"),
    ("type", "", "none of chat"),
    ("type", 5, "Expected `str`"),
    ("type", "x" * 100_000, "none of chat"),
    ("model", "", "1 to 256 printable"),
    ("model", "m" * 257, "1 to 256 printable"),
    ("model", "m\n", "1 to 256 printable"),
    ("model", "\x00", "1 to 256 printable"),
    ("model", 5, "Expected `str`, got `int`"),
    ("model", None, "Expected `str`, got `null`"),
    ("priority", -1, "'-1' is neither low"),
    ("priority", 101, "'101' is neither low"),
    ("priority", "urgent", "'urgent' is neither low, normal, high, critical"),
    ("priority", "", "neither low"),
    ("priority", "5.0", "neither low"),
    ("priority", "\N{ARABIC-INDIC DIGIT FIVE}", "neither low"),
    ("priority", "0000000005", "neither low"),
    ("priority", 5.5, "Expected `int | str`"),
    ("priority", True, "Expected `int | str`, got `bool`"),
    ("priority", 10**400, "neither low"),
    ("max_retries", -1, "-1 is not between 0 and 1000"),
    ("max_retries", 1001, "1001 is not between 0 and 1000"),
    ("max_retries", 2**80, "is not between 0 and 1000"),
    ("max_retries", "3", "Expected `int | null`, got `str`"),
    ("timeout", 0, "more than 0"),
    ("timeout", -1, "between 0 and ten years"),
    ("timeout", "soon", "'soon' is not a duration"),
    ("timeout", "-5m", "between 0 and ten years"),
    ("timeout", 10**400, "out of range"),
    ("timeout", True, "got `bool`"),
    ("run_at", "2026-01-31T12:00:00", "no zone"),
    ("run_at", "tomorrow", "this is not a time; write 2026-01-31T12:00:00Z"),
    ("run_at", 1_700_000_000, "this is not a time; write 2026-01-31T12:00:00Z"),
    ("run_at", "9999-12-31T23:59:59-12:00", "between the years 1 and 9999"),
    ("run_at", "0001-01-01T00:00:00+12:00", "between the years 1 and 9999"),
    ("options", [1], "Expected `object`, got `array`"),
    ("options", "fast", "Expected `object`, got `str`"),
    ("metadata", 5, "Expected `object`, got `int`"),
    ("metadata", {"a": "x" * 4096}, "at most 4096 (queue.max_metadata)"),
]


@pytest.mark.parametrize(
    ("field", "value", "why"), BAD_FIELDS, ids=[f"{f}-{str(v)[:20]!r}" for f, v, _ in BAD_FIELDS]
)
def test_a_bad_field_is_named_with_the_reason(field, value, why):
    error = refusal({**GOOD, field: value})
    assert error.field == field
    assert why in error.reason


@pytest.mark.parametrize("field", ["type", "model", "payload"])
def test_a_missing_field_is_named(field):
    document = {key: value for key, value in GOOD.items() if key != field}
    assert f"there is no field `{field}`" in str(refusal(document))


BAD_PAYLOADS = [
    ("chat", {}, "payload", "there is no field `messages` (chat task)"),
    ("chat", {"messages": "hi"}, "payload.messages", "Expected `array`"),
    ("chat", {"messages": ["hi"]}, "payload.messages[0]", "Expected `object`"),
    ("chat", {"messages": [{"content": "hi"}]}, "payload.messages[0]", "no field `role`"),
    ("chat", {"messages": [{"role": 5}]}, "payload.messages[0].role", "Expected `str`"),
    ("chat", {**CHAT, "system": 5}, "payload.system", "Expected `str"),
    ("generate", {}, "payload", "there is no field `prompt` (generate task)"),
    ("generate", CHAT, "payload", "there is no field `prompt`"),
    ("generate", {"prompt": ["hi"]}, "payload.prompt", "Expected `str`"),
    ("embed", {}, "payload", "there is no field `input` (embed task)"),
    ("embed", {"input": 5}, "payload.input", "got `int`"),
    ("embed", {"input": ["a", 5]}, "payload.input[1]", "got `int`"),
    ("chat", [], "payload", "Expected `object`"),
    ("generate", "hi", "payload", "Expected `object`"),
    ("embed", None, "payload", "Expected `object`, got `null`"),
]


@pytest.mark.parametrize(("kind", "payload", "field", "why"), BAD_PAYLOADS)
def test_a_payload_of_the_wrong_shape_says_where_and_why(kind, payload, field, why):
    error = refusal({"type": kind, "model": "m", "payload": payload})
    assert error.field == field
    assert why in error.reason


# -- JSON that is none, or too much

NOT_JSON = {
    "nothing": b"",
    "half": b'{"type": "generate", "mod',
    "two": json.dumps(GOOD).encode() * 2,
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "NaN": raw('{"prompt": "x", "temperature": NaN}'),
    "Infinity": raw('{"prompt": "x", "temperature": -Infinity}'),
    "half a surrogate pair": raw(r'{"prompt": "\ud800"}'),
    "single quotes": b"{'type': 'generate'}",
    "not UTF-8 where it is read": raw("[]").replace(b"generate", b"\xff"),
    "not UTF-8 in the prompt": raw('{"prompt": "?"}').replace(b"?", b"\xff"),
    "not UTF-8 in a field of the payload that oq does not know": raw(
        '{"prompt": "x", "suffix": "?"}'
    ).replace(b"?", b"\xff"),
    "not UTF-8 in a field of the task that oq does not know": raw('"?"', "note").replace(
        b"?", b"\xff"
    ),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_called_that(body):
    assert "this is not JSON" in refusal(body).reason


@pytest.mark.parametrize("where", ["payload", "options", "metadata"])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_ten_megabytes_of_brackets_are_refused_and_do_no_harm(where, pair):
    depth = 5_000_000
    opening = pair[0] if pair == "[]" else '{"a":'
    error = refusal(raw(opening * depth + "1" + pair[1] * depth, where))
    assert "nested too deeply" in error.reason


def test_a_payload_over_the_limit_names_the_setting():
    limits = msgspec.structs.replace(LIMITS, max_payload=1024)
    error = refusal({**GOOD, "payload": {"prompt": "x" * 1024}}, limits)
    assert (error.field, "queue.max_payload" in error.reason) == ("payload", True)


@given(st.binary(max_size=40), st.integers(0, 60), st.integers(0, 10))
def test_whatever_is_spliced_into_a_body_it_is_refused_or_it_is_json(junk, where, cut):
    body = json.dumps({**GOOD, "options": {"seed": 1}}).encode()
    try:
        checked = accept(body[:where] + junk + body[where + cut :])
    except InvalidTask:
        return
    for document in (checked.body.payload, checked.body.options):
        assert isinstance(json.loads(document.decode()), dict)


# -- what passes


def test_what_is_not_said_has_its_default():
    task = accept(GOOD)
    assert (task.type, task.terms.model, task.terms.priority) == (TaskType.GENERATE, "m", 5)
    assert task.terms.max_retries == LIMITS.max_retries
    assert (task.terms.run_at, task.terms.timeout, task.terms.metadata) == (None, None, None)
    assert task.body.options == b"{}"


@pytest.mark.parametrize("field", ["options", "metadata", "max_retries", "run_at", "timeout"])
def test_null_counts_as_not_said(field):
    assert accept({**GOOD, field: None}) == accept(GOOD)


SPELLINGS = [
    '{"prompt":"x","z":1,"a":2}',
    '{ "prompt" : "x" ,\n\t"tools":[] }',
    '{"prompt":"\\u00e9\\ud83d\\ude00","é":"😀"}',
    '{"prompt":"x","prompt":"y","twice":1,"twice":2}',
    '{"prompt":"x","big":' + "9" * 4000 + ',"tiny":1e-999,"large":1.50e+308,"neg":-0.0}',
    '{"prompt":"","keep_alive":-1,"format":{"type":"object","properties":{"n":{}}}}',
]


@pytest.mark.parametrize("payload", SPELLINGS, ids=range(len(SPELLINGS)))
def test_a_payload_passes_through_byte_for_byte(payload):
    assert accept(raw(payload)).body.payload == payload.encode()


def test_options_and_metadata_pass_through_byte_for_byte():
    document = '{ "b":1, "a":[ null ], "num_ctx": 4096 }'
    assert accept(raw(document, "options")).body.options == document.encode()
    assert accept(raw(document, "metadata")).terms.metadata == document.encode()


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("chat", CHAT),
        ("chat", {"messages": []}),
        ("chat", {**CHAT, "system": "Be brief.", "tools": []}),
        ("generate", {"prompt": ""}),
        ("generate", {"prompt": "x", "raw": True, "images": ["aGk="]}),
        ("embed", {"input": "x"}),
        ("embed", {"input": ["x", ""], "truncate": False}),
    ],
)
def test_what_ollama_takes_is_taken(kind, payload):
    assert accept({"type": kind, "model": "m", "payload": payload}).type == kind


@pytest.mark.parametrize(
    ("value", "priority"),
    [(0, 0), (100, 100), ("low", 1), ("Normal", 5), ("HIGH", 10), ("critical", 15), ("42", 42)],
)
def test_a_priority_is_a_number_or_a_name(value, priority):
    assert accept({**GOOD, "priority": value}).terms.priority == priority


@pytest.mark.parametrize(("value", "seconds"), [("5m", 300), (2, 2), (0.25, 0.25), ("90", 90)])
def test_a_timeout_is_a_go_duration_or_seconds(value, seconds):
    assert accept({**GOOD, "timeout": value}).terms.timeout == seconds


def test_a_time_is_kept_in_utc_whatever_its_zone():
    run_at = accept({**GOOD, "run_at": "2026-01-31T13:00:00+01:00"}).terms.run_at
    assert (run_at, run_at.tzinfo) == (datetime(2026, 1, 31, 12, tzinfo=UTC), UTC)


@given(
    st.datetimes(timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))))
)
def test_a_time_that_is_accepted_can_be_stored(run_at):
    try:
        kept = check(submission(run_at=run_at), LIMITS).terms.run_at
    except InvalidTask:
        return
    stored = msgspec.msgpack.encode(kept)
    assert msgspec.msgpack.decode(stored, type=datetime) == run_at


# -- batches


def test_a_batch_is_an_array_or_lines():
    array = json.dumps([GOOD, {**GOOD, "model": "n"}]).encode()
    lines = b"\n".join(
        [json.dumps(GOOD).encode(), b"", b"  ", json.dumps({**GOOD, "model": "n"}).encode(), b""]
    )
    for body, ndjson in ((array, False), (lines, True)):
        tasks = check_batch(decode_batch(body, ndjson=ndjson, limits=LIMITS), LIMITS)
        assert [task.terms.model for task in tasks] == ["m", "n"]


@pytest.mark.parametrize("ndjson", [True, False])
def test_every_bad_item_is_named_by_its_index(ndjson):
    items = [GOOD, {"type": "generate"}, GOOD, {**GOOD, "model": 5}]
    body = "\n".join(map(json.dumps, items)) if ndjson else json.dumps(items)
    with pytest.raises(InvalidBatch, match="nothing was stored") as caught:
        decode_batch(body.encode(), ndjson=ndjson, limits=LIMITS)
    assert sorted(caught.value.problems) == [1, 3]
    assert "model: Expected `str`" in caught.value.problems[3]


def test_items_that_decode_are_still_checked():
    tasks = [submission(), submission(priority=1000), submission(model="")]
    with pytest.raises(InvalidBatch) as caught:
        check_batch(tasks, LIMITS)
    assert sorted(caught.value.problems) == [1, 2]


@pytest.mark.parametrize(
    ("body", "ndjson", "why"),
    [
        (b"[]", False, "no tasks"),
        (b"\n \n", True, "no tasks"),
        (json.dumps(GOOD).encode(), False, "Expected `array`"),
        (b"[1,", False, "not JSON"),
        (b'["\xff"]', False, "not UTF-8"),
        (json.dumps([GOOD] * 101).encode(), False, "at most 100 (queue.max_batch)"),
    ],
)
def test_a_batch_that_is_none_says_why(body, ndjson, why):
    with pytest.raises(InvalidTask) as caught:
        decode_batch(body, ndjson=ndjson, limits=LIMITS)
    assert why in caught.value.reason


# -- idempotency keys


@pytest.mark.parametrize("key", ["k", "a" * 255, "order 17/b", "~!@#"])
def test_an_idempotency_key_is_printable_ascii(key):
    assert check_idempotency_key(key) == key


@pytest.mark.parametrize("key", ["", "a" * 256, "é", "a\nb", "\x7f"])
def test_another_idempotency_key_is_refused(key):
    with pytest.raises(InvalidTask, match="Idempotency-Key"):
        check_idempotency_key(key)


def test_a_task_made_in_python_is_checked_like_any_other():
    bad = submission(payload=Raw(b'{"prompt": "x", "suffix": "\xff"}'))
    with pytest.raises(InvalidTask, match="not UTF-8"):
        check(bad, LIMITS)


@pytest.mark.parametrize("number", ["1e400", "-1e999", "1E+309", "1" * 5000])
@pytest.mark.parametrize("where", ["payload", "options", "metadata"])
def test_a_number_that_no_reader_could_take_is_refused_wherever_it_is(where, number):
    """The server passes documents on untouched: its own clients could not decode the listing."""
    documents = {"payload": {"prompt": "p"}, "options": {}, "metadata": {}}
    documents[where]["n"] = 0
    body = json.dumps({"type": "generate", "model": "m", **documents}).replace(": 0", f": {number}")
    with pytest.raises(InvalidTask, match="range"):
        accept(body.encode())


def test_what_only_looks_like_a_huge_number_passes():
    body = {"type": "generate", "model": "m", "payload": {"prompt": "1e400 " + "9" * 400}}
    accept(json.dumps(body).encode())
