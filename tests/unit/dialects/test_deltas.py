"""Objects and lists that grow while an answer streams: what is odd is left out."""

from __future__ import annotations

import msgspec
import pytest

from oq.dialects.deltas import MAX_ITEMS, GrowingList, GrowingObject


def test_no_more_items_are_told_apart_than_there_is_room_for():
    grown = GrowingList(3)
    grown.add([{"index": number, "text": "a"} for number in range(MAX_ITEMS + 2)])
    grown.add([{"index": 0, "text": "b"}])
    whole = msgspec.json.decode(msgspec.json.encode(grown.whole()))
    assert len(whole) == MAX_ITEMS
    assert whole[0]["text"] == "ab"


@pytest.mark.parametrize("before", [{"a": 1}, [{"a": 1}]])
def test_a_text_where_an_object_or_a_list_has_begun_is_left_out(before):
    grown = GrowingObject(3)
    grown.add({"field": before})
    grown.add({"field": "a text"})
    assert msgspec.json.decode(msgspec.json.encode(grown.whole()))["field"] == before
