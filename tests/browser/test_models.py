"""The models on the overview: their figures, their pause, and the sentence on top."""

from __future__ import annotations

from playwright.sync_api import Browser, Locator, expect

from tests.browser.children import Oq, answer, slow
from tests.browser.tab import Tab, tab_at

TOO_WIDE = """[...document.querySelectorAll("main *:not(.hidden, option, thead *)")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth)
  .map((one) => `${one.tagName} ${one.className}`)"""


def row(tab: Tab, model: str) -> Locator:
    return tab.page.locator(f"[data-testid=model][data-model='{model}']")


def test_a_model_has_its_figures_as_its_tasks_run(oq: Oq, tab: Tab):
    oq.submit(slow(), model="qwen3:4b")
    tab.open("overview")
    expect(row(tab, "qwen3:4b").get_by_test_id("running")).to_have_text("1")
    expect(row(tab, "qwen3:4b").get_by_test_id("tokens")).not_to_have_text("–")
    expect(tab.by("sentence")).to_contain_text("1 task runs and none waits")
    expect(tab.by("sentence")).to_have_attribute("data-mood", "busy")
    row(tab, "qwen3:4b").get_by_role("link").click()
    expect(tab.page.get_by_test_id("filter-model")).to_have_value("qwen3:4b")


def test_a_model_is_paused_by_keyboard_and_says_so(oq: Oq, tab: Tab):
    oq.ended(oq.submit(answer("Done."), model="llama3.2:latest"))
    tab.open("overview")
    button = row(tab, "llama3.2").get_by_role("button", name="Pause llama3.2")
    button.press("Enter")
    expect(tab.by("confirm")).to_contain_text("No task of this model starts")
    tab.page.keyboard.press("Escape")
    expect(row(tab, "llama3.2")).to_have_attribute("data-paused", "false")
    button.click()
    tab.by("confirm-yes").click()
    expect(row(tab, "llama3.2")).to_have_attribute("data-paused", "true")
    assert oq.status()["paused_models"] == ["llama3.2"]
    waits = oq.submit(answer("My turn."))
    expect(row(tab, "llama3.2").get_by_test_id("waiting")).to_have_text("1")
    expect(tab.by("sentence")).to_contain_text(
        "1 task waits and none runs. \u2068llama3.2\u2069 is"
    )
    expect(tab.by("sentence")).to_have_attribute("data-mood", "held")
    tab.open_task(waits)
    expect(tab.by("waits-for")).to_have_text("Waits: llama3.2 is paused")
    tab.open("overview")
    row(tab, "llama3.2").get_by_role("button", name="Resume llama3.2").click()
    tab.expect_toast("goes on")
    assert oq.ended(waits)["status"] == "completed"
    expect(tab.by("sentence")).to_have_text("Nothing runs and nothing waits.")


def test_the_charts_are_of_one_model_if_one_is_chosen(oq: Oq, tab: Tab):
    for model in ("llama3.2", "qwen3:4b"):
        oq.ended(oq.submit(answer("Done."), model=model))
    tab.open("overview")
    with tab.page.expect_request("**/api/stats?window=15m&model=qwen3%3A4b"):
        tab.by("history-model").select_option("qwen3:4b")
    with tab.page.expect_request("**/api/stats?window=24h&model=qwen3%3A4b"):
        tab.page.get_by_role("button", name="Day").click()


def test_a_phone_shows_all_of_a_model_without_scrolling_sideways(oq: Oq, chromium: Browser):
    oq.ended(oq.submit(answer("Done."), model="a" * 120))
    with tab_at(oq, chromium, viewport={"width": 360, "height": 740}) as tab:
        tab.open("overview")
        expect(row(tab, "a" * 120).get_by_test_id("model-pause")).to_be_visible()
        assert tab.page.evaluate(TOO_WIDE) == []
        assert tab.page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
