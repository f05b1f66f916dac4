"""Every example runs against the simulated Ollama and prints what it should; README's too."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.example_servers import servers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
ID = r"[0-9a-f]{8}-[0-9a-f-]{27}"

PRINTED = {
    "basic": rf"""submitted {ID}
answered: (Hello, who are you\? ?)+.*
called back: (Hello, who are you\? ?)+.*
""",
    "client_server": rf"""submitted {ID}
status: (pending|running|completed)
answer: (Hello, who are you\? ?)+.*
""",
    "task_types": r"""chat: (Explain quantum computing\. ?)+.*
generate: (Write a function that computes .* ?)+
embed: 2 vectors
later: assistant \{'user': 'ada'\}
""",
    "streaming": r"""(Tell me a short story\. ?)+.*
done: completed
""",
    "batch": r"""task 1: chat completed \[.*'message'.*\]
task 2: generate completed \[.*'response'.*\]
task 3: embed completed \[.*'embeddings'.*\]
""",
    "events": rf"""(event: task_(started|completed), task: {ID}, status: (running|completed)
){{6}}""",
    "threads": r"""What is a thread\? -> (What is a thread\? ?)+
What is a queue\? -> (What is a queue\? ?)+
What is a lock\? -> (What is a lock\? ?)+
(Count to five\. ?)+.*
""",
    "async_processing": r"""in the background: (Hello! ?)+
in the batch: (One\? ?)+
in the batch: (Two\? ?)+
""",
    "full_config": r"""8 workers at most, backend http://127\.0\.0\.1:\d+
True
""",
}
IN_ANY_ORDER = {"async_processing"}
SERVERS = {"web_app", "flask_app"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    with servers(tmp_path_factory.mktemp("servers")) as found:
        yield os.environ | found | {"PYTHONWARNINGS": "error"}


def run(program: Path, cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, program], cwd=cwd, env=environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PRINTED) | SERVERS


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_it_should(name, environment, tmp_path):
    printed = run(EXAMPLES / f"{name}.py", tmp_path, environment)
    if name in IN_ANY_ORDER:
        printed = "".join(sorted(printed.splitlines(keepends=True)))
    assert re.fullmatch(PRINTED[name], printed), printed


@pytest.fixture
def application(request, environment, tmp_path):
    """A web application of the examples, running; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, EXAMPLES / f"{request.param}.py"], cwd=tmp_path,
        env=environment | {"PORT": str(port), "PYTHONWARNINGS": ""},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                wait_until_it_listens(port, process)
                yield client
        finally:
            process.terminate()


def wait_until_it_listens(port: int, process: subprocess.Popen) -> None:
    """Its own output says so too, but each framework in other words."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    pytest.fail("the application does not listen")


@pytest.mark.parametrize("application", ["web_app"], indirect=True)
def test_the_web_application_submits_and_reports(application):
    asked = application.post("/chat", json={"model": "llama3.2", "message": "Hi"})
    assert asked.json()["status"] == "submitted"
    path = f"/task/{asked.json()['task_id']}"
    while (task := application.get(path).json())["status"] in ("pending", "running"):
        pass
    assert (task["status"], task["error"]) == ("completed", None)
    assert "Hi" in task["result"]["message"]["content"]
    missing = application.get("/task/none")
    assert (missing.status_code, list(missing.json())) == (404, ["error"])
    wrong = application.post("/chat", json={"model": "", "message": "Hi"})
    assert (wrong.status_code, list(wrong.json())) == (400, ["error"])


@pytest.mark.parametrize("application", ["flask_app"], indirect=True)
def test_the_flask_application_answers(application):
    said = application.post("/chat", json={"model": "llama3.2", "message": "Hi"}).json()
    assert "Hi" in said["answer"]
    assert application.get("/status").json() == {"pending": 0, "completed": 1}


# -- README

BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def test_readme_has_examples_in_python():
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_in_readme_runs_as_it_stands(number, environment, tmp_path):
    """But for the addresses of the servers."""
    block = BLOCKS[number]
    assert "http://localhost:11434" in block or "localhost:7125" in block
    program = tmp_path / "block.py"
    program.write_text(
        block.replace("http://localhost:11434", environment["OLLAMA_HOST"]).replace(
            "localhost:7125", environment["OQ_SERVER"]
        )
    )
    assert run(program, tmp_path, environment) != ""
