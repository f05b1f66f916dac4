"""What RocksDB says, in words that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from oq.store.errors import translate
from oq.words.errors import StoreError, StoreFull

APPENDING = "IO error: While appending to file: /data/rocks/000004.log: "


def test_a_full_disk_is_waited_for_and_a_quota_is_not():
    full = translate(Exception(f"{APPENDING}No space left on device"), Path("/data"))
    assert type(full) is StoreFull
    quota = translate(Exception(f"{APPENDING}Disk quota exceeded"), Path("/data"))
    assert type(quota) is StoreError, "RocksDB writes nothing more until it is opened anew"
    assert "quota" in str(quota)
    assert "start oq again" in str(quota)


@pytest.mark.parametrize("text", ["Corruption: block checksum mismatch", "Column families missing"])
def test_what_is_damaged_is_not_opened(text):
    assert "oq salvage" in str(translate(Exception(text), Path("/data")))
