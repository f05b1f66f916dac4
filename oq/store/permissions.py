"""Makes a data directory readable by its owner only.

RocksDB makes its files from threads of its own and at any time, readable as the umask says. A
default ACL on a directory overrules the umask for new files in that directory alone. The umask
belongs to the whole process, and oq is a library too.
"""

from __future__ import annotations

import os
import stat
import struct
from contextlib import suppress
from pathlib import Path

import structlog

from oq.words.errors import StoreError

log = structlog.get_logger("oq.store")

OTHERS = 0o077
OURS = (
    "rocks", "high-water", "in-hand", "holder", "ended-by-oq", "salvage-", "before-salvage-",
)  # fmt: skip
"""How the names of oq's own files and directories in a data directory begin."""
_ACL = "system.posix_acl_default"
_OWNER, _GROUP, _OTHER, _NOBODY = 0x01, 0x04, 0x20, 0xFFFFFFFF
_OWNER_ONLY = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", who, may, _NOBODY) for who, may in ((_OWNER, 7), (_GROUP, 0), (_OTHER, 0))
)
"""Version 2 of the kernel's format (`include/uapi/linux/posix_acl_xattr.h`): who, what, and an id
that these three do not have.
"""


def close_to_others(directory: Path) -> None:
    """Take everybody's rights but the owner's from the data directory, from all in it that is oq's,
    and from what will be made in it. It may be given by a link; what is in it may not.
    """
    directory = directory.resolve()
    _close(directory)
    for entry in list(directory.iterdir()):
        if entry.name.startswith(OURS):
            _close(entry)
            for root, directories, files in os.walk(entry):
                for name in (*directories, *files):
                    _close(Path(root, name))


def check_is_ours(directory: Path) -> None:
    """StoreError when others can read in this directory and to change that is not for oq: it holds
    files of somebody else, or is meant for all. A warning when only its owner could change it.
    """
    found = directory.stat()
    if not found.st_mode & OTHERS:
        return
    why = ""
    if found.st_mode & stat.S_ISVTX:
        why = "it is a directory for all users"
    elif any(directory.iterdir()) and not _is_data_directory(directory):
        why = "it is open to other users, and has files in it that are not oq's"
    if why:
        raise StoreError(
            f"the data directory {str(directory)!r} cannot be used: {why}; run"
            f" `chmod 700 {directory}` if it is for oq alone,"
            " or choose another with --data-dir or queue.storage_path"
        )
    if os.geteuid() not in (0, found.st_uid):
        log.warning(
            "the data directory is open to other users, and belongs to another user than this one;"
            " what is in it is closed to them",
            path=str(directory),
        )
    else:
        log.warning(
            "the data directory was open to other users; it is closed to them now",
            path=str(directory), mode=f"{stat.S_IMODE(found.st_mode):o}",
        )  # fmt: skip


def belongs_as(path: Path, like: Path) -> None:
    """Give what root has made to the owner of `like`, who is to use it."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
        for root, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.chown(Path(root, name), owner.st_uid, owner.st_gid, follow_symlinks=False)


def _is_data_directory(directory: Path) -> bool:
    names = {file.name for file in directory.iterdir()} - {"lost+found"}
    return not names or "rocks" in names


def _close(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):  # gone meanwhile, or somebody else's
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return
        if mode & OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
        if stat.S_ISDIR(mode):
            with suppress(OSError):  # a file system without ACLs: what is inside is closed anyway
                os.setxattr(path, _ACL, _OWNER_ONLY)
