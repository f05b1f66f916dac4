"""`oq serve` of this checkout or of another, in front of a backend: what users start.

Only the command line and the settings file are used, which are the same in all commits that are
compared.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oq.cli.demo.children import Child, child

MAX_CONNECTIONS = 4096
MAX_PENDING = 10_000_000


def settings(directory: Path, backend: str, workers: int) -> dict[str, object]:
    """As `oq serve` has them by default, but for bounds that a benchmark would run into. The
    backend gets as many calls at once as there are workers, from the start.
    """
    return {
        "queue": {
            "storage_path": str(directory),
            "max_workers": workers,
            "max_completed_tasks": 0,
            "max_pending": MAX_PENDING,
        },
        "server": {"port": 0, "max_connections": MAX_CONNECTIONS},
        "logging": {"level": "warning"},
        "backends": [
            {"name": "bench", "kind": "ollama", "url": backend, "max_concurrency": workers}
        ],
    }


@contextmanager
def served(
    checkout: Path, backend: str, workers: int, directory: Path | None = None
) -> Iterator[Child]:
    """The oq of that checkout, on a free port of the loopback interface. Its tasks are in `data` in
    the directory, or in one that goes with it. It is stopped as a user would stop it.
    """
    with tempfile.TemporaryDirectory(prefix="oq-bench-") as folder:
        place = Path(folder) if directory is None else directory
        file = place / "oq.yaml"
        document = settings(place / "data", backend, workers)
        file.write_text(json.dumps(document))  # JSON is YAML
        environ = os.environ | {"PYTHONPATH": str(checkout)}
        arguments = ["-P", "-m", "oq.cli", "serve", "--config", str(file)]
        with child("oq", arguments, place, environ) as started:
            yield started
            started.stop()
