"""Single tasks: submitted, watched, cancelled, brought forward, read."""

from __future__ import annotations

import json
import re

from playwright.sync_api import expect

from tests.browser.children import GENERATE, Ollama, Oq, answer, slow
from tests.browser.tab import Tab


def test_a_task_is_submitted_and_watched_as_it_streams(tab: Tab, oq: Oq, ollama: Ollama):
    ollama.script({"text": " ".join(f"word{n}" for n in range(2000)), "rate": 40})
    tab.open("submit")
    tab.by("type-generate").click()
    tab.by("model").fill("llama3.2")
    tab.by("prompt").fill("Count, please.")
    tab.by("submit").click()
    expect(tab.page).to_have_url(re.compile(r"#/task/[0-9a-f-]{36}$"))
    tab.expect_status("running")
    expect(tab.by("asked")).to_contain_text("Count, please.")
    expect(tab.by("streaming")).to_be_visible()
    words = tab.by("answer").get_by_test_id("words")
    expect(words).to_contain_text("word3 ")
    expect(words).not_to_contain_text("word1999")
    expect(words).to_contain_text("word20 ")
    tab.by("cancel").click()
    tab.expect_status("cancelled")
    task_id = tab.by("task-id").inner_text()
    assert oq.ended(task_id)["status"] == "cancelled"
    expect(words).to_contain_text("word20 ")  # what was generated stays


def test_a_page_opened_in_the_middle_shows_it_from_the_beginning(tab: Tab, oq: Oq):
    task_id = oq.submit(slow())
    said = ""
    with oq.http.stream("GET", f"/api/tasks/{task_id}/stream") as chunks:
        lines = chunks.iter_lines()
        while "word10 " not in said:
            said += json.loads(next(lines))["data"]
    tab.open_task(task_id)
    words = tab.by("answer").get_by_test_id("words")
    expect(words).to_contain_text("word0 word1 word2 ")
    expect(words).to_contain_text("word30 ")
    oq.http.post(f"/api/tasks/{task_id}/cancel").raise_for_status()
    tab.expect_status("cancelled")


def test_a_task_is_followed_to_its_result(tab: Tab, oq: Oq):
    oq.pause()
    chat = {
        "type": "chat",
        "model": "llama3.2",
        "payload": {
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi!"},
                {"role": "user", "content": "Name a colour."},
            ],
        },
        "options": {"simulate": {"text": "Blue."}},
    }
    task_id = oq.submit(chat)
    tab.open_task(task_id)
    tab.expect_status("pending")
    expect(tab.by("position")).to_have_text("number 1 in line")
    asked = tab.by("asked").get_by_test_id("turn")
    expect(asked).to_have_count(4)
    expect(asked.last).to_contain_text("Name a colour.")
    oq.resume()
    tab.expect_status("completed")
    expect(tab.by("answer").get_by_test_id("words")).to_have_text("Blue.")
    expect(tab.by("timeline")).to_contain_text("Submitted")


def test_a_failed_task_says_why_and_is_tried_again(tab: Tab, oq: Oq, ollama: Ollama):
    ollama.script({"status": 400, "error": "not like this"})
    task_id = oq.submit()
    oq.ended(task_id)
    tab.open_task(task_id)
    tab.expect_status("failed")
    expect(tab.by("error")).to_contain_text("not like this")
    tab.by("retry").click()
    tab.expect_status("completed")
    expect(tab.by("attempt-error").first).to_contain_text("not like this")


def test_a_task_is_cloned_into_the_form(tab: Tab, oq: Oq):
    oq.pause()
    task_id = oq.submit(answer("later"), priority=10, metadata={"user": "ada"})
    tab.open_task(task_id)
    tab.by("clone").click()
    expect(tab.by("prompt")).to_have_value("Why is the sky blue?")
    expect(tab.by("submit-priority")).to_have_value("10")
    tab.by("submit").click()
    expect(tab.page).to_have_url(re.compile("#/task/"))
    expect(tab.by("position")).to_have_text("number 2 in line")
    clone = oq.task(tab.by("task-id").inner_text())
    assert clone["id"] != task_id
    assert clone["metadata"] == {"user": "ada"}
    assert clone["options"] == {"simulate": {"text": "later"}}


def test_a_call_is_cloned_with_all_that_it_said(tab: Tab, oq: Oq, ollama: Ollama):
    said = (
        '{"model":"llama3.2","messages":[{"role":"user","content":"hi"}],"max_tokens":5,'
        '"seed":9007199254740993,"response_format":{"type":"json_object"}}'
    )
    headers = {"Content-Type": "application/json"}
    oq.http.post("/v1/chat/completions", content=said, headers=headers).raise_for_status()
    [first] = oq.http.get("/api/tasks").json()
    tab.open_task(first["id"])
    tab.by("clone").click()
    expect(tab.by("is-call")).to_contain_text("/v1/chat/completions")
    tab.by("submit").click()
    expect(tab.page).to_have_url(re.compile("#/task/"))
    clone = oq.ended(tab.by("task-id").inner_text())
    assert clone["id"] != first["id"]
    assert clone["status"] == "completed"
    assert clone["payload"] == oq.task(first["id"])["payload"]
    # Python's integers are exact.
    assert clone["payload"]["seed"] == 9007199254740993


def test_a_task_is_deleted_after_a_question(tab: Tab, oq: Oq):
    task_id = oq.submit()
    oq.ended(task_id)
    tab.open_task(task_id)
    tab.by("delete").click()
    tab.by("confirm-no").click()
    expect(tab.by("task-id")).to_have_text(task_id)
    tab.by("delete").click()
    tab.by("confirm-yes").click()
    expect(tab.page).to_have_url(re.compile("#/tasks"))
    assert oq.http.get(f"/api/tasks/{task_id}").status_code == 404


def test_a_task_that_there_is_not(tab: Tab):
    with tab.allowing("404"):
        tab.open_task("01990000-0000-7000-8000-000000000000")
        expect(tab.by("missing")).to_be_visible()


def test_a_wrong_form_says_what_is_wrong(tab: Tab, oq: Oq):
    tab.open("submit")
    tab.by("type-generate").click()
    tab.by("prompt").fill("hello")
    tab.by("submit").click()
    expect(tab.by("problems")).to_contain_text("model")
    assert oq.status()["total_tasks"] == 0


def test_many_tasks_come_from_a_file(tab: Tab, oq: Oq):
    oq.pause()
    lines = [json.dumps(GENERATE) for _ in range(250)]
    lines[100] = '{"type": "generate"}'
    body = "\n".join(lines).encode()
    tab.open("submit")
    file = {"name": "tasks.jsonl", "mimeType": "application/x-ndjson", "buffer": body}
    tab.by("file").set_input_files(file)
    with tab.allowing("400"):
        expect(tab.by("upload-state")).to_contain_text("249 stored")
        expect(tab.by("upload-errors")).to_contain_text("line 101")
    assert oq.status()["pending_tasks"] == 249
