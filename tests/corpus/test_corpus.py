"""A call through oq is the call: each line of the corpus, directly and through oq, byte by byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.corpus.cases import Case, read_cases
from tests.corpus.compare import check
from tests.corpus.exchange import Answer, ask
from tests.dropin.ways import Machine

CASES = list(read_cases())
NAMED = [pytest.param(case, id=f"{file}-{case.name}") for file, case in CASES]


def ways() -> Iterator[Any]:
    """Each case through each kind of backend."""
    for file, case in CASES:
        for kind in case.kinds:
            yield pytest.param(case, kind, id=f"{file}-{case.name}-{kind}")


Direct = Callable[[Case], Answer]


@pytest.fixture(scope="module")
def direct_answer(corpus_machine: Machine) -> Direct:
    """The server's own answer to a case, which is always the same."""
    known: dict[int, Answer] = {}

    def answer(case: Case) -> Answer:
        if id(case) not in known:
            known[id(case)] = made(case, corpus_machine, corpus_machine.url)
        return known[id(case)]

    return answer


@pytest.mark.parametrize("case", NAMED)
def test_the_server_itself_answers_as_the_case_says(case: Case, direct_answer: Direct) -> None:
    direct = direct_answer(case)
    assert direct.status == (0 if case.cut == "silent" else case.status), direct
    assert case.has.encode("latin-1") in direct.body, direct
    assert direct.ended == ("cut" if case.cut else "whole"), direct


@pytest.mark.parametrize(("case", "kind"), list(ways()))
def test_a_call_through_oq_is_the_call(
    case: Case,
    kind: str,
    corpus_machine: Machine,
    direct_answer: Direct,
    oq_url: Callable[[str], str],
) -> None:
    check(case, direct_answer(case), made(case, corpus_machine, oq_url(kind)))


def made(case: Case, machine: Machine, url: str) -> Answer:
    """The answer to the call at this address, from a machine as if new."""
    machine.fresh()
    if case.lacks:
        machine.simulator.lacks = frozenset({case.path})
    if case.script is not None:
        machine.simulator.push(case.script)
    return ask(url, case.method, case.path, case.head(), case.body(), case.chunks)


def test_every_case_has_a_name_of_its_own() -> None:
    names = Counter((file, case.name) for file, case in CASES)
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 300
