"""A process that serves one model with llama.cpp: `python -m oq.cli.demo.model_server FILE NAME`.

The model's own chat template can be replaced by that in a third file.
It prints its URL once it answers, and ends when its standard input does: however its parent dies,
it does not stay behind.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

SLOTS = 4
CONTEXT = 2048
"""Tokens of one slot: prompt and answer together."""
THREADS = max(1, (os.cpu_count() or 1) - 1)
"""One processor is left to oq and to who asks. llama.cpp's threads spin while they wait for each
other: with one for each processor, any other program that runs makes it many times slower.
"""


def main() -> None:
    """Serve the model until the standard input ends."""
    path, name, *template = sys.argv[1:]
    announce = _keep_stdout()
    threading.Thread(target=_load, args=(announce, path, name, *template), daemon=True).start()
    while sys.stdin.buffer.read(4096):
        pass
    # Not sys.exit: with a stream still open, llama.cpp's server takes 20 s to let go of it.
    os._exit(0)


def _load(announce: int, path: str, name: str, template: str | None = None) -> None:
    try:
        server = _serve(path, name, template)
        os.write(announce, f"{server.listening_address}\n".encode())
        threading.Event().wait()  # the server lives as long as `server` does
    except BaseException as error:
        os.write(announce, f"error: {error}\n".encode())
        os._exit(1)


def _serve(path: str, name: str, template: str | None) -> Any:
    # Imported here, so that oq can be imported without it.
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    if template is not None:
        params.chat_template = Path(template).read_text()
    return xllamacpp.Server(params)


def _keep_stdout() -> int:
    """The standard output for ourselves; what llama.cpp prints goes to the standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept


if __name__ == "__main__":
    main()
