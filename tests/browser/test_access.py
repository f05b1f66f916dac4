"""Whether people who see the page badly, or not at all, can use it: axe-core looks at each view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.children import Ollama, Oq, answer, slow
from tests.browser.tab import Tab, tab_at
from tests.project.test_house import HOUSE

AXE = HOUSE.parent / "web" / "node_modules" / "axe-core" / "axe.min.js"
SIZES = {"wide": {"width": 1280, "height": 800}, "narrow": {"width": 390, "height": 844}}


def problems(tab: Tab) -> list[str]:
    """What axe-core finds serious or critical."""
    found: dict[str, Any] = tab.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert len(found["passes"]) > 10, "it has not looked"
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def overview(tab: Tab, ids: dict[str, str]) -> None:
    tab.open("overview")
    expect(tab.by("backend")).to_contain_text("up")
    expect(tab.by("oldest")).to_contain_text("since")


def tasks(tab: Tab, ids: dict[str, str]) -> None:
    tab.open("tasks")
    expect(tab.row(ids["pending"])).to_be_visible()


def selected(tab: Tab, ids: dict[str, str]) -> None:
    tasks(tab, ids)
    tab.row(ids["failed"]).get_by_role("checkbox").check()
    expect(tab.by("selected")).to_be_visible()


def nothing(tab: Tab, ids: dict[str, str]) -> None:
    tab.open("#/tasks?q=nothing-has-this")
    expect(tab.by("empty")).to_be_visible()


def running(tab: Tab, ids: dict[str, str]) -> None:
    tab.open_task(ids["running"])
    expect(tab.by("streaming")).to_be_visible()


def completed(tab: Tab, ids: dict[str, str]) -> None:
    tab.open_task(ids["completed"])
    expect(tab.by("answer-turn")).to_be_visible()


def failed(tab: Tab, ids: dict[str, str]) -> None:
    tab.open_task(ids["failed"])
    expect(tab.by("error")).to_be_visible()


def submit(tab: Tab, ids: dict[str, str]) -> None:
    tab.open("submit")
    tab.by("submit").click()
    expect(tab.by("problems")).not_to_be_empty()


def question(tab: Tab, ids: dict[str, str]) -> None:
    tab.page.keyboard.press("Escape")  # the help's
    tab.open_task(ids["failed"])
    tab.by("delete").click()
    expect(tab.by("confirm")).to_be_visible()


def help_(tab: Tab, ids: dict[str, str]) -> None:
    tab.open("tasks")
    tab.page.keyboard.press("?")
    expect(tab.by("help")).to_be_visible()


VIEWS: list[Callable[[Tab, dict[str, str]], None]] = [
    overview, tasks, selected, nothing, running, completed, failed, submit, help_, question
]  # fmt: skip


@pytest.fixture(scope="module")
def script() -> str:
    if not AXE.exists():
        pytest.skip("axe-core has not been installed; `make page` does that")
    return AXE.read_text()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found_in_any_view(
    oq: Oq, ollama: Ollama, chromium: Browser, script: str, scheme: str, size: str
):
    ollama.script({"status": 400, "error": "the model broke"})
    ids = {"failed": oq.submit(priority="high")}
    oq.ended(ids["failed"])
    ids["completed"] = oq.submit(answer("An answer.", thinking="Hm."))
    oq.ended(ids["completed"])
    ids["running"] = oq.submit(slow())
    for _ in range(3):
        oq.submit(slow())
    ids["pending"] = oq.submit(priority="critical")
    with tab_at(oq, chromium, viewport=SIZES[size], color_scheme=scheme) as tab:
        tab.page.add_init_script(script)
        found = []
        for view in VIEWS:
            view(tab, ids)
            found += [f"{view.__name__}: {problem}" for problem in problems(tab)]
        assert found == []
