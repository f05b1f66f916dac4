"""Nobody but its owner reads what oq keeps on disk."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from oq.store import open_store, permissions, rocks
from oq.store.permissions import check_is_ours, close_to_others
from oq.store.salvage import salvage
from oq.words.errors import StoreError
from tests.support.builders import new


@pytest.fixture(params=[0o022, 0o000, 0o277], ids="umask {:03o}".format)
def umask(request):
    """Those of most systems, of some containers, and one under which the owner may not write."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def fill(data: Path, tasks: int = 50) -> None:
    store = open_store(str(data))
    for number in range(store.facts.commit, store.facts.commit + tasks):
        store.write([new(number + 1, prompt="secret" * 200)], 0)
        store.sync()
    store.close()


def open_to_others(path: Path) -> list[str]:
    """What others than the owner may do anything with."""
    return [
        f"{file} {stat.S_IMODE(file.stat().st_mode):o}"
        for file in (path, *path.rglob("*"))
        if file.stat().st_mode & 0o077
    ]


@pytest.mark.usefixtures("umask")
def test_a_new_store_is_for_its_owner_only(tmp_path, monkeypatch):
    monkeypatch.setattr(rocks, "WRITE_BUFFER", 64 << 10)  # so that files are made while it is open
    data = tmp_path / "data"
    fill(data, 200)
    fill(data, 10)
    assert list(data.glob("rocks/*.sst"))
    assert open_to_others(data) == []


def test_it_is_so_while_it_is_open_too(tmp_path):
    before = os.umask(0o022)
    try:
        store = open_store(str(tmp_path / "data"))
        assert (tmp_path / "data" / "holder").exists()
        assert open_to_others(tmp_path / "data") == []
        store.close()
    finally:
        os.umask(before)


def test_what_a_salvage_makes_is_for_the_owner_only(tmp_path):
    before = os.umask(0o022)
    try:
        data = tmp_path / "data"
        fill(data)
        salvage(str(data))
        assert open_to_others(data) == []
    finally:
        os.umask(before)


def make_old(data: Path) -> None:
    """A store as an older oq has left it: open to everybody."""
    fill(data)
    for file in (data, *data.rglob("*")):
        with_acl = "system.posix_acl_default"
        if file.is_dir() and with_acl in os.listxattr(file):
            os.removexattr(file, with_acl)
        file.chmod(0o755 if file.is_dir() else 0o644)


def test_an_existing_directory_is_closed_and_that_is_said(tmp_path, capsys):
    data = tmp_path / "data"
    make_old(data)
    fill(data)
    assert open_to_others(data) == []
    assert "was open to other users; it is closed to them now" in capsys.readouterr().out
    fill(data)
    assert "open to other users" not in capsys.readouterr().out


def test_a_directory_of_another_user_that_is_open_is_used_and_that_is_said(
    tmp_path, monkeypatch, capsys
):
    tmp_path.chmod(0o755)
    monkeypatch.setattr(permissions.os, "geteuid", lambda: os.getuid() + 1)
    check_is_ours(tmp_path)
    assert "belongs to another user than this one" in capsys.readouterr().out


def test_a_directory_that_is_given_by_a_link_is_closed_as_well(tmp_path):
    data, link = tmp_path / "data", tmp_path / "link"
    fill(data)
    data.chmod(0o777)
    link.symlink_to(data)
    fill(link)
    assert open_to_others(data) == []


def test_a_salvage_closes_an_existing_directory_too(tmp_path):
    data = tmp_path / "data"
    make_old(data)
    salvage(str(data))
    assert open_to_others(data) == []


def test_a_directory_that_is_not_oqs_is_not_closed_but_refused(tmp_path):
    for mode, name in ((0o755, "notes.txt"), (0o1777, None)):
        shared = tmp_path / f"{mode:o}"
        shared.mkdir()
        shared.chmod(mode)
        if name:
            (shared / name).write_text("not oq's")
        with pytest.raises(StoreError, match=f"chmod 700 {shared}"):
            open_store(str(shared))
        assert stat.S_IMODE(shared.stat().st_mode) == mode
        assert [file.name for file in shared.iterdir()] == ([name] if name else [])


def test_other_files_in_a_directory_that_is_closed_already_stay_as_they_are(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o700)
    notes = shared / "notes.txt"
    notes.write_text("its owner's")
    notes.chmod(0o644)
    fill(shared)
    assert stat.S_IMODE(notes.stat().st_mode) == 0o644


def test_links_in_the_directory_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("somebody else's")
    outside.chmod(0o644)
    data = tmp_path / "data"
    fill(data)
    for link in (data / "holder", data / "rocks" / "link", data / "elsewhere"):
        link.symlink_to(outside)
    close_to_others(data)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files that are not its own")
def test_what_root_salvages_belongs_to_the_owner_of_the_directory(tmp_path):
    data = tmp_path / "data"
    fill(data)
    for file in (data, *data.rglob("*")):
        shutil.chown(file, 12345, 12345)
    salvage(str(data))
    assert {file.stat().st_uid for file in (data, *data.rglob("*"))} == {12345}


def test_without_acls_the_directory_keeps_others_out(tmp_path, monkeypatch):
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", unsupported)
    before = os.umask(0o022)
    try:
        fill(tmp_path / "data")
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "data" / "rocks").stat().st_mode) == 0o700
    finally:
        os.umask(before)
