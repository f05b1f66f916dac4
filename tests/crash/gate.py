"""A server that runs models, and answers nobody before it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = b'{"model":"m","response":"at last","done":true,"done_reason":"stop"}\n'
PATIENCE = 60.0


class Gate(ThreadingHTTPServer):
    """Ollama's API, as far as one generate task needs it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.open = threading.Event()
        self._asked = threading.Semaphore(0)

    def wait_until_asked(self, times: int) -> None:
        """Return when so many more requests have come."""
        for _ in range(times):
            assert self._asked.acquire(timeout=PATIENCE), "nobody asks"

    def note(self) -> None:
        self._asked.release()


class _Handler(BaseHTTPRequestHandler):
    server: Gate

    def do_GET(self) -> None:
        self._send(b'{"version":"0"}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.note()
        if self.server.open.wait(PATIENCE):
            self._send(ANSWER)

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def gate() -> Iterator[Gate]:
    server = Gate()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.open.set()
        server.shutdown()
        server.server_close()
        thread.join()
