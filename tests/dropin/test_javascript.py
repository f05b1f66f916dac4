"""The official JavaScript packages, unmodified, on Node; `make test` installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITES = Path(__file__).parents[1] / "js"
HERE = Path(sys.executable).parent
NODE = shutil.which("node", path=f"{HERE}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
@pytest.mark.skipif(
    not (SUITES / "node_modules").is_dir(), reason="the packages are not installed (make test does)"
)
@pytest.mark.parametrize("package", ["ollama", "openai"])
def test_the_suite_of(package, way):
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--test", str(SUITES / f"{package}.test.js")],
        env={
            **os.environ, "CLIENT_URL": way.url, "MACHINE_URL": way.machine.url, "NO_COLOR": "1"
        },
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass" in done.stdout
