"""The browser, a server for each test, and tabs that are looked after."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from oq.http.site import BUILT
from tests.browser.children import Ollama, Oq, served, simulated_ollama
from tests.browser.tab import PATIENCE, Tab, tab_at

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",  # which needs rights that a container does not give
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Names of other sites that lead to this machine, as in an attack by DNS rebinding.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    # The browser's own guard of this machine, which not every browser has: ours is to be seen.
    "--disable-features=LocalNetworkAccessChecks",
]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser that the machine has. Left at the end of this package: while it runs, no other
    test of this thread can run asyncio.
    """
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("there is no Chromium; on Debian: sudo apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ollama]:
    with simulated_ollama(tmp_path_factory.mktemp("ollama")) as running:
        yield running


@pytest.fixture(scope="package")
def _shared(
    tmp_path_factory: pytest.TempPathFactory, chromium: Browser, ollama: Ollama
) -> Iterator[Oq]:
    if not (BUILT / "index.html").exists():
        pytest.skip("the dashboard has not been built; `make page` does that")
    with served(tmp_path_factory.mktemp("oq"), ollama.url) as running:
        yield running


@pytest.fixture
def oq(_shared: Oq) -> Oq:
    """A server with nothing in it: the same for all tests, swept before each."""
    _shared.sweep()
    return _shared


@pytest.fixture
def tab(oq: Oq, chromium: Browser) -> Iterator[Tab]:
    """A tab on a screen of the usual size."""
    with tab_at(oq, chromium, viewport={"width": 1280, "height": 800}) as opened:
        yield opened
