"""Pages of other sites: they can neither read nor submit, cancel or listen.

Some would fail by the browser's own rules; what counts is that the server has done nothing either.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.children import Oq, slow


class _Blank(BaseHTTPRequestHandler):
    """An empty page, whatever is asked for."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>another site</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(params=["another port", "another name"])
def stranger(request, elsewhere: int, chromium: Browser) -> Iterator[Page]:
    """A page of another origin: of the same site for the browser, and of another one."""
    name = "127.0.0.1" if request.param == "another port" else "evil.test"
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"http://{name}:{elsewhere}/")
    yield page
    context.close()


# What came of a request: its status and its text, or that the page may not see them.
FETCH = """
async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return [answer.type, answer.status, await answer.text()];
  } catch (error) {
    return ["refused", 0, ""];
  }
}
"""


def ask(page: Page, url: str, **options: Any) -> list[Any]:
    return page.evaluate(FETCH, [url, options])


def test_it_cannot_read(stranger: Page, oq: Oq):
    task_id = oq.submit()
    for path in ("/api/tasks", f"/api/tasks/{task_id}", "/api/status", "/api/events", "/metrics"):
        assert ask(stranger, oq.url + path) == ["refused", 0, ""], path
        assert ask(stranger, oq.url + path, mode="no-cors")[2] == "", path


SIMPLE = {"mode": "no-cors", "headers": {"Content-Type": "text/plain"}}
"""What browsers send without asking first."""


def test_it_cannot_submit(stranger: Page, oq: Oq):
    """A page of this machine may make drop-in calls, as at Ollama; see the next test."""
    body = '{"type": "generate", "model": "m", "payload": {"prompt": "mine"}}'
    json = {"Content-Type": "application/json"}
    calls = () if "127.0.0.1" in stranger.url else ("/api/generate", "/v1/chat/completions")
    for path in ("/api/tasks", *calls):
        ask(stranger, oq.url + path, method="POST", body=body, **SIMPLE)
        assert ask(stranger, oq.url + path, method="POST", body=body, headers=json)[0] == "refused"
    ask(stranger, f"{oq.url}/api/tasks/batch", method="POST", body=f"[{body}]", **SIMPLE)
    assert oq.status()["total_tasks"] == 0


def test_a_page_of_this_machine_can_chat_and_sees_the_answer(
    elsewhere: int, chromium: Browser, oq: Oq
):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{elsewhere}/")
    headers = {"Content-Type": "application/json", "x-stainless-os": "Linux"}
    chat = '{"model": "llama3.2", "messages": [{"role": "user", "content": "hello"}]}'
    for path, end in (("/api/chat", '"done":true'), ("/v1/chat/completions", '"choices"')):
        kind, status, text = ask(page, oq.url + path, method="POST", body=chat, headers=headers)
        assert (kind, status) == ("cors", 200)
        assert end in text
    assert ask(page, f"{oq.url}/api/tags")[1] == 200
    assert oq.status()["total_tasks"] == 2
    assert ask(page, f"{oq.url}/api/tasks") == ["refused", 0, ""]
    context.close()


def test_it_cannot_submit_by_a_form(stranger: Page, oq: Oq):
    stranger.set_content(
        f'<form action="{oq.url}/api/tasks" method="post" enctype="text/plain">'
        '<input name=\'{"type":"generate","model":"m","payload":{"prompt":"\' value=\'x"}}\'>'
        "<button>go</button></form>"
    )
    with stranger.expect_navigation() as moved:
        stranger.get_by_text("go").click()
    assert moved.value.status == 403
    assert "pages of" in stranger.inner_text("body")
    assert oq.status()["total_tasks"] == 0


def test_it_cannot_change_anything(stranger: Page, oq: Oq):
    running = oq.submit(slow())
    while oq.task(running)["status"] != "running":
        pass
    oq.pause()
    waiting = oq.submit()
    body = {"action": "cancel", "ids": [waiting, running]}
    for path, payload in (
        (f"/api/tasks/{running}/cancel", ""),
        (f"/api/tasks/{waiting}/cancel", ""),
        (f"/api/tasks/{waiting}/priority", '{"priority": 100}'),
        ("/api/tasks/bulk", str(body).replace("'", '"')),
        ("/api/queue/resume", ""),
    ):
        ask(stranger, oq.url + path, method="POST", body=payload, **SIMPLE)
        ask(stranger, oq.url + path, method="POST", body=payload)
    ask(stranger, f"{oq.url}/api/tasks/{waiting}", method="DELETE")
    assert oq.task(running)["status"] == "running"
    assert oq.task(waiting)["status"] == "pending"
    assert oq.task(waiting)["priority"] == 5
    assert oq.status()["paused"]


def test_it_cannot_listen(stranger: Page, oq: Oq):
    for url in (f"{oq.url}/ws", f"{oq.url}/ws?after=0"):
        heard = stranger.evaluate(
            """(url) => new Promise((end) => {
                 const socket = new WebSocket(url.replace("http", "ws"));
                 socket.onopen = () => end("open");
                 socket.onmessage = (event) => end(event.data);
                 socket.onerror = () => end("refused");
               })""",
            url,
        )
        assert heard == "refused"
    heard = stranger.evaluate(
        """(url) => new Promise((end) => {
             const source = new EventSource(url);
             source.onopen = () => end("open");
             source.onmessage = (event) => end(event.data);
             source.onerror = () => end("refused");
           })""",
        f"{oq.url}/api/events?after=0",
    )
    assert heard == "refused"


def test_it_cannot_show_the_dashboard_in_a_frame(stranger: Page, oq: Oq):
    stranger.set_content(f'<iframe src="{oq.url}/" width="800" height="600"></iframe>')
    frame = stranger.wait_for_selector("iframe").content_frame()
    assert frame is not None
    frame.wait_for_load_state()
    assert frame.query_selector("#app") is None


def test_it_cannot_load_the_dashboard_s_files(stranger: Page, oq: Oq):
    assets = oq.http.get("/", headers={"Accept": "text/html"}).text
    script = assets.partition('src="')[2].partition('"')[0]
    assert script.startswith("/assets/")
    loaded = stranger.evaluate(
        """(url) => new Promise((end) => {
             const script = document.createElement("script");
             script.src = url;
             script.onload = () => end("loaded");
             script.onerror = () => end("refused");
             document.head.append(script);
           })""",
        oq.url + script,
    )
    assert loaded == "refused"


def test_a_link_to_the_dashboard_works(stranger: Page, oq: Oq):
    stranger.set_content(f'<a href="{oq.url}/">the queue</a>')
    stranger.get_by_text("the queue").click()
    stranger.get_by_test_id("connection").get_by_text("Live").wait_for()


def test_a_name_that_was_made_to_lead_here_gets_nothing(chromium: Browser, oq: Oq):
    """DNS rebinding: the page came from elsewhere, and now its name leads here. For the browser it
    and the queue have one origin.
    """
    site = f"http://rebound.test:{oq.port}"
    context = chromium.new_context()
    page = context.new_page()
    page.route(f"{site}/first", lambda route: route.fulfill(body="<title>evil</title>"))
    page.goto(f"{site}/first")
    oq.pause()
    waiting = oq.submit()
    for path in ("/", "/api/status", "/api/tasks", f"/api/tasks/{waiting}", "/openapi.json"):
        kind, status, text = ask(page, path)
        assert (kind, status) == ("basic", 403), path
        assert "rebound.test" in text
    for path, body in (
        ("/api/tasks", '{"type": "generate", "model": "m", "payload": {"prompt": "mine"}}'),
        ("/api/tasks/bulk", '{"action": "cancel", "filter": {}}'),
        (f"/api/tasks/{waiting}/cancel", ""),
    ):
        assert ask(page, path, method="POST", body=body)[1] == 403
    assert oq.status()["pending_tasks"] == oq.status()["total_tasks"] == 1
    context.close()


@pytest.mark.parametrize("name", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test"])
def test_a_foreign_host_is_refused_without_a_browser_too(oq: Oq, name: str):
    headers = {"Host": f"{name}:{oq.port}"}
    wish = {"action": "cancel", "filter": {}}
    for method, path in (
        ("GET", "/"), ("GET", "/api/tasks"), ("GET", "/api/stats"), ("GET", "/api/backends"),
        ("GET", "/assets/x.js"), ("POST", "/api/tasks/bulk"), ("GET", "/ws"),
    ):  # fmt: skip
        url, body = oq.url + path, wish if method == "POST" else None
        reply = httpx.request(method, url, headers=headers, json=body, trust_env=False)
        assert reply.status_code == 403, path


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "http://127.0.0.1:1"])
def test_a_foreign_origin_is_refused_without_a_browser_too(oq: Oq, origin: str):
    oq.pause()
    oq.submit()
    body = {"action": "cancel", "filter": {}}
    reply = oq.http.post("/api/tasks/bulk", headers={"Origin": origin}, json=body)
    assert reply.status_code == 403
    assert oq.status()["pending_tasks"] == 1
