"""The job that all peers run: it notes that it ran. With it goes a chat, as oq's tasks have one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROMPT_BYTES = 400
TASK = {
    "type": "chat",
    "model": "m",
    "payload": {"messages": [{"role": "user", "content": "x" * PROMPT_BYTES}]},
}
BIN = Path(sys.executable).parent
"""Where the peers' own commands are."""


def address() -> str:
    """Where this round's server, or database, is."""
    return os.environ["PEER_URL"]
