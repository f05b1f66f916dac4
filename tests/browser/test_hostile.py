"""Text that wants to be more than text: it is shown as it is, and does nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.children import Ollama, Oq, answer
from tests.browser.tab import Tab

MARKUP = (
    "<script>window.hit = 1; alert(1)</script>"
    '"><img src=x onerror="window.hit = 2; alert(2)">'
    "'><svg onload=alert(3)></svg>"
    '<iframe src="javascript:alert(4)"></iframe>'
    "<style>body { display: none }</style>"
    '<a href="javascript:alert(5)">a link</a>'
    "{{constructor.constructor('alert(6)')()}} ${alert(7)} {@html alert(8)}"
    " https://evil.test/?q=1 </textarea></title></script><!-- &lt;b&gt; &amp;amp;"
)
DIRECTIONS = "\u202ebackwards\u202c \u2067right to left\u2069 \u05e9\u05dc\u05d5\u05dd \u200b\u200d"
PICTURES = "🧪 👩🏽‍🔬 🏳️‍🌈 e\u0301 ﷽ z̸̧̛͓a̷l̴g̵o̶"
HOSTILE = f"{MARKUP}\n{DIRECTIONS}\n{PICTURES}\nthe end"
MODEL = '"><img src=x onerror=alert(9)> שלום 🧪'

MEGABYTE = 1_000_000


@pytest.fixture
def harmless(tab: Tab) -> Iterator[Tab]:
    """A tab in which nothing of what it shows may come to life."""
    yield tab
    assert tab.page.evaluate("window.hit") is None
    for alive in ("iframe", "main script", "main style", "img", "a[href^='javascript']", "object"):
        assert tab.page.locator(alive).count() == 0, alive
    expect(tab.page.locator("main")).to_be_visible()


def shows(where: Locator, text: str) -> None:
    """What is shown there is just this text, as text: no element came of it."""
    expect(where).to_contain_text("the end")
    assert " ".join(where.inner_text().split()) == " ".join(text.split())
    inside = where.locator("*:not(div)")
    assert inside.count() == 0


def test_a_prompt_and_its_answer(harmless: Tab, oq: Oq):
    task = {**answer(HOSTILE), "model": MODEL, "metadata": {HOSTILE: HOSTILE}}
    task["payload"] = {"prompt": HOSTILE}
    oq.http.post("/api/tasks", json=task)
    (line,) = oq.http.get("/api/tasks").json()
    harmless.open_task(line["id"])
    asked = harmless.by("asked").get_by_test_id("words").first
    shows(asked, HOSTILE)
    expect(harmless.page.get_by_role("heading", level=1)).to_contain_text(MODEL)


def test_an_answer_of_a_real_call(harmless: Tab, oq: Oq, ollama: Ollama):
    ollama.script({"text": HOSTILE})
    task_id = oq.submit(payload={"prompt": HOSTILE})
    oq.ended(task_id)
    harmless.open_task(task_id)
    harmless.expect_status("completed")
    shows(harmless.by("answer").get_by_test_id("words").first, HOSTILE)
    for raw in harmless.by("raw").all():
        raw.locator("summary").click()
    expect(harmless.by("raw").last).to_contain_text("onerror")


def test_an_answer_while_it_streams(harmless: Tab, oq: Oq, ollama: Ollama):
    ollama.script({"text": HOSTILE, "rate": 30})
    task_id = oq.submit()
    harmless.open_task(task_id)
    shows(harmless.by("answer").get_by_test_id("words").first, HOSTILE)


def test_an_error(harmless: Tab, oq: Oq, ollama: Ollama):
    ollama.script({"status": 400, "error": HOSTILE})
    task_id = oq.submit()
    oq.ended(task_id)
    harmless.open_task(task_id)
    expect(harmless.by("error-words")).to_contain_text(MARKUP)
    harmless.open("tasks")
    expect(harmless.row(task_id)).to_contain_text("<script>")


def test_a_conversation_with_everything_in_it(harmless: Tab, oq: Oq):
    oq.pause()
    messages = [
        {"role": "system", "content": HOSTILE},
        {"role": HOSTILE, "content": "an odd role"},
        {"role": "user", "content": HOSTILE, "images": [HOSTILE, "aGVsbG8=", "PHN2Zz4="]},
        {"role": "assistant", "content": "", "thinking": HOSTILE,
         "tool_calls": [{"function": {"name": MARKUP, "arguments": {MARKUP: HOSTILE}}}]},
    ]  # fmt: skip
    task_id = oq.submit({"type": "chat", "model": MODEL, "payload": {"messages": messages}})
    harmless.open_task(task_id)
    expect(harmless.by("asked").get_by_test_id("turn")).to_have_count(4)
    shows(harmless.by("asked").get_by_test_id("words").first, HOSTILE)
    expect(harmless.by("tool-call")).to_contain_text("<script>")


def test_a_line_of_the_list_and_the_form(harmless: Tab, oq: Oq):
    oq.pause()
    task_id = oq.submit(model=MODEL, payload={"prompt": HOSTILE})
    harmless.open("tasks")
    expect(harmless.row(task_id)).to_contain_text("<script>window.hit = 1; alert(1)</script>")
    expect(harmless.row(task_id)).to_contain_text(MODEL)
    harmless.open(f"#/submit?clone={task_id}")
    expect(harmless.by("prompt")).to_have_value(HOSTILE)
    expect(harmless.by("model")).to_have_value(MODEL)


def test_marks_that_turn_the_text_around_are_no_part_of_a_model_s_name(oq: Oq):
    reply = oq.http.post("/api/tasks", json={**answer("x"), "model": "good\u202elive"})
    assert reply.status_code == 400
    assert "printable" in reply.json()["error"]


def test_an_address_with_markup(harmless: Tab):
    harmless.open("#/tasks?q=<img src=x onerror=alert(1)>&status=<script>")
    expect(harmless.by("search")).to_have_value("<img src=x onerror=alert(1)>")
    harmless.open("#/<img src=x onerror=alert(1)>")
    expect(harmless.by("trouble")).to_be_visible()


def test_a_megabyte_of_text(harmless: Tab, oq: Oq, ollama: Ollama):
    word = "<b>🧪</b>" + "x" * 4000  # the simulated model says a word at a time
    long = f"{word} " * (MEGABYTE // len(word)) + "the end"
    ollama.script({"text": long})
    task_id = oq.submit(payload={"prompt": long})
    oq.ended(task_id)
    harmless.open_task(task_id)
    harmless.expect_status("completed")
    answered = harmless.by("answer")
    expect(answered.get_by_test_id("words").first).to_contain_text("<b>🧪</b>xxx")
    answered.get_by_test_id("show-all").first.click()
    expect(answered.get_by_test_id("words").first).to_contain_text("the end")
    assert answered.locator("b").count() == 0
    harmless.open("tasks")
    expect(harmless.row(task_id)).to_contain_text("<b>🧪</b>xxx")


def test_one_word_of_a_megabyte_does_not_widen_the_page(harmless: Tab, oq: Oq):
    oq.pause()
    word = "x" * MEGABYTE
    task_id = oq.submit(model="m" * 256, payload={"prompt": word})
    for where in (f"#/task/{task_id}", "#/tasks", f"#/submit?clone={task_id}"):
        harmless.open(where)
        wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not harmless.page.evaluate(wider), where
