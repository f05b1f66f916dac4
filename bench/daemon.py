"""A daemon to measure: `oq serve` in a process of its own, with a backend that does nothing.

`daemon` starts one; `python -m bench.daemon DIRECTORY` is the program that it starts.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
            **({} if ollama is None else {"backends": [_backend(ollama, workers)]}),
        }
    )


def _backend(url: str, workers: int) -> dict[str, object]:
    """It gets as many tasks at once as there are workers, from the start."""
    return {"name": "bench", "kind": "ollama", "url": url, "max_concurrency": workers}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.daemon", description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--ollama", help="where an Ollama listens; without it, nothing is run")
    parser.add_argument("--profile", help="the file for what cProfile sees")
    options = parser.parse_args()
    config = settings(options.directory, options.workers, options.ollama)
    backends = [NoopBackend()] if options.ollama is None else None

    if options.profile is None:
        run(config, announce=_announce, backends=backends)
    else:
        _profiled(partial(run, config, backends=backends), options.profile)
    return 0


def _profiled(serve: Callable[..., None], file: str) -> None:
    """Serve, and write down what that cost from when it was ready."""
    watcher = cProfile.Profile(time.thread_time)

    def ready(url: str) -> None:
        _announce(url)
        watcher.enable()

    serve(announce=ready)
    watcher.disable()
    watcher.dump_stats(file)


def _announce(url: str) -> None:
    print(f"oq listens at {url}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
