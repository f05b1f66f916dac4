"""The small files beside the database: none of them keeps oq from working."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from oq.store import address_space, running_page
from oq.store.running_page import RunningPage
from oq.store.shutdown_note import ShutdownNote
from oq.words.errors import StoreError
from tests.support.builders import task_id


def test_where_no_page_can_be_kept_it_is_forgotten_and_that_is_said(tmp_path, capsys):
    file = tmp_path / "missing" / "in-hand"
    page = RunningPage(file)
    page.begin(2)
    assert "tasks that end oq at once are not counted" in capsys.readouterr().out
    page.add(task_id(1), 7)
    page.discard(task_id(1))
    page.close()
    assert RunningPage(file).left == ()


def test_where_the_kernel_says_no_boot_id_nothing_is_blamed_on_a_task(tmp_path, monkeypatch):
    monkeypatch.setattr(running_page, "_BOOT_ID", tmp_path / "missing")
    page = RunningPage(tmp_path / "in-hand")
    page.begin(1)
    page.add(task_id(1), 7)
    page.close()
    monkeypatch.undo()
    assert RunningPage(tmp_path / "in-hand").left == ()


def test_the_note_of_a_shutdown_is_there_until_it_is_removed(tmp_path):
    note = ShutdownNote(str(tmp_path))
    assert not note.is_there()
    note.write()
    assert note.is_there()
    assert ShutdownNote(str(tmp_path)).is_there()
    note.remove()
    note.remove()
    assert not note.is_there()


def test_a_note_needs_no_room_on_the_disk_once_there_was_some(tmp_path, monkeypatch):
    note = ShutdownNote(str(tmp_path))
    note.remove()

    def touch(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Path, "touch", touch)
    for _ in range(2):
        note.write()
        note.write()
        assert note.is_there()
        note.remove()
        assert not note.is_there()


def test_a_note_that_cannot_be_written_is_left_out(tmp_path):
    note = ShutdownNote(str(tmp_path / "missing"))
    note.write()
    assert not note.is_there()


def test_where_the_kernel_does_not_say_how_much_is_taken_the_limit_alone_counts(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(address_space, "Path", lambda _: tmp_path / "missing")
    enough = (address_space.NEEDED, address_space.NEEDED)
    monkeypatch.setattr(address_space.resource, "getrlimit", lambda _: enough)
    address_space.check_address_space()
    monkeypatch.setattr(address_space.resource, "getrlimit", lambda _: (enough[0] - 1, enough[1]))
    with pytest.raises(StoreError, match="of which 0 MB are taken"):
        address_space.check_address_space()
