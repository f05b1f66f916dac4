"""What examples talk to: a simulated Ollama and an oq server, each a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

URL = re.compile(r"http://[\w.:]+")


@contextmanager
def command(*words: str, cwd: Path) -> Iterator[str]:
    """Run `oq` with these words for as long as the block lasts; the URL that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "oq.cli", *words], cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = URL.search(process.stdout.readline())
        assert found, f"oq {' '.join(words)} did not say where it listens"
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@contextmanager
def servers(directory: Path) -> Iterator[dict[str, str]]:
    """The environment in which a program finds both."""
    with (
        command("simulate", "--port", "0", "--tokens-per-second", "0", cwd=directory) as ollama,
        command("serve", "--port", "0", "--ollama-host", ollama, cwd=directory) as server,
    ):
        yield {"OLLAMA_HOST": ollama, "OQ_SERVER": server}
