"""The measure itself: it finds what is more than linear, and bears a dearer step or two."""

from __future__ import annotations

import pytest

from . import growth
from .growth import assert_linear


def measured(monkeypatch, seconds) -> None:
    """One assertion, on a machine where so many bytes take so many seconds."""
    monkeypatch.setattr(growth, "_cost", lambda data, _: seconds(len(data)))
    assert_linear(bytes, len)


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(lambda size: size * 1e-6, id="linear"),
        pytest.param(lambda size: size * (1e-6 if size < 100_000 else 2e-6), id="one step"),
        pytest.param(lambda size: size * 1e-6 * min(3.0, 1 + size / 1e5), id="two steps"),
        pytest.param(lambda size: size**2 * 1e-14, id="too quick to measure"),
    ],
)
def test_what_is_let_through(monkeypatch, seconds):
    measured(monkeypatch, seconds)


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(lambda size: size**2 * 1e-9, id="quadratic"),
        pytest.param(lambda size: 0.001 + size**2 * 1e-10, id="quadratic beside a start"),
        pytest.param(lambda size: size**1.5 * 1e-8, id="between"),
    ],
)
def test_what_is_found(monkeypatch, seconds):
    with pytest.raises(AssertionError, match="four times the bytes cost"):
        measured(monkeypatch, seconds)
