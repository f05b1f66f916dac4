"""Stores that cannot be opened, and one whose disk fails while it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

import pytest

from oq.backends.simulated import NoopBackend
from oq.client import Client
from oq.queue import open_queue
from oq.store import KeyValueLedger, open_store
from oq.store.rocks import RocksEngine
from oq.words.errors import ServerNotReached, StoreError
from oq.words.new import generate
from tests.crash.serving import Serving
from tests.crash.small_disk import small_disk


def serve(*arguments: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run `oq serve` for as long as it takes to say why it cannot."""
    command = [sys.executable, "-m", "oq.cli", "serve", "--port", "0", "--simulate", *arguments]
    return subprocess.run([*before, *command], capture_output=True, text=True, timeout=60)


def complaint(child: subprocess.CompletedProcess[str]) -> str:
    """The one line with which it ended."""
    said = [line for line in child.stderr.splitlines() if not line.startswith("oq: simulated")]
    assert child.returncode == 1
    assert len(said) == 1, child.stderr
    return said[0]


def test_a_second_server_says_which_process_has_the_directory(tmp_path):
    data = tmp_path / "data"
    with Serving(data) as first:
        first.url()
        said = complaint(serve("--data-dir", str(data)))
        assert f"in use by process {first.pid}" in said
        assert "--data-dir" in said
    with Serving(data) as after_a_kill:
        assert after_a_kill.url()


@pytest.fixture
def readonly(tmp_path):
    """A directory that nobody may write to, and what to put before a command that heeds that."""
    tmp_path.chmod(0o555)
    if os.getuid() != 0:
        yield tmp_path, []
    elif shutil.which("setpriv"):
        yield tmp_path, ["setpriv", "--bounding-set=-dac_override"]  # else root may write anywhere
    else:
        pytest.skip("root may write anywhere, and setpriv, which could forbid it, is not here")
    tmp_path.chmod(0o755)


def test_a_directory_that_cannot_be_written_to_is_one_line(readonly):
    directory, heeding = readonly
    for data in (directory, directory / "new"):
        said = complaint(serve("--data-dir", str(data), before=heeding))
        assert f"{str(data)!r} cannot be used: permission denied" in said
        assert "--data-dir" in said


class FragileEngine(RocksEngine):
    """An engine whose disk can be broken."""

    broken = False

    def sync(self, commit: int) -> None:
        if self.broken:
            raise StoreError("the store failed: IO error: Input/output error")
        super().sync(commit)


async def submit_and_break(engine: FragileEngine, acknowledged: list[str]) -> None:
    """Submit, break the disk, and submit again: nobody may hear of that one."""
    async with open_queue(backends=[NoopBackend()], ledger=KeyValueLedger(engine)) as queue:
        acknowledged += [await queue.submit(generate("m", "hello")) for _ in range(3)]
        engine.broken = True
        acknowledged.append(await queue.submit(generate("m", "too late")))


async def test_after_a_failed_sync_nothing_is_acknowledged_and_the_queue_ends(tmp_path):
    acknowledged: list[str] = []
    with pytest.raises(StoreError, match="Input/output error"):  # itself, in no group
        await submit_and_break(FragileEngine(tmp_path / "data"), acknowledged)
    assert len(acknowledged) == 3
    reopened = open_store(str(tmp_path / "data"))  # so it was closed, and let go of the directory
    assert all(reopened.state(task_id) is not None for task_id in acknowledged)
    reopened.close()


BREAKS_LATER = """
from oq.cli import main
from oq.store.rocks import RocksEngine
from oq.words.errors import StoreError

def sync(self, commit, sync=RocksEngine.sync):
    if commit > 5:
        raise StoreError("the store failed: IO error: Input/output error")
    sync(self, commit)

RocksEngine.sync = sync
main()
"""


def test_a_server_whose_disk_fails_ends_so_that_it_is_started_again(tmp_path):
    data = tmp_path / "data"
    acknowledged = []
    with Serving(data, program=("-c", BREAKS_LATER)) as server, Client(server.url()) as client:
        with suppress(ServerNotReached):
            while True:
                acknowledged.append(client.submit(generate("m", "hello")))
        assert server.exit_code() == 1
        assert "Input/output error" in server.said().splitlines()[-1]
    assert acknowledged
    with Serving(data) as server, Client(server.url()) as client:
        assert all(client.get(task_id, wait=60).status.ended for task_id in acknowledged)


@pytest.mark.parametrize("why", ["Input/output error", "No space left on device"])
async def test_a_sync_that_failed_is_not_tried_again(tmp_path, monkeypatch, why):
    """The kernel may have dropped what it could not write: a second one would succeed, and lie. So
    a full disk is one more reason here, and not one to wait for.
    """
    engine = RocksEngine(tmp_path / "data")
    engine.write([("meta", b"a", b"1")])
    tries = []

    class Broken:
        def flush_wal(self, sync: bool) -> None:
            tries.append(sync)
            if len(tries) == 1:
                raise Exception(f"IO error: While fsync: {why}")  # noqa: TRY002

        def close(self) -> None:
            database.close()

    database = engine._db
    monkeypatch.setattr(engine, "_db", Broken())
    for _ in range(2):
        with pytest.raises(StoreError, match="did not keep what was written") as failed:
            engine.sync(1)
        assert type(failed.value) is StoreError
    assert (tries, engine.mark()) == ([True], 0)
    engine.close()


def test_the_way_to_a_new_store_is_on_disk_before_anything_is_acknowledged(tmp_path, monkeypatch):
    """RocksDB syncs the names in its own directory only: a power cut could take the rest away."""
    synced = set()
    fsync = os.fsync

    def watched(file: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{file}"))
        fsync(file)

    monkeypatch.setattr(os, "fsync", watched)
    open_store(str(tmp_path / "new" / "data")).close()
    assert synced == {str(tmp_path), str(tmp_path / "new"), str(tmp_path / "new" / "data")}


@pytest.mark.parametrize("megabytes", [100, 300, 500])
def test_too_little_address_space_is_one_line(megabytes, tmp_path):
    """RocksDB would end the process, with words about active exceptions."""
    script = (
        "import resource, sys; from oq.store import open_store;"
        "import oq.queue; limit = int(sys.argv[2]) << 20;"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); open_store(sys.argv[1])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data"), str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"StoreError: the address space of this process is limited to {megabytes} MB" in (
        done.stderr
    )


def test_a_file_system_that_cannot_be_written_to_is_called_so(tmp_path):
    """Whoever is told of permissions looks for them, as where a container has a volume for reading
    only.
    """
    with small_disk(tmp_path / "disk") as disk:
        data = str(disk.path / "data")
        open_store(data).close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk.path)], check=True)
        with pytest.raises(StoreError, match="cannot be used: read-only file system"):
            open_store(data)
