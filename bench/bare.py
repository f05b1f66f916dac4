"""What oq's HTTP stack costs by itself: Quart-Trio on Hypercorn that decodes a task and answers.

`bare_server` starts one; `python -m bench.bare` is the program that it starts.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypercorn.trio
import msgspec
import trio
from hypercorn.config import Config
from quart import Response, request
from quart_trio import QuartTrio

from oq.cli.demo.children import Child, child
from oq.rules.ids import IdSource
from oq.rules.validation import decode_submission
from oq.words.clock import Clock


@contextmanager
def bare_server() -> Iterator[Child]:
    """One on a free port of the loopback interface."""
    with (
        tempfile.TemporaryDirectory(prefix="oq-bench-") as folder,
        child("bare server", ["-m", "bench.bare"], Path(folder), os.environ) as started,
    ):
        yield started


def make_app() -> QuartTrio:
    """The same decoding and an answer of the same form as oq's; no queue, no disk."""
    app = QuartTrio(__name__, static_folder=None)
    clock, ids = Clock(), IdSource()

    @app.post("/api/tasks")
    async def submit() -> Response:
        data = await request.get_data()
        assert isinstance(data, bytes)
        decode_submission(data)
        task_id = ids.next(clock.now())
        answer = msgspec.json.encode({"task_id": task_id, "status": "pending"})
        headers = {"Location": f"/api/tasks/{task_id}"}
        return Response(answer, 201, headers, content_type="application/json")

    return app


def main() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        config.accesslog = config.errorlog = None
        print(f"listens at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        trio.run(hypercorn.trio.serve, make_app(), config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
