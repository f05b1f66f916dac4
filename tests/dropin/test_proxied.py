"""What runs no model goes to the backend, and what changes its disk only if the config says so."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import ollama
import pytest

from tests.dropin.callers import ollama_client
from tests.dropin.ways import SOON, Way, direct, through_oq
from tests.support.ports import kept_port

DATA = b"weights " * 400_000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
ADMIN = [
    ("POST", "/api/pull"), ("POST", "/api/push"), ("POST", "/api/create"), ("POST", "/api/copy"),
    ("DELETE", "/api/delete"), ("POST", f"/api/blobs/{DIGEST}"),
]  # fmt: skip


@pytest.fixture(scope="module")
def allowed_way(machine_process, tmp_path_factory):
    """Through oq to a machine that callers may change."""
    folder = tmp_path_factory.mktemp("allowed")
    with through_oq(machine_process, folder, gateway={"allow_admin": True}) as way:
        yield way


@pytest.fixture(params=["direct", "oq"])
def changeable(request, machine):
    """Directly, or through an oq that allows it."""
    if request.param == "direct":
        with direct(machine) as way:
            yield way
    else:
        yield request.getfixturevalue("allowed_way")


@pytest.fixture
def admin(changeable, asynchronous):
    with ollama_client(changeable.url, asynchronous=asynchronous) as client:
        yield client


def names(client: ollama.Client) -> list[str | None]:
    return [model.model for model in client.list().models]


def test_a_pull_with_its_progress(admin):
    lines = list(admin.pull("new", stream=True))
    assert (lines[0].status, lines[-1].status) == ("pulling manifest", "success")
    assert [line.completed for line in lines if line.completed] == [2**20, 2**21, 3 * 2**20, 2**22]
    assert admin.pull("other").status == "success"
    assert names(admin) == ["m:latest", "new:latest", "other:latest"]


def test_progress_is_passed_on_as_it_comes(changeable, machine):
    machine.push(fault="hang", at=2)
    with changeable.http.stream("POST", "/api/pull", json={"model": "new"}) as response:
        lines = response.iter_lines()
        assert "pulling manifest" in next(lines)
        assert "pulling" in next(lines)
    machine.until(lambda: machine.calls[0].hung_up_at, "the machine sees the hang-up")


def test_a_pull_that_breaks_off(admin, machine):
    machine.push(fault="error", at=3, error="no space left on device")
    lines = admin.pull("new", stream=True)
    assert next(lines).status == "pulling manifest"
    next(lines)
    next(lines)
    with pytest.raises(ollama.ResponseError, match="no space left"):
        next(lines)


def test_a_pull_that_is_cut_never_ends_as_if_it_were_whole(changeable, machine):
    machine.push(fault="cut", at=3)
    text = ""
    try:
        with changeable.http.stream("POST", "/api/pull", json={"model": "new"}) as response:
            for part in response.iter_text():
                text += part
    except httpx.RemoteProtocolError:
        return
    assert json.loads(text.splitlines()[-1])["error"]


def test_copy_create_push_delete(admin):
    assert admin.copy("m", "mine").status == "success"
    assert admin.create("new", from_="mine").status == "success"
    assert admin.push("new").status == "success"
    assert admin.delete("mine").status == "success"
    assert names(admin) == ["m:latest", "new:latest"]
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        admin.delete("mine")
    assert caught.value.status_code == 404


def test_a_blob_is_passed_on_while_it_comes(changeable, admin, machine, tmp_path):
    assert changeable.http.head(f"/api/blobs/{DIGEST}").status_code == 404
    path = tmp_path / "weights"
    path.write_bytes(DATA)
    assert admin.create_blob(path) == DIGEST
    assert changeable.http.head(f"/api/blobs/{DIGEST}").status_code == 200
    assert machine.calls[-1].received == len(DATA)


def test_half_a_blob_is_at_the_machine_before_the_rest_is_sent(changeable, machine):
    machine.simulator.calls.clear()
    with sending(changeable, len(DATA)) as stream:
        stream.sendall(DATA[: len(DATA) // 2])
        machine.until(
            lambda: machine.calls and machine.calls[0].received > len(DATA) // 4, "half of it"
        )
        stream.sendall(DATA[len(DATA) // 2 :])
        assert stream.recv(65536).startswith(b"HTTP/1.1 201")


@contextmanager
def sending(way: Way, size: int) -> Iterator[socket.socket]:
    """An upload by hand, so that it can stop in the middle."""
    url = way.http.base_url
    with socket.create_connection((url.host, url.port or 0), timeout=SOON) as stream:
        head = f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n"
        stream.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
        yield stream


@pytest.mark.parametrize(("method", "path"), ADMIN)
def test_what_changes_the_machine_is_refused_unless_the_config_says(through, machine, method, path):
    refused = through.http.request(method, path, content=b'{"model":"m"}')
    assert refused.status_code == 403
    assert "gateway.allow_admin" in refused.json()["error"]
    assert machine.calls == []


def test_an_unknown_path_is_not_found(through):
    assert through.http.get("/api/nonsense").status_code == 404
    assert through.http.get("/v1/nonsense").status_code == 404


def test_a_look_is_passed_on_as_it_is(native_way):
    tags = native_way.http.get("/api/tags")
    straight = httpx.get(f"{native_way.machine.url}/api/tags", trust_env=False)
    assert (tags.content, tags.headers["content-type"]) == (
        straight.content,
        straight.headers["content-type"],
    )
    shown = native_way.http.post("/api/show", json={"model": "x"})
    assert (shown.status_code, shown.json()) == (404, {"error": "model 'x' not found"})


def test_another_port_may_have_another_priority(machine, tmp_path):
    with (
        kept_port() as port,
        through_oq(
            machine, tmp_path, gateway={"listen": [{"port": port, "priority": "low"}]}
        ) as way,
    ):
        body = {"model": "m", "prompt": "x", "stream": False}
        slow = httpx.post(f"http://127.0.0.1:{port}/api/generate", json=body)
        fast = way.http.post("/api/generate", json=body)
        priorities = [
            way.ended(answer.headers["x-oq-task-id"])["priority"] for answer in (slow, fast)
        ]
        assert priorities == [1, 10]
