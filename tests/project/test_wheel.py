"""The wheel: built from the repo, installed where there is nothing, it serves the dashboard."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from oq.http.site import BUILT
from tests.project.test_house import HOUSE

REPO = HOUSE.parent


pytestmark = pytest.mark.slow


def uv(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, built_page: None) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", directory, REPO)
    (built,) = directory.glob("*.whl")
    return built


def test_it_holds_the_program_and_the_dashboard_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    files = {str(path.relative_to(REPO)) for path in BUILT.rglob("*") if path.is_file()}
    assert files
    assert files <= set(names)
    strangers = [name for name in names if not re.match(r"oq/|oq-[\d.]+\.dist-info/", name)]
    assert strangers == []


def test_installed_in_an_empty_place_without_node_it_serves_the_dashboard(
    wheel: Path, tmp_path: Path
):
    uv("venv", "--python", sys.executable, tmp_path / "venv")
    uv("pip", "install", "--python", tmp_path / "venv", wheel)
    programs = tmp_path / "venv" / "bin"
    environment = {"PATH": str(programs), "HOME": str(tmp_path)}  # no Node, no other Python
    command = ["oq", "serve", "--simulate", "--port", "0", "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen(
        [programs / "oq", *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment, cwd=tmp_path, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        (url,) = re.findall(r"http://[\d.:]+", process.stdout.readline())
        with httpx.Client(base_url=url, trust_env=False) as client:
            page = client.get("/", headers={"Accept": "text/html"})
            assert page.text == (BUILT / "index.html").read_text()
            assets = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text)
            assert len(assets) >= 2
            for asset in assets:
                reply = client.get(asset)
                assert reply.status_code == 200
                assert reply.content == (BUILT / asset.removeprefix("/")).read_bytes()
    finally:
        process.terminate()
        process.communicate()
