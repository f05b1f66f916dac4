"""A backend that holds one model, as people see it: its slots, a swap, and why a task waits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.children import Oq, answer, served, slow
from tests.browser.conftest import USUAL
from tests.browser.tab import Tab, tab_at

LOAD = 0.3
"""What a model's load takes at least, in seconds: on a busy machine it takes longer."""
BOX = {
    "backends": [{"name": "box1", "kind": "simulated", "max_models": 1}],
    "simulated": {"parallel": 1, "max_models": 1, "load": LOAD},
}


@pytest.fixture
def box(tmp_path: Path, built_page: None, chromium: Browser) -> Iterator[Oq]:
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(BOX))  # which is YAML too
    with served(tmp_path, None, "--config", str(config)) as running:
        yield running


def test_a_swap_and_why_a_task_waits(box: Oq, chromium: Browser):
    with tab_at(box, chromium, viewport=USUAL) as tab:
        runs = box.submit(slow(), model="b")
        tab.open_task(runs)
        expect(tab.by("answer").get_by_test_id("words")).to_contain_text("word3 ")
        waits = box.submit(answer("It is my turn."), model="c")
        swap = "b → c, 1 of b still running"
        _expect_overview(tab, swap)
        tab.open("tasks")
        expect(tab.row(waits).locator(f"[title='box1: {swap}']").first).to_be_visible()
        tab.open_task(waits)
        expect(tab.by("waits-for")).to_have_text(f"Waits: box1: {swap}")
        box.http.post(f"/api/tasks/{runs}/cancel").raise_for_status()
        tab.expect_status("completed")
        expect(tab.by("waits-for")).to_have_count(0)
        expect(tab.by("timeline")).to_contain_text(re.compile(r"load \d"))
        assert box.task(waits)["attempts"][0]["load"] >= LOAD
        expect(tab.by("timeline")).to_contain_text("first token after ")


def _expect_overview(tab: Tab, swap: str) -> None:
    tab.open("overview")
    expect(tab.by("busy-with")).to_have_text(f"changes models: {swap}")
    expect(tab.by("load")).to_contain_text("1 of 1 running")
    expect(tab.by("slots")).to_contain_text("b")
    expect(tab.by("slots")).to_contain_text("1 of 1 slot · measured")
