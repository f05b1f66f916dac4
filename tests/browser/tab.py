"""A browser's tab with the dashboard in it, and everything that must not happen there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Request, expect

from tests.browser.children import Oq

PATIENCE = 60_000
"""Milliseconds that an expectation may take on a loaded machine: no test passes by waiting."""

VIEWS = {"overview": "#/", "tasks": "#/tasks", "submit": "#/submit"}

# What the policy has refused is told here too, should the console be silent about it.
_WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI}`));
"""


class Tab:
    """A tab at an oq. `check` fails if the page logged an error, asked another host for anything,
    broke its policy or opened a dialog.
    """

    def __init__(self, oq: Oq, page: Page) -> None:
        self.oq = oq
        self.page = page
        self.problems: list[str] = []
        self._allowed: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.add_init_script(_WATCH)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("request", self._request)
        page.on("dialog", self._dialog)

    def open(self, where: str = "#/") -> None:
        """Go to a view (``overview``) or an address behind the slash, and wait until it is live."""
        self.page.goto(f"{self.oq.url}/{VIEWS.get(where, where)}")
        expect(self.by("connection")).to_have_text("Live")

    def open_task(self, task_id: str) -> None:
        self.open(f"#/task/{task_id}")

    def by(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    def row(self, task_id: str) -> Locator:
        """The task's line in the list."""
        return self.page.locator(f"[data-testid=row][data-id='{task_id}']")

    def expect_order(self, ids: list[str]) -> None:
        """Wait until the list shows just these, in this order."""
        self.page.wait_for_function(
            """(wanted) => {
                 const rows = [...document.querySelectorAll("[data-testid=row][data-id]")];
                 rows.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex);
                 return JSON.stringify(rows.map((row) => row.dataset.id)) === wanted;
               }""",
            arg=_json(ids),
        )

    def expect_status(self, status: str) -> None:
        """Wait until the view of one task says that it is in this state."""
        expect(self.by("task")).to_have_attribute("data-status", status)

    def expect_toast(self, text: str) -> None:
        """Wait until it is told so."""
        expect(self.by("toasts")).to_contain_text(text)

    @contextmanager
    def allowing(self, *patterns: str) -> Iterator[None]:
        """What matches one of these in the console is meant to happen meanwhile."""
        self._allowed += patterns
        yield
        for pattern in patterns:
            self._allowed.remove(pattern)

    def check(self) -> None:
        assert self.problems == []

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        text = f"{message.type}: {message.text} ({message.location.get('url', '')})"
        if not any(re.search(pattern, text) for pattern in self._allowed):
            self.problems.append(text)

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        own = urlsplit(self.oq.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != own.netloc:
            self.problems.append(f"a request to {request.url}")

    def _dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"a dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def tab_at(oq: Oq, chromium: Browser, **how: object) -> Iterator[Tab]:
    """A tab of its own, checked at the end. `how` is for the browser: size, colours, ..."""
    context = chromium.new_context(**how)  # type: ignore[arg-type]
    try:
        tab = Tab(oq, context.new_page())
        yield tab
        tab.check()
    finally:
        context.close()


def _json(values: list[str]) -> str:
    """As JSON.stringify writes it."""
    return "[" + ",".join(f'"{value}"' for value in values) + "]"
