"""What stands in a settings file, whose size is bounded: small ones show how the work grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from oq.settings.file import read_file
from oq.settings.layers import Layers

from .growth import assert_linear
from .shapes import repeated

UNITS = [b"a: 1\n", b"- ", b"{a: ", b"&a [*a", b"1:1:", b"a\n", b"#\n", b'"a', b"\n"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_settings_file(unit, tmp_path):
    path = Path(tmp_path / "config.yaml")

    def work(data: bytes) -> None:
        path.write_bytes(data)
        read_file(path, Layers())

    assert_linear(repeated(unit), work, 4000, 4000)
