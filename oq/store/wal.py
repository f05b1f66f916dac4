"""What is looked at before a database is opened, because to open it is to change it.

RocksDB then takes over what is in the log and deletes that, deletes table files of which its
manifest does not tell, and makes an empty database where the file CURRENT is missing. So one that
oq refuses is read first, without a byte being changed, and is still all there for `oq salvage`.

A torn tail is not damage. A power cut may leave more than a last record that is short: the file has
its new length, but a sector of it holds zeroes, or what was there before. RocksDB takes the one for
a torn tail, and calls the other corruption. But the writer syncs each batch before it writes the
next, so at most the last one was not synced. What cannot be read, with nothing behind it that can,
and behind all that is known to have been acknowledged, has therefore taken nothing that was
promised.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog
from rocksdict import AccessType, DBRecoveryMode, Options, Rdict

from oq.rules.keys import FAMILIES, META_KEY, Meta
from oq.store.directory import DATABASE, read_mark
from oq.store.logfile import find_endless
from oq.store.refusals import behind_mark, damaged, translate

log = structlog.get_logger("oq.store")
OptionsFor = Callable[[DBRecoveryMode], Options]

STRICT = DBRecoveryMode.tolerate_corrupted_tail_records()
UP_TO_DAMAGE = DBRecoveryMode.point_in_time()
PAST_DAMAGE = DBRecoveryMode.skip_any_corrupted_record()


def look(path: Path, options_for: OptionsFor) -> DBRecoveryMode:
    """How the database in this data directory is to be opened. StoreCorrupt when it is not."""
    database, mark = path / DATABASE, read_mark(path)
    if not (database / "CURRENT").exists():
        if any(file.suffix in (".sst", ".log") for file in database.glob("*.*")):
            raise damaged(path, "the file CURRENT is missing")
        return STRICT
    for file, offset in find_endless(database):
        raise damaged(path, f"byte {offset} of {file.name} is wrong")
    try:
        commit = _last_commit(database, options_for(STRICT))
    except Exception as error:
        text = str(error)
        if "Corruption" in text and _only_torn(database, options_for, mark):
            log.warning("dropped a batch that was torn before it was synced", reason=text)
            return UP_TO_DAMAGE
        if "olumn famil" in text and mark == 0:
            return STRICT  # the process ended while it made the database
        raise translate(error, path) from None
    if commit < mark:
        raise behind_mark(commit, mark)
    return STRICT


def _only_torn(database: Path, options_for: OptionsFor, mark: int) -> bool:
    """Whether the batches before the damage are all that there are, and were acknowledged."""
    try:
        before = _last_commit(database, options_for(UP_TO_DAMAGE))
        in_all = _last_commit(database, options_for(PAST_DAMAGE))
    except Exception:  # damage of another kind: what RocksDB said of that first is what matters
        return False
    return before == in_all and before >= mark


def _last_commit(database: Path, options: Options) -> int:
    """The number of the last batch that can be read in that way."""
    readonly = AccessType.read_only()
    families = dict.fromkeys(FAMILIES, options)
    rows = Rdict(str(database), options, column_families=families, access_type=readonly)
    try:
        value = rows.get_column_family("meta").get(META_KEY)
    finally:
        rows.close()
    return 0 if value is None else msgspec.msgpack.decode(value, type=Meta).commit
