"""What RocksDB says, in words that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from oq.store.errors import translate
from oq.words.errors import StoreCorrupt, StoreError, StoreFull

APPENDING = "IO error: While appending to file: /data/rocks/000004.log: "


def test_a_full_disk_is_waited_for_and_a_quota_is_not():
    full = translate(Exception(f"{APPENDING}No space left on device"), Path("/data"))
    assert type(full) is StoreFull
    quota = translate(Exception(f"{APPENDING}Disk quota exceeded"), Path("/data"))
    assert type(quota) is StoreError, "RocksDB writes nothing more until it is opened anew"
    assert "quota" in str(quota)
    assert "start oq again" in str(quota)
    unwritten = translate(Exception(f"{APPENDING}Input/output error"), Path("/data"))
    assert type(unwritten) is StoreError


@pytest.mark.parametrize(
    "text",
    [
        "Corruption: block checksum mismatch",
        "Column families missing",
        "IO error: While pread offset 11510 len 504: /data/rocks/000009.sst: Input/output error",
    ],
)
def test_what_cannot_be_read_is_damaged(text):
    assert type(translate(Exception(text), Path("/data"))) is StoreCorrupt
    assert "oq salvage" in str(translate(Exception(text), Path("/data")))
