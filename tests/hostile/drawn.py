"""Requests and frames that nobody with good intentions sends, drawn from a seed.

Each is what goes over one connection. `canary` is the address of the server that must not be
reached; `{canary}` in the lists stands for it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from random import Random

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PRI")
TARGETS = (
    "%2fapi%2fx@{canary}/internal?q=1",
    "%2F%2F{canary}/",
    "@{canary}/",
    ":1@{canary}/api/tags",
    "//{canary}/api/tags",
    "/\\{canary}/api/tags",
    "/@{canary}/api/tags",
    "http://{canary}/api/tags",
    "http://localhost@{canary}/api/tags",
    "https://{canary}/v1/models",
    "{canary}",
    "*",
    "?",
    "#",
    "/api/tags@{canary}",
    "/api/tags?url=http://{canary}/",
    "/api/blobs/@{canary}",
    "/api/blobs/sha256:{canary}",
    "/api//tags",
    "/api/../../etc/passwd",
    "/api/%2e%2e/%2e%2e/",
    "/api/tasks/%00",
    "/api/tasks/" + "9" * 2000,
    "/api/tasks?limit=" + "9" * 400,
    "/api/tasks?q=" + "%25" * 500,
    "/api/tasks?" + "&".join(["status=pending"] * 500),
    "/v1/models/@{canary}",
    "/v1/models/..%2f..%2fx",
    "/v1/models/" + "a/" * 500,
    "/ws",
    "/assets/..%2f..%2f..%2fetc%2fpasswd",
    "/" + "a" * 20_000,
)
FIELDS = (
    b"Host: {canary}",
    b"Host: localhost\nX: y",
    b"Host : localhost",
    b" folded: 1",
    b"\tfolded: 1",
    b"Content-Length: 0\r\nTransfer-Encoding: chunked",
    b"Content-Length: -1",
    b"Content-Length: 1e3",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: \x0bchunked",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Expect: 100-continue",
    b"X-Forwarded-Host: {canary}",
    b"Forwarded: host={canary}",
    b"Origin: http://{canary}",
    b"Referer: http://{canary}/",
    b"Authorization: Bearer guess",
    b"Cookie: a=b",
    b"Range: bytes=0-,0-,0-",
    b"Accept: " + b"*/*;q=0.1," * 500,
    b"Accept-Encoding: " + b"gzip;q=0.1," * 500,
    b"Idempotency-Key: " + b"k" * 5000,
    b"X-OQ-Priority: " + b"9" * 500,
    b"X-OQ-Timeout: 1e999",
    b"Last-Event-ID: " + b"1" * 500,
    b"Content-Encoding: gzip",
    b"Content-Type: multipart/form-data; boundary=",
    b"X: " + b"x" * 40_000,
    b"\xff\xfe: \x00",
    b"X: \xff\x00\x7f",
    b"traceparent: {canary}",
    *(b"X-%d: y" % number for number in range(3)),
)
PATHS = (
    "/api/tasks", "/api/tasks/batch", "/api/tasks/bulk", "/api/chat", "/api/generate",
    "/api/embed", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/api/show",
    "/api/pull", "/api/queue/pause",
)  # fmt: skip
BODIES: tuple[Callable[[int], bytes], ...] = (
    lambda n: b"[" * n,
    lambda n: b'{"a":' * n,
    lambda n: b'{"model":"m","messages":' + b"[" * n + b"]" * n + b"}",
    lambda n: b"{" + b",".join([b'"stream":false'] * (n // 15)) + b"}",
    lambda n: b"{" + b",".join([b'"model":"m"'] * (n // 12)) + b',"prompt":"x"}',
    lambda n: b'{"model":"m","prompt":"' + (b"9" * 299 + b" ") * (n // 300) + b'"}',
    lambda n: b'{"model":"m","options":{"a":' + b"9" * min(n, 4000) + b"}}",
    lambda n: b'{"model":"m","prompt":"' + b"\\ud800" * (n // 6) + b'"}',
    lambda n: b'{"model":"m","prompt":"' + b"\xff" * n + b'"}',
    lambda n: b'{"model":"' + b"m" * n + b'","prompt":"x"}',
    lambda n: b"[" + b",".join([b"1"] * (n // 2)) + b"]",
    lambda n: b"\n" * n,
    lambda n: b"\xef\xbb\xbf" + b" " * n + b"{}",
    lambda n: bytes(n),
    lambda n: json.dumps({"type": "chat", "model": "m", "payload": {"x": "y" * n}}).encode(),
    lambda n: b'{"model":"m","prompt":"x","keep_alive":' + b"-" * n + b"1}",
)  # fmt: skip
SIZES = (1, 100, 10_000, 300_000)
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


def drawn(seed: int, count: int, canary: str) -> Iterator[bytes]:
    """So many of them, of each kind in turn."""
    random = Random(seed)
    kinds = (_target, _head, _body, _frames)
    for number in range(count):
        made = kinds[number % len(kinds)](random)
        yield made.replace(b"{canary}", canary.encode())


def _target(random: Random) -> bytes:
    method, target = random.choice(METHODS), random.choice(TARGETS)
    version = random.choice(("1.1", "1.1", "1.0", "2.0", "0.9"))
    length = random.choice(("", "Content-Length: 2\r\n"))
    head = f"{method} {target} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n{length}"
    return head.encode("latin-1") + b"\r\n" + (b"{}" if length else b"")


def _head(random: Random) -> bytes:
    line = f"{random.choice(METHODS[:5])} {random.choice(PATHS)} HTTP/1.1".encode()
    fields = [b"Host: localhost", *random.sample(FIELDS, random.randint(1, 3))]
    random.shuffle(fields)
    end = random.choice((b"\r\n",) * 8 + (b"\n", b"\r"))
    return end.join([line, *fields, b"Connection: close", b"", b"5\r\nhello\r\n0\r\n\r\n"])


def _body(random: Random) -> bytes:
    path, body = random.choice(PATHS), random.choice(BODIES)(random.choice(SIZES))
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
    if random.random() < 0.5:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(_chunks(random, body))


def _chunks(random: Random, body: bytes) -> Iterator[bytes]:
    step = random.choice((1, 7, 1000, 100_000))
    for start in range(0, min(len(body), step * 2000), step):
        part = body[start : start + step]
        yield b"%x%b\r\n%b\r\n" % (len(part), random.choice((b"", b";a=b")), part)
    yield random.choice(
        (b"0\r\n\r\n", b"0\r\nX: y\n\r\n", b"fffffffffffffffff\r\n", b"-1\r\n", b"\r\n")
    )


def _frames(random: Random) -> bytes:
    return HANDSHAKE + b"".join(_frame(random) for _ in range(random.choice((1, 3, 2000))))


def _frame(random: Random) -> bytes:
    first = random.choice((0x81, 0x82, 0xC1, 0x01, 0x00, 0x89, 0x8A, 0x88, 0xF1, 0x8F, 0x09))
    data = random.randbytes(random.choice((0, 2, 20)))
    mask = random.choice((0x80, 0x80, 0x80, 0))
    if random.random() < 0.02:  # one that announces more than it has
        return bytes((first, mask | 127)) + struct.pack(">Q", random.choice((1 << 20, 1 << 63)))
    return bytes((first, mask | len(data))) + (bytes(4) if mask else b"") + data
