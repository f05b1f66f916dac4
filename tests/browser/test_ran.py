"""What the backends ran lately, as people see it: lanes, loads, colours, and the same in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.children import Oq, answer, served, slow
from tests.browser.conftest import USUAL
from tests.browser.tab import Tab, tab_at

BOX = {
    "backends": [{"name": "box1", "kind": "simulated", "max_models": 1}],
    "simulated": {"parallel": 2, "max_models": 1, "load": 0.3},
}
NARROW = {"width": 390, "height": 800}


def made_up() -> dict[str, Any]:
    """Two backends: one swaps models, the other was down, and is wedged for a model now."""
    now = datetime.now(UTC)

    def at(seconds: float) -> str:
        return (now - timedelta(seconds=seconds)).isoformat()

    def attempt(number: int, model: str, lane: int, begin: float, took: float) -> dict[str, Any]:
        times = {"started_at": at(begin), "first_token_at": at(begin - took / 5)}
        ended = {"ended_at": at(begin - took), "ended": "failed" if number == 7 else "completed"}
        return {"task_id": f"t{number}", "model": model, "lane": lane, **times, **ended}

    models = ["llama3.2"] * 5 + ["qwen3:4b"] * 3
    one = [
        attempt(number, models[number % 8], number % 2, 290 - 9 * number, 15)
        for number in range(30)
    ]
    two = [attempt(number, "gemma3", 0, 290 - 12 * number, 10) for number in range(3)]
    swaps = [
        {"kind": "swap", "since": at(since), "until": at(since - 4), "reason": model}
        for since, model in ((246, "qwen3:4b"), (220, "llama3.2"), (174, "qwen3:4b"))
    ]
    down = {"kind": "down", "since": at(200), "until": at(120), "reason": "connection refused"}
    wedged = {"kind": "wedged", "since": at(40), "reason": "its tasks produce nothing"}
    backends = [
        {"name": "box1", "attempts": one, "spans": swaps},
        {"name": "box2", "attempts": two, "spans": [down, wedged]},
    ]
    return {"since": at(300), "now": at(0), "backends": backends}


def give(tab: Tab, timeline: dict[str, Any]) -> None:
    def fulfil(route: Route) -> None:
        route.fulfill(json=timeline)

    tab.page.route("**/api/backends/timeline", fulfil)


def test_what_runs_is_on_lanes_with_its_load(tmp_path: Path, built_page: None, chromium: Browser):
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(BOX))  # which is YAML too
    with (
        served(tmp_path, None, "--config", str(config)) as box,
        tab_at(box, chromium, viewport=USUAL) as tab,
    ):
        box.ended(box.submit(answer("It is done."), model="b"))
        runs = box.submit(slow(), model="c")
        tab.open("overview")
        expect(tab.by("ran-row")).to_have_count(1)
        expect(tab.by("ran-lane").locator("i")).to_have_count(2)
        expect(tab.by("ran-loads").locator("i")).to_have_count(2)
        expect(tab.by("ran-legend")).to_contain_text("b")
        tab.by("ran-words").locator("summary").click()
        expect(tab.by("ran-words")).to_contain_text("c: 1 attempt, 1 running")
        expect(tab.by("ran-words")).to_contain_text("loads b at ")
        expect(tab.by("ran-words")).to_contain_text("loads c in place of another at ")
        box.http.post(f"/api/tasks/{runs}/cancel").raise_for_status()
        expect(tab.by("ran-lane").locator("[title*=cancelled]")).to_have_count(1)


@pytest.mark.parametrize("viewport", [USUAL, NARROW], ids=["usual", "narrow"])
def test_a_backend_that_was_down_is_told_in_the_plot_and_in_words(
    oq: Oq, chromium: Browser, viewport: dict[str, int]
):
    with tab_at(oq, chromium, viewport=viewport) as tab:
        give(tab, made_up())
        tab.open("overview")
        expect(tab.by("ran-row")).to_have_count(2)
        expect(tab.by("ran-legend")).to_contain_text("wedged")
        band = tab.by("ran-row").nth(1).locator(".out-down")
        assert "connection refused" in (band.get_attribute("title") or "")
        words = tab.by("ran-words")
        words.locator("summary").click()
        expect(words).to_contain_text("gemma3: 3 attempts")
        expect(words).to_contain_text("for 1m 20s: connection refused")
        plot = tab.by("ran-row").nth(0).bounding_box()
        assert plot is not None
        assert plot["x"] >= 0
        assert plot["x"] + plot["width"] <= viewport["width"]
