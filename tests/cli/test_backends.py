"""What `oq backends` prints of several backends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from oq.cli.figures import _show_backends
from oq.words.views import BackendView, Model

BOX = BackendView(
    name="box",
    kind="ollama",
    url="http://box",
    up=True,
    running=1,
    max_concurrency=2,
    swap="a, then b",
    held="server busy",
    models=(Model("a"), Model("b,c")),
    loaded=(Model("a"),),
)
AWAY = BackendView(
    name="away",
    kind="ollama",
    url="http://away",
    up=False,
    running=0,
    error="connection refused",
    down_since=datetime(2026, 11, 29, 14, 2, tzinfo=UTC),
    models=(Model("c"),),
    loaded=(),
)


@pytest.fixture
def printed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    _show_backends([BOX, AWAY])
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_one_that_is_up_says_what_it_does_and_has(printed):
    assert printed[0].startswith("box   up  1 of 2 running; a, then b; held: server busy  ollama")
    assert printed[1].split() == ["a*", "b,c"]


def test_one_that_is_down_says_since_when_and_why_and_what_it_had(printed):
    assert printed[2:] == [
        "away  down since 14:02 UTC  ollama at http://away",
        "connection refused",
        "c",
    ]
