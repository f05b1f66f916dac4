"""The list: its order, its filters, many tasks at once, and very many tasks."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from tests.browser.children import GENERATE, Ollama, Oq
from tests.browser.conftest import USUAL
from tests.browser.tab import Tab, tab_at

MANY = 50_000


def test_a_priority_is_changed_and_the_order_with_it(tab: Tab, oq: Oq):
    oq.pause()
    first, second, third = (oq.submit() for _ in range(3))
    tab.open("#/tasks?sort=queue")
    tab.expect_order([first, second, third])
    tab.row(third).get_by_test_id("priority").select_option("high")
    tab.expect_order([third, first, second])
    assert oq.task(third)["queue_position"] == 1


def test_failed_tasks_are_retried_all_at_once(tab: Tab, oq: Oq, ollama: Ollama):
    ollama.script(*[{"status": 400, "error": "not now"}] * 5)
    ids = [oq.submit() for _ in range(5)]
    for task_id in ids:
        assert oq.ended(task_id)["status"] == "failed"
    tab.open("#/tasks?status=failed")
    expect(tab.by("total")).to_have_text("5 tasks")
    tab.by("select-all").check()
    expect(tab.by("selected")).to_contain_text("All 5")
    tab.by("bulk-retry").click()
    tab.by("confirm-yes").click()
    expect(tab.by("empty")).to_be_visible()
    for task_id in ids:
        assert oq.ended(task_id)["status"] == "completed"


def test_a_filter_is_in_the_address_and_outlives_a_reload(tab: Tab, oq: Oq, ollama: Ollama):
    oq.pause()
    wanted = oq.submit(model="qwen3:4b", metadata={"team": "blue"})
    oq.submit(metadata={"team": "red"})
    cancelled = oq.submit(model="qwen3:4b")
    oq.http.post(f"/api/tasks/{cancelled}/cancel").raise_for_status()
    tab.open("tasks")
    expect(tab.by("total")).to_have_text("3 tasks")
    tab.by("filter-pending").click()
    expect(tab.by("total")).to_have_text("2 tasks")
    tab.by("search").fill("BLUE")
    # Every prompt here asks why the sky is blue; the model tells them apart.
    tab.by("filter-model").fill("qwen3:4b")
    tab.expect_order([wanted])
    expect(tab.page).to_have_url(re.compile(r"#/tasks\?.*status=pending"))
    tab.page.reload()
    expect(tab.by("filter-pending")).to_have_attribute("aria-pressed", "true")
    expect(tab.by("search")).to_have_value("BLUE")
    tab.expect_order([wanted])
    tab.by("clear-filter").click()
    expect(tab.by("total")).to_have_text("3 tasks")


def test_what_is_typed_stays_while_it_is_looked_for(tab: Tab, oq: Oq):
    oq.pause()
    wanted = oq.submit({**GENERATE, "payload": {"prompt": "one two"}})
    oq.submit()
    tab.open("tasks")
    tab.by("search").fill("one ")
    tab.expect_order([wanted])
    tab.by("search").press_sequentially("two")
    expect(tab.page).to_have_url(re.compile(r"q=one\+two$"))
    expect(tab.by("search")).to_have_value("one two")
    tab.by("filter-model").fill("llama3.2, ")
    expect(tab.page).to_have_url(re.compile("model=llama3.2&"))
    expect(tab.by("filter-model")).to_have_value("llama3.2, ")
    tab.by("clear-filter").click()
    expect(tab.by("search")).to_have_value("")
    expect(tab.by("filter-model")).to_have_value("")


def test_escape_empties_the_search_and_with_it_what_is_asked_for(tab: Tab, oq: Oq):
    oq.pause()
    wanted = oq.submit({**GENERATE, "payload": {"prompt": "one two"}})
    other = oq.submit()
    tab.open("#/tasks?q=one+two")
    tab.expect_order([wanted])
    tab.by("search").press("Escape")
    expect(tab.by("search")).to_have_value("")
    tab.expect_order([other, wanted])
    expect(tab.page).to_have_url(re.compile(r"#/tasks$"))
    tab.by("search").press("Escape")
    expect(tab.by("search")).not_to_be_focused()


def test_what_is_typed_counts_before_all_are_selected(tab: Tab, oq: Oq):
    oq.pause()
    wanted = oq.submit({**GENERATE, "payload": {"prompt": "one two"}})
    other = oq.submit()
    tab.open("tasks")
    tab.expect_order([other, wanted])
    # In one go, before the page asks for what is typed of its own accord.
    tab.page.evaluate(
        """() => {
             const search = document.querySelector("[data-testid=search]");
             search.focus();
             search.value = "one two";
             search.dispatchEvent(new InputEvent("input", { bubbles: true }));
             document.querySelector("[data-testid=select-all]").focus();
           }"""
    )
    expect(tab.page).to_have_url(re.compile(r"q=one\+two$"))
    tab.expect_order([wanted])
    tab.by("select-all").check()
    expect(tab.by("selected")).to_contain_text("All 1")


def test_an_address_that_is_wrong_shows_no_task_and_says_why(tab: Tab, oq: Oq):
    oq.pause()
    task_id = oq.submit()
    tab.open("#/tasks?status=faild")
    expect(tab.by("wrong-address")).to_contain_text("“faild” is no status: it is pending, running,")
    expect(tab.by("select-all")).to_have_count(0)
    expect(tab.row(task_id)).to_have_count(0)
    tab.by("wrong-address").get_by_role("link").click()
    tab.expect_order([task_id])


def test_all_in_line_are_no_others(tab: Tab, oq: Oq):
    ended = oq.submit()
    oq.ended(ended)
    oq.pause()
    waiting = oq.submit()
    tab.open("#/tasks?sort=queue")
    tab.expect_order([waiting])
    tab.by("select-all").check()
    tab.by("bulk-delete").click()
    tab.by("confirm-yes").click()
    tab.expect_toast("No task was deleted")
    assert oq.task(ended)["status"] == "completed"


def test_escape_never_leaves_the_page(tab: Tab, oq: Oq):
    task_id = oq.submit()
    tab.open_task(task_id)
    tab.page.keyboard.press("o")
    expect(tab.by("figure-pending")).to_be_visible()
    tab.page.go_back()
    expect(tab.by("task-id")).to_have_text(task_id)
    tab.page.keyboard.press("Escape")
    expect(tab.by("total")).to_have_text("1 task")


def test_what_happens_shows_at_once(tab: Tab, oq: Oq):
    oq.pause()
    tab.open("tasks")
    expect(tab.by("empty")).to_be_visible()
    task_id = oq.submit()
    expect(tab.row(task_id).get_by_test_id("status")).to_have_attribute("data-status", "pending")
    oq.resume()
    expect(tab.row(task_id).get_by_test_id("status")).to_have_attribute("data-status", "completed")


def test_the_keyboard_is_enough(tab: Tab, oq: Oq):
    oq.pause()
    older, newer = oq.submit(), oq.submit()
    tab.open("overview")
    tab.page.keyboard.press("t")
    tab.expect_order([newer, older])
    tab.page.keyboard.press("/")
    expect(tab.by("search")).to_be_focused()
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("j")
    tab.page.keyboard.press("j")
    tab.page.keyboard.press("Enter")
    expect(tab.by("task-id")).to_have_text(older)
    tab.page.keyboard.press("Escape")
    tab.expect_order([newer, older])
    tab.page.keyboard.press("?")
    expect(tab.by("help")).to_be_visible()
    tab.page.keyboard.press("Escape")
    expect(tab.by("help")).to_have_count(0)


def test_fifty_thousand_tasks_are_scrolled_and_cancelled(full_oq: Oq, chromium: Browser):
    full_oq.pause()
    ids: list[str] = []
    for start in range(0, MANY, 10_000):
        payloads = [{"prompt": f"question {start + n}"} for n in range(10_000)]
        ids += full_oq.submit_many([{**GENERATE, "payload": payload} for payload in payloads])
    with tab_at(full_oq, chromium, viewport=USUAL) as tab:
        tab.open("tasks")
        expect(tab.by("total")).to_have_text("50,000 tasks")
        expect(tab.row(ids[-1])).to_contain_text(f"question {MANY - 1}")
        scroll(tab, 0.5)
        expect(tab.row(ids[MANY // 2])).to_contain_text(f"question {MANY // 2}")
        scroll(tab, 1)
        expect(tab.row(ids[0])).to_contain_text("question 0")
        assert tab.by("row").count() < 200, "only those that are seen are laid out"
        scroll(tab, 0)
        expect(tab.row(ids[-1])).to_be_visible()
        tab.by("select-all").check()
        tab.by("bulk-cancel").click()
        tab.by("confirm-yes").click()
        tab.expect_toast("50,000")  # before anything else is waited for: it goes after a while
        status = tab.row(ids[-1]).get_by_test_id("status")
        expect(status).to_have_attribute("data-status", "cancelled")
    assert full_oq.status()["cancelled_tasks"] == MANY


def scroll(tab: Tab, share: float) -> None:
    """Scroll the list so far down."""
    tab.by("list").evaluate("(list, share) => list.scrollTop = list.scrollHeight * share", share)
