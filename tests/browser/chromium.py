"""The browser that the machine has, and how it is started."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",  # which needs rights that a container does not give
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Names of other sites that lead to this machine, as in an attack by DNS rebinding.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    # The browser's own guard of this machine, which not every browser has: ours is to be seen.
    "--disable-features=LocalNetworkAccessChecks",
]


def find_chromium() -> str | None:
    """The path of a Chromium: what $CHROMIUM says, or the first that there is."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
