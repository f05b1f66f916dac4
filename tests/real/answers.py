"""Calls of the corpus, as far as a real server can be asked them: the same bytes through oq."""

from __future__ import annotations

import re

import trio

from tests.corpus.cases import HERE, Case, read_lines
from tests.corpus.compare import check
from tests.corpus.exchange import Answer, ask
from tests.real.lab import Lab
from tests.real.rows import Row, told

_VOLATILE = (
    (rb'("[a-z_]*_duration":)\d+', rb"\g<1>0"),
    (rb'("created_at":)"[^"]*"', rb'\1""'),
    (rb'("(?:created|created_at|completed_at)":)\d+', rb"\g<1>0"),
    (rb'"((?:chatcmpl|cmpl|resp|msg|rs|fc|call|toolu|req)[-_])[0-9A-Za-z_]+"', rb'"\1x"'),
)
"""What differs from one answer to the next by itself: times, durations and ids."""


async def answers(lab: Lab) -> list[Row]:
    """Each call directly, twice, and through oq. The first is for what the server remembers."""
    same, differ = 0, []
    cases = list(read_lines(HERE / "real" / "ollama.jsonl"))
    async with lab.serving() as server, lab.through(server) as oq:
        for case in cases:
            await trio.to_thread.run_sync(_made, case, server.url)
            direct = await trio.to_thread.run_sync(_made, case, server.url)
            through = await trio.to_thread.run_sync(_made, case, oq.server.url)
            problem = _problem(case, direct, through)
            if problem:
                differ.append(case.name)
                print(f"{case.name}: {problem}", flush=True)
            else:
                same += 1
    return [
        told(
            "calls of the corpus: the same answer",
            f"{len(cases)}",
            f"{same}" + (f"; not: {', '.join(differ)}" if differ else ""),
            "all",
            not differ,
        )
    ]


def _made(case: Case, url: str) -> Answer:
    """The answer to the call at this address, without what differs each time."""
    answer = ask(url, case.method, case.path, case.head(), case.body(), case.chunks)
    body = answer.body
    for pattern, put in _VOLATILE:
        body = re.sub(pattern, put, body)
    return answer._replace(body=body)


def _problem(case: Case, direct: Answer, through: Answer) -> str:
    """What is wrong; "" if nothing is."""
    if direct.status != case.status or case.has.encode() not in direct.body:
        return f"the direct answer is not as the case says: {direct}"
    try:
        check(case, direct, through)
    except AssertionError as wrong:
        return f"{wrong}\n  direct:  {direct}\n  through: {through}"
    return ""
