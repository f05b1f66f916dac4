"""JSON from outside that nobody can read: each reader says so, or reads nothing; none breaks."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from oq.backends.base import Passage
from oq.backends.models import ollama_digests, ollama_models, openai_models
from oq.backends.ollama_pages import answer_page
from oq.dialects import DIALECTS
from oq.dialects.stated_errors import check_stated
from oq.words.errors import BackendFailure

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEEP = b"[" * 100_000 + b"]" * 100_000
ODD = {
    "no json": b"{",
    "no utf-8": b'{"model":"\xff","type":"\xff","id":"\xff","object":"\xff","x":1}',
    "half a pair": b'{"model":"\\ud800","type":"\\ud800","object":"\\ud800"}',
    "too deep": b'{"x":' + DEEP + b',"model":"m"}',
    "another form": b'["model"]',
}
EACH_ODD = pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))


class Page:
    def __init__(self) -> None:
        self.status = 0
        self.body = b""

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status

    async def piece(self, data: bytes) -> None:
        self.body += data


async def page(method: str, path: str, body: bytes, models: bytes) -> tuple[int, dict]:
    async def listed() -> bytes:
        return models

    reply = Page()
    await answer_page(Passage(method, path, [], body), listed, NOW, reply)
    return reply.status, json.loads(reply.body)


@EACH_ODD
async def test_a_request_for_a_page_is_refused(odd):
    status, said = await page("POST", "/api/show", odd, b'{"data":[]}')
    assert (status, list(said)) == (400, ["error"])


async def test_a_page_asks_only_for_a_name():
    body = b'{"model":"m","x":1e999,"y":%b}' % (b"9" * 5000)
    assert (await page("POST", "/api/show", body, b'{"data":[{"id":"m"}]}'))[0] == 200


@pytest.mark.parametrize(
    "number", [b"1" + b"0" * 400, b"18446744073709551616", b"-1", b"1.5e300", b'"7"', b"[7]"]
)
async def test_a_number_that_none_can_be_is_not_said(number):
    meta = b'{"n_params":%b,"n_ctx_train":%b,"n_embd":%b,"size":%b}' % ((number,) * 4)
    models = b'{"data":[{"id":"m","created":%b,"meta":%b}]}' % (number, meta)
    for path in ("/api/tags", "/api/ps"):
        status, said = await page("GET", path, b"", models)
        assert status == 200
        assert said["models"][0]["size"] == 0
        assert said["models"][0]["details"]["parameter_size"] == ""
    status, said = await page("POST", "/api/show", b'{"model":"m"}', models)
    assert (status, said["model_info"], said["modified_at"]) == (200, {}, "1970-01-01T00:00:00Z")


@EACH_ODD
@pytest.mark.parametrize("read", [ollama_models, ollama_digests, openai_models])
def test_a_list_of_models_is_no_list(read, odd):
    odd = odd.replace(b'{"model"', b'{"models":[{"name":"\xff"}],"data":[{"id":"\xff"}],"model"')
    with pytest.raises(BackendFailure):
        read(odd)


@EACH_ODD
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)
def test_an_event_says_nothing(dialect, odd):
    if dialect.name != "ollama":
        odd = b"data: " + odd + b"\n\n"
    assert dialect.piece(odd).text == ""


@EACH_ODD
def test_it_states_no_error(odd):
    check_stated(odd)
