"""One request by a plain socket, and all bytes that come back."""

from __future__ import annotations

from urllib.parse import urlsplit

import trio


async def raw_answer(
    url: str, path: str, body: bytes, *, whole: bool = True
) -> tuple[bytes, bytes]:
    """The head and the body of the answer as they come, with the marks of chunks. Read until the
    end of the connection, or of the last chunk if not `whole`.
    """
    to = urlsplit(url)
    stream = await trio.open_tcp_stream(to.hostname, to.port)
    async with stream:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        last = "Connection: close\r\n" if whole else ""
        await stream.send_all(f"{head}{last}\r\n".encode() + body)
        data = b""
        while part := await stream.receive_some():
            data += part
            if not whole and data.endswith(b"0\r\n\r\n"):
                break
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n", rest
