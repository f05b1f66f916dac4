"""The queue as a whole: how it goes, pausing it, losing it and having it back."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.children import Oq, slow
from tests.browser.tab import Tab

GONE = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE",
        "ERR_INCOMPLETE_CHUNKED_ENCODING", "WebSocket connection to")  # fmt: skip
"""What a browser logs while nobody answers."""


def test_the_overview_follows_what_happens(tab: Tab, oq: Oq):
    tab.open("overview")
    expect(tab.by("figure-completed")).to_contain_text("0")
    expect(tab.by("backend")).to_have_attribute("data-up", "true")
    tab.by("pause").click()
    expect(tab.by("paused")).to_be_visible()
    task_id = oq.submit(priority="high")
    expect(tab.by("figure-pending")).to_contain_text("1")
    expect(tab.by("by-priority")).to_contain_text("high")
    tab.by("pause").click()
    oq.ended(task_id)
    expect(tab.by("figure-completed")).to_contain_text("1")
    expect(tab.by("paused")).to_have_count(0)


def test_a_server_that_dies_and_comes_back(tab: Tab, oq: Oq):
    running, *_ = [oq.submit(slow(rate=20)) for _ in range(4)]  # as many as there are workers
    waiting = [oq.submit(priority="low") for _ in range(3)]
    tab.open_task(running)
    words = tab.by("answer").get_by_test_id("words")
    expect(words).to_contain_text("word5 ")
    with tab.allowing(*GONE):
        oq.kill()
        expect(tab.by("lost")).to_be_visible()
        oq.start()
        expect(tab.by("connection")).to_have_text("Live")
    expect(tab.by("lost")).to_have_count(0)
    tab.expect_status("running")  # again: it was interrupted, which is no failure
    assert len(oq.task(running)["attempts"]) == 2
    expect(words).to_contain_text("word5 ")
    tab.open("#/tasks?sort=oldest")
    expect(tab.by("total")).to_have_text("7 tasks")
    for task_id in waiting:
        status = tab.row(task_id).get_by_test_id("status")
        expect(status).to_have_attribute("data-status", "pending")
