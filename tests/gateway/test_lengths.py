"""What a passed-on answer says of its length, where it has no body: RFC 9110, 8.6."""

from __future__ import annotations

import json

import pytest

from tests.support.told import FAST, backend, http, site

LIST = b'{"models":[]}'


def bodiless(status: str, *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


ANSWERS = {
    "no content": ("GET", bodiless("204 No Content"), None),
    "no content, with a length": ("GET", bodiless("204 No Content", "Content-Length: 0"), None),
    "no content, with a lie": ("GET", bodiless("204 No Content", "Content-Length: 9"), None),
    "nothing new": ("GET", bodiless("304 Not Modified", 'ETag: "1"'), None),
    # A length is that of the answer to a GET which had the content.
    "nothing new, with a length": (
        "GET", bodiless("304 Not Modified", 'ETag: "1"', "Content-Length: 9"), "9",
    ),
    "a head": ("HEAD", bodiless("200 OK", "Content-Length: 9"), "9"),
    "a head without content": ("HEAD", bodiless("204 No Content", "Content-Length: 9"), None),
    "an interim answer": (
        "GET",
        bodiless("103 Early Hints", "Content-Length: 9") + http(LIST, "application/json"),
        str(len(LIST)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("method", "answer", "length"), ANSWERS.values(), ids=ANSWERS)
async def test_the_length_is_that_of_an_answer_that_may_have_one(method, answer, length):
    def tell(head: bytes, body: bytes) -> bytes:
        return answer if b" /api/tags " in head else http(LIST, "application/json")

    async with (
        backend(tell) as where,
        site(FAST, where, "ollama") as here,
        await here.connect() as stream,
    ):
        # The second response follows: what the first one says of its length is true.
        again = here.request("GET", "/healthz", None, "Connection: close")
        await stream.send_all(here.request(method, "/api/tags") + again)
        said = b"".join([data async for data in stream])
    first, _, rest = said.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in first.split(b"\r\n")[1:])
    assert fields.get(b"content-length", b"").decode() == (length or "")
    assert b"transfer-encoding" not in fields
    if method == "GET" and first.startswith(b"HTTP/1.1 200"):
        assert rest.startswith(LIST)
        rest = rest.removeprefix(LIST)
    assert rest.startswith(b"HTTP/1.1 200 ")


async def test_what_oq_deletes_has_no_content_and_no_length():
    async with (
        backend(lambda head, body: http(LIST, "application/json")) as where,
        site(FAST, where, "ollama") as here,
    ):
        await here.queue.pause()
        task = b'{"type":"generate","model":"m","payload":{"prompt":"x"}}'
        made = await here.ask("POST", "/api/tasks", task)
        path = f"/api/tasks/{json.loads(made.body)['task_id']}"
        await here.ask("POST", f"{path}/cancel", b"")
        deleted = await here.ask("DELETE", path)
        options = await here.ask("OPTIONS", "/api/tasks")
    for told in (deleted, options):
        assert told.status == 204
        assert not [line for line in told.first if line.lower().startswith("content-length")]
