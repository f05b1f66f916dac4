"""A backend that speaks Ollama and says very much, at once."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
LAST = b'{"model":"m","response":"","done":true,"eval_count":1,"prompt_eval_count":1}\n'


def answer(chunk: int, chunks: int) -> bytes:
    """So many chunks of so many characters, and the last one."""
    line = json.dumps({"model": "m", "response": "x" * chunk, "done": False}).encode() + b"\n"
    return line * chunks + LAST


@contextmanager
def talker(said: bytes, *, hold: bool = False) -> Iterator[tuple[str, threading.Event]]:
    """Where it listens. To each call it says this; with `hold` all but the last line, until the
    event is set.
    """
    add_mark = threading.Event()
    if not hold:
        add_mark.set()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            first = self.rfile.readline()
            length = 0
            while (line := self.rfile.readline().strip().lower()) != b"":
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            if b"/api/generate" not in first:
                self.wfile.write(HEAD + b'{"version":"1","models":[]}')
                return
            self.wfile.write(HEAD + said.removesuffix(LAST))
            add_mark.wait()
            self.wfile.write(LAST)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *_: object) -> None:
            """A caller that has gone is none of this test's business."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", add_mark
        finally:
            add_mark.set()
            server.shutdown()
            thread.join()
