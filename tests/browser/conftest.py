"""The browser, a server for each test, and tabs that are looked after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.children import Ollama, Oq, served, simulated_ollama
from tests.browser.chromium import FLAGS, find_chromium
from tests.browser.tab import PATIENCE, Tab, tab_at

USUAL = {"width": 1280, "height": 800}


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser that the machine has. Left at the end of this package: while it runs, no other
    test of this thread can run asyncio.
    """
    path = find_chromium()
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
    tmp_path_factory: pytest.TempPathFactory, built_page: None, chromium: Browser, ollama: Ollama
) -> Iterator[Oq]:
    with served(tmp_path_factory.mktemp("oq"), ollama.url) as running:
        yield running


@pytest.fixture
def oq(_shared: Oq) -> Oq:
    """A server with nothing in it: the same for all tests, swept before each."""
    _shared.sweep()
    return _shared


@pytest.fixture
def full_oq(_shared: Oq, ollama: Ollama, tmp_path: Path) -> Iterator[Oq]:
    """A server of its own, for so many tasks that sweeping them away would take a while."""
    with served(tmp_path, ollama.url) as running:
        yield running


@pytest.fixture
def tab(oq: Oq, chromium: Browser) -> Iterator[Tab]:
    """A tab on a screen of the usual size."""
    with tab_at(oq, chromium, viewport=USUAL) as opened:
        yield opened
