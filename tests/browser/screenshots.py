"""`make screenshots`: each view of the dashboard, light, dark and narrow, into docs/screenshots.

What is seen comes from a seeded server on a simulated model; only the charts, which take a quarter
of an hour to fill, are given the figures of a made-up one.
"""

from __future__ import annotations

import io
import math
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image
from playwright.sync_api import Browser, Route, expect, sync_playwright

from oq.http.site import BUILT
from oq.rules.history import WINDOWS, History
from oq.rules.model_counts import ModelTasks
from oq.rules.model_table import stats_by_model
from oq.words.stats import Stats
from tests.browser.children import Oq, served, simulated_ollama
from tests.browser.chromium import FLAGS, find_chromium
from tests.browser.tab import Tab, tab_at
from tests.project.test_house import HOUSE

FOLDER = HOUSE.parent / "docs" / "screenshots"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1200, "height": 750}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1200, "height": 750}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 390, "height": 760}, "color_scheme": "light"},
}
COLOURS = 128
"""In a picture: the eye sees no difference, and the file is a third as large."""
STEADY = {"locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce"}

QUESTIONS = (
    "Why is the sky blue?",
    "Summarise this thread for someone who was away.",
    "Translate the attached menu into French.",
    "Write a haiku on queues.",
    "Which of these tickets are duplicates?",
    "Explain group commit to a new colleague.",
    "Draft a polite answer to this complaint.",
    "What does this stack trace mean?",
    "Name three risks of this plan.",
    "Turn these notes into minutes.",
)
BOX = ("--parallel", "2", "--max-models", "1")
MODELS = ("llama3.2", "qwen3:4b")
STORY = (
    "A queue in front of a model does three things. It keeps what was asked, so that nobody has to"
    " ask again when a process dies. It decides who is next, so that what is urgent does not wait"
    " behind what is merely long. And it tells everybody how it goes, token by token.\n\n"
    "Group commit is the trick that makes the first of these cheap: whoever arrives while the disk"
    " is busy shares the next sync with all the others who wait."
)


def main() -> None:
    path = find_chromium()
    if path is None or not (BUILT / "index.html").exists():
        sys.exit("screenshots need a Chromium and the built page; `make screenshots` sees to both")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        directory = Path(name)
        with simulated_ollama(directory, *BOX) as ollama:
            config = directory / "config.yaml"
            config.write_bytes(msgspec.json.encode(settings(ollama.url)))  # which is YAML too
            with served(directory, None, "--config", str(config)) as oq:
                take_all(browser, oq, seed(oq))
        browser.close()


def settings(url: str) -> dict[str, Any]:
    """Of an oq with a backend that holds one model at a time."""
    return {"backends": [{"name": "box1", "kind": "ollama", "url": url, "max_models": 1}]}


def seed(oq: Oq) -> dict[str, str]:
    """A queue in the middle of its work; the ids of the tasks that are looked at."""
    dice = random.Random(6)
    for _ in range(24):
        oq.ended(oq.submit(some(dice)))
    refusal = {"status": 400, "error": "this model does not support tools"}
    oq.ended(oq.submit(some(dice, **refusal), priority="high"))
    ids = {"task": oq.submit(conversation())}
    oq.ended(ids["task"])
    running = [oq.submit(some(dice, text="\n\n".join([STORY] * 40), rate=12)) for _ in range(4)]
    ids["running"] = running[0]
    for _ in range(30):
        level = dice.choices(("critical", "high", "normal", "low"), (1, 4, 12, 5))[0]
        oq.submit(some(dice), priority=level)
    soon = datetime.now(UTC) + timedelta(hours=2)
    oq.submit(some(dice), run_at=soon.isoformat())
    cancelled = oq.submit(some(dice))
    oq.http.post(f"/api/tasks/{cancelled}/cancel").raise_for_status()
    return ids


def some(dice: random.Random, **script: Any) -> dict[str, Any]:
    question = dice.choice(QUESTIONS)
    simulate = {"text": "As you wish.", **script}
    return {
        "type": "generate",
        "model": dice.choice(MODELS),
        "payload": {"prompt": question},
        "options": {"simulate": simulate},
        "metadata": {"team": dice.choice(("support", "research", "web"))},
    }


def conversation() -> dict[str, Any]:
    return {
        "type": "chat",
        "model": "llama3.2",
        "priority": "high",
        "payload": {
            "system": "You explain things in plain words.",
            "messages": [
                {"role": "user", "content": "What is a queue good for?"},
                {"role": "assistant", "content": "For three things. Which one do you mean?"},
                {"role": "user", "content": "All of them, and say what group commit is."},
            ],
        },
        "options": {"temperature": 0.2, "simulate": {"text": STORY}},
        "metadata": {"user": "ada"},
    }


def lately(oq: Oq) -> dict[str, bytes]:
    """The answers about a queue that has worked for a while, by the paths that are asked."""
    dice, history = random.Random(6), History()
    now = datetime.now(UTC)
    history.begin(now - timedelta(minutes=14))
    for second in range(14 * 60):
        at = now - timedelta(seconds=14 * 60 - 1 - second)
        for _ in range(int(2 + 1.5 * math.sin(second / 90) + dice.random())):
            ended = "failed" if dice.random() < 0.03 else "completed"
            counts = {"submitted": 1, ended: 1, "prompt_tokens": dice.randint(30, 300)}
            waited = dice.expovariate(0.5) * (1.5 + math.sin(second / 90))
            model = dice.choices(MODELS, (2 + math.sin(second / 60), 1))[0]
            tokens = dice.randint(10, 60)
            history.add(at, model, {**counts, "tokens": tokens}, [waited], [0.8 + waited / 3])
    interval, oldest = WINDOWS["15m"].interval, now - timedelta(seconds=95)
    stats = Stats(interval, history.points("15m", now), oldest)
    tasks = {
        row["model"]: ModelTasks(row["waiting"], row["running"])
        for row in oq.http.get("/api/models").json()["models"]
    }
    return {
        "**/api/stats*": msgspec.json.encode(stats),
        "**/api/models": msgspec.json.encode(stats_by_model(history, "15m", now, tasks, ())),
    }


def overview(tab: Tab, ids: dict[str, str]) -> None:
    tab.open("overview")
    expect(tab.by("backend")).to_contain_text("In memory")
    expect(tab.by("model")).to_have_count(2)
    expect(tab.by("oldest")).to_contain_text("since")


def tasks(tab: Tab, ids: dict[str, str]) -> None:
    tab.open("tasks")
    expect(tab.by("row").nth(8).get_by_test_id("status")).to_be_visible()


def queue(tab: Tab, ids: dict[str, str]) -> None:
    tab.open("#/tasks?status=pending&sort=queue")
    boxes = tab.by("list").get_by_role("checkbox")
    for index in (1, 2, 4):
        boxes.nth(index).check()
    expect(tab.by("selected")).to_have_text("3 selected")


def task(tab: Tab, ids: dict[str, str]) -> None:
    tab.open_task(ids["task"])
    expect(tab.by("answer-turn")).to_contain_text("Group commit")


def running(tab: Tab, ids: dict[str, str]) -> None:
    tab.open_task(ids["running"])
    expect(tab.by("answer-turn")).to_contain_text("token by token")


def submit(tab: Tab, ids: dict[str, str]) -> None:
    tab.open(f"#/submit?clone={ids['task']}")
    expect(tab.by("message")).to_have_count(3)


VIEWS: tuple[Callable[[Tab, dict[str, str]], None], ...] = (
    overview, tasks, queue, task, running, submit
)  # fmt: skip


def take_all(browser: Browser, oq: Oq, ids: dict[str, str]) -> None:
    answers = lately(oq)
    for look, how in LOOKS.items():
        with posing(browser, oq, answers, how) as tab:
            for view in VIEWS:
                view(tab, ids)
                tab.page.mouse.move(0, 0)
                path = FOLDER / f"{view.__name__}-{look}.png"
                taken = tab.page.screenshot(animations="disabled", caret="hide")
                Image.open(io.BytesIO(taken)).quantize(COLOURS).save(path, optimize=True)
                print(path.relative_to(HOUSE.parent), path.stat().st_size // 1024, "kB")  # noqa: T201 - what it is for


@contextmanager
def posing(
    browser: Browser, oq: Oq, answers: dict[str, bytes], how: dict[str, Any]
) -> Iterator[Tab]:
    with tab_at(oq, browser, **how, **STEADY) as tab:
        for path, answer in answers.items():
            tab.page.route(path, partial(_answer, answer))
        yield tab


def _answer(answer: bytes, route: Route) -> None:
    route.fulfill(body=answer, content_type="application/json")


if __name__ == "__main__":
    main()
