"""Write batches as they stand in a log, whole and damaged."""

from __future__ import annotations

import pytest

from oq.store.batches import DELETE, HEAD, PUT, commit_of, operations

WHOLE = bytes(HEAD) + bytes([PUT, 1, 1]) + b"k" + bytes([1]) + b"v" + bytes([DELETE, 2, 1]) + b"d"
BOTH = [(1, b"k", b"v"), (2, b"d", None)]


def test_a_batch_is_read_operation_by_operation():
    assert list(operations(WHOLE)) == BOTH


@pytest.mark.parametrize(
    ("behind", "why"),
    [
        (b"\xfe\x01\x01k", "a tag that there is not"),
        (bytes([PUT, 1, 9]) + b"short", "a key that is cut off"),
        (bytes([PUT, 1, 1]) + b"k", "no value"),
        (bytes([PUT]), "no family"),
        (bytes([PUT]) + b"\xff" * 20, "a number that does not end"),
    ],
)
def test_what_cannot_be_read_ends_it(behind, why):
    assert list(operations(WHOLE + behind)) == BOTH, why


@pytest.mark.parametrize("record", [b"\x04meta", b"\x04meta\x05abc", b"\x04meta\x01\xc1", b""])
def test_a_batch_without_a_record_of_the_store_that_can_be_read_has_no_number(record):
    assert commit_of(WHOLE + record) is None
