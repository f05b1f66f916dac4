"""A daemon to measure: `oq serve` in a process of its own, with a backend that does nothing.

`daemon` starts one; `python -m bench.daemon DIRECTORY` is the program that it starts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oq.backends.simulated import NoopBackend
from oq.cli.demo.children import Child, child
from oq.http.serve import run
from oq.words.config import Config, to_config

WORKERS = 64
MAX_PENDING = 10_000_000
"""More than any scenario submits: what is measured is the queue, not its refusals."""


@contextmanager
def daemon(
    directory: Path | None = None,
    *,
    ollama: str | None = None,
    workers: int = WORKERS,
    profile: Path | None = None,
) -> Iterator[Child]:
    """A daemon on a free port of the loopback interface, over a data directory of its own or over
    this one. Its backend answers at once, unless `ollama` says where one listens. It is stopped as
    a user would stop it, so that what it reports of itself is whole: with `profile` that is what
    cProfile saw, in that file.
    """
    with tempfile.TemporaryDirectory(prefix="oq-bench-") as folder:
        data = Path(folder) / "data" if directory is None else directory
        arguments = ["-m", "bench.daemon", str(data), "--workers", str(workers)]
        if ollama is not None:
            arguments += ["--ollama", ollama]
        if profile is not None:
            arguments += ["--profile", str(profile)]
        with child("daemon", arguments, Path(folder), os.environ) as started:
            yield started
            started.stop()


def settings(directory: str, workers: int, ollama: str | None) -> Config:
    """As `oq serve` has them by default, but for what would end a long run early."""
    return to_config(
        {
            "queue": {
                "storage_path": directory,
                "max_workers": workers,
                "max_completed_tasks": 0,
                "max_pending": MAX_PENDING,
            },
            "server": {"port": 0},
            **({} if ollama is None else {"ollama": {"host": ollama}}),
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.daemon", description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--ollama", help="where an Ollama listens; without it, nothing is run")
    parser.add_argument("--profile", help="the file for what cProfile sees")
    options = parser.parse_args()
    config = settings(options.directory, options.workers, options.ollama)
    backends = [NoopBackend()] if options.ollama is None else None

    def serve() -> None:
        run(
            config,
            announce=lambda url: print(f"oq listens at {url}", flush=True),
            backends=backends,
        )

    if options.profile is None:
        serve()
    else:
        import cProfile

        watcher = cProfile.Profile()
        watcher.runcall(serve)
        watcher.dump_stats(options.profile)
    return 0


def _announce(url: str) -> None:
    print(f"oq listens at {url}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
