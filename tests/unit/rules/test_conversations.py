"""Which conversation a task is a part of, and which backend served that last."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from oq.rules.conversations import (
    BYTES,
    HEADERS,
    Conversations,
    conversation_in,
    conversation_of,
)
from oq.rules.place import Place, place_of
from oq.rules.slots import BackendSlots
from oq.words.outcome import Failed
from tests.support.builders import finish, new, start


def user(content: object, **more: object) -> dict[str, object]:
    return {"role": "user", "content": content, **more}


def of(**document: object) -> int:
    return conversation_in(json.dumps(document).encode())


HELLO = [user("hello")]


def test_the_turns_of_a_conversation_are_of_one():
    more = [*HELLO, {"role": "assistant", "content": "hi"}, user("and now?")]
    assert of(model="m", messages=HELLO) == of(messages=more, stream=True) != 0
    assert of(messages=[user("hello!")]) != of(messages=HELLO)
    assert of(input="hello") == of(input="hello", stream=True) != 0
    assert of(input=HELLO, instructions="x") == of(input=more, instructions="x") != 0


@pytest.mark.parametrize("where", ["system", "instructions", "message"])
def test_what_the_model_is_told_before_counts(where):
    def told(text: str) -> int:
        if where == "message":
            return of(messages=[{"role": "system", "content": text}, *HELLO])
        return of(messages=HELLO, **{where: text})

    assert told("be brief") == told("be brief") != 0
    assert len({told("be brief"), told("be kind"), of(messages=HELLO)}) == 3


def test_only_the_texts_of_parts_count():
    marked = [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}]
    plain = [{"type": "text", "text": "hello"}]
    assert of(messages=[user(marked)], system=marked) == of(messages=[user(plain)], system=plain)


def test_a_name_counts_more_than_messages_and_the_first_header_most():
    document = json.dumps({"messages": HELLO, "prompt_cache_key": "k"}).encode()
    assert conversation_in(document) == of(prompt_cache_key="k") not in (0, of(messages=HELLO))
    named = {header: conversation_of([(header, b"s")], document) for header in HEADERS}
    assert {*named.values()} == {conversation_of([(b"x-oq-session", b" s ")], b"")}
    both = [(b"session-id", b"other"), (b"x-oq-session", b"s"), (b"x-oq-session", b"t")]
    assert conversation_of(both, document) == named[b"x-oq-session"]
    assert conversation_of([(b"session-id", b" ")], document) == conversation_in(document)


@pytest.mark.parametrize(
    "document",
    [
        b"", b"{}", b"[]", b"\xff", b'{"messages": 7}', b'{"messages": [7]}', b'{"messages": []}',
        b'{"messages": [{"role": "system", "content": "x"}]}', b'{"prompt": "hello"}',
        b'{"prompt_cache_key": 7}', b'{"prompt_cache_key": ""}', b'{"input": ""}',
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": ' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_of_none(document):
    assert conversation_in(document) == 0


ODD = [7, True, {"a": 1}, [7], [[]], None, "x"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("member", ["messages", "input", "system", "instructions", "tools"])
def test_a_name_counts_whatever_the_shape_of_the_other_members(member, odd):
    assert of(prompt_cache_key="k", **{member: odd}) == of(prompt_cache_key="k")
    assert of(**{member: odd}, prompt_cache_key="k") == of(prompt_cache_key="k")


@pytest.mark.parametrize("odd", [7, {"a": 1}, [7], None])
def test_messages_count_whatever_the_shape_of_the_other_members(odd):
    for member in ("prompt_cache_key", "input", "stream"):
        assert of(messages=HELLO, **{member: odd}) == of(messages=HELLO)
    for member in ("system", "instructions"):
        assert of(messages=HELLO, **{member: odd}) == of(messages=HELLO, **{member: ""})
    assert of(messages=[*HELLO, odd]) == of(messages=HELLO)
    assert of(messages=[7, *HELLO]) == 0, "it may be what the user said first"


def test_nothing_of_a_text_is_kept_but_a_few_bytes():
    assert 0 < of(messages=[user("x" * 100_000)]) < 1 << 8 * BYTES


def test_a_retry_is_of_the_same_and_so_is_what_its_time_has_come_of():
    state = new().state
    state = replace(state, terms=replace(state.terms, conversation=7))
    assert place_of(state).conversation == 7
    retry = finish(start(state).state, Failed("503 from the backend", retryable=True)).state
    place = place_of(retry)
    assert (place.retrying, place.conversation) == (True, 7)
    assert place.when_due() == place_of(state)


def test_so_many_conversations_are_remembered_those_served_last():
    one, two = BackendSlots("one", 4), BackendSlots("two", 4)
    places = [Place(5, "m", conversation=n) for n in (1, 2, 3)]
    served = Conversations(2)
    served.started(places[0], one)
    served.started(places[1], two)
    served.started(places[0], two)
    served.started(places[2], one)
    assert [served.last(place) for place in places] == [two, None, one]
    assert served.last(Place(5, "other", conversation=1)) is None
    assert len(served) == 2
    nothing = Conversations(0)
    nothing.started(places[0], one)
    assert nothing.last(places[0]) is None


def test_half_a_character_makes_no_conversation():
    assert conversation_in(b'{"prompt_cache_key": "\\ud83d"}') == 0
    assert conversation_in(b'{"messages": [{"role": "user", "content": "\\ud83d"}]}') == 0


def test_a_backend_that_failed_a_conversation_is_not_where_it_was_served_last():
    one, other = BackendSlots("one", 1), BackendSlots("other", 1)
    place, known = Place(5, "m", conversation=7), Conversations(9)
    known.started(place, one)
    known.failed(place, other)
    assert known.last(place) is one, "it has gone on elsewhere"
    known.failed(place, one)
    assert known.last(place) is None
    known.failed(place, one)
    assert len(known) == 0
