"""One simulated machine, and one `oq serve` of each kind, for the whole corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.dropin.ways import Machine, through_oq


@pytest.fixture(scope="session")
def corpus_machine() -> Iterator[Machine]:
    with Machine() as machine:
        yield machine


@pytest.fixture(scope="session")
def oq_url(
    corpus_machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """The address of an oq whose backend is of this kind, opened when it is first wanted."""
    with ExitStack() as stack:
        urls: dict[str, str] = {}

        def url(kind: str) -> str:
            if kind not in urls:
                folder = tmp_path_factory.mktemp(f"corpus-{kind}")
                urls[kind] = stack.enter_context(through_oq(corpus_machine, folder, kind)).url
            return urls[kind]

        yield url
