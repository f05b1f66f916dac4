"""A server with the model `m`, which answers a line when it is told to."""

from __future__ import annotations

import json
import queue
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Backend:
    """Speaks as much of Ollama's API as a look and a chat need. An answer is `word` after `word`,
    and ends with `finish`.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._lines))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def word(self) -> None:
        self._lines.put({"done": False})

    def finish(self) -> None:
        self._lines.put({"done": True, "done_reason": "stop", "eval_count": 1})

    def close(self) -> None:
        self._server.shutdown()


def _handler(lines: queue.Queue[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

        def do_GET(self) -> None:
            model = {"name": "m:latest", "model": "m:latest"}
            body = json.dumps({"version": "0.12.0", "models": [model]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            done = False
            while not done:
                line = lines.get()
                done = line["done"]
                message = {"role": "assistant", "content": "" if done else "word"}
                data = json.dumps({"model": "m", "message": message, **line}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")

    return Handler
