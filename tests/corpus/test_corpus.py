"""A call through oq is the call: each line of the corpus, directly and through oq, byte by byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.corpus.cases import Case, read_cases
from tests.corpus.compare import check
from tests.corpus.exchange import Answer, ask
from tests.dropin.ways import Machine

CASES = list(read_cases())
TYPE = "content-type"
NAMED = [pytest.param(case, id=f"{file}-{case.name}") for file, case in CASES]


def ways() -> Iterator[Any]:
    """Each case through each kind of backend."""
    for file, case in CASES:
        for kind in case.kinds:
            yield pytest.param(case, kind, id=f"{file}-{case.name}-{kind}")


class Made(NamedTuple):
    """A call that was made: its answer, and the type and the body that came to the server."""

    answer: Answer
    arrived: tuple[list[str], bytes] | None


Direct = Callable[[Case], Made]


@pytest.fixture(scope="module")
def direct_answer(corpus_machine: Machine) -> Direct:
    """The server's own answer to a case, which is always the same."""
    known: dict[int, Made] = {}

    def answer(case: Case) -> Made:
        if id(case) not in known:
            known[id(case)] = made(case, corpus_machine, corpus_machine.url)
        return known[id(case)]

    return answer


@pytest.mark.parametrize("case", NAMED)
def test_the_server_itself_answers_as_the_case_says(case: Case, direct_answer: Direct) -> None:
    direct = direct_answer(case).answer
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
    direct, through = direct_answer(case), made(case, corpus_machine, oq_url(kind))
    check(case, direct.answer, through.answer)
    if not case.lacks and through.arrived is not None:  # oq answers some requests itself
        assert through.arrived == direct.arrived


def made(case: Case, machine: Machine, url: str) -> Made:
    """The call at this address, to a machine as if new."""
    machine.fresh()
    if case.lacks:
        machine.simulator.lacks = frozenset({case.path})
    if case.script is not None:
        machine.simulator.push(case.script)
    answer = ask(url, case.method, case.path, case.head(), case.body(), case.chunks)
    return Made(answer, arrived(case, machine))


def arrived(case: Case, machine: Machine) -> tuple[list[str], bytes] | None:
    """What came to the machine, the first time if there were several; None if nothing did."""
    path = case.path.partition("?")[0]
    for call in list(machine.simulator.calls):
        if (call.method, call.path) == (case.method, path):
            return [value for name, value in call.headers if name.lower() == TYPE], call.body
    return None


def test_every_case_has_a_name_of_its_own() -> None:
    names = Counter((file, case.name) for file, case in CASES)
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 300
