"""The demonstration: a model, a server, three tasks, their answers, and a clean end."""

from __future__ import annotations

import os
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from oq.cli.demo.children import Child, child
from oq.cli.demo.feed import open_feed
from oq.cli.demo.model import NAME, find_model
from oq.cli.demo.show import Line, showing
from oq.cli.show_task import answer_text
from oq.cli.terminal import clean_text
from oq.client import Client, NewTask, chat, embed, generate
from oq.settings import load_settings, variable
from oq.words.durations import format_duration
from oq.words.errors import TaskFailed
from oq.words.events import Event
from oq.words.task import Priority, Status, Task, time_inside

_STILL = {"temperature": 0, "seed": 1}
_TASKS = (
    generate(
        NAME,
        "Complete the sentence: The early bird",
        options=_STILL | {"num_predict": 64},
        priority=Priority.LOW,
    ),
    embed(NAME, "A queue is served from the front.", priority=Priority.NORMAL),
    chat(
        NAME,
        [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}],
        options=_STILL | {"num_predict": 64},
        priority=Priority.HIGH,
    ),
)
"""In the order in which they are submitted; the last is the first to run."""


def run_demo(*, keep: bool = False) -> None:
    """Run the demonstration; with `keep` the server then stays up until Ctrl-C or SIGTERM.

    NoModel if the model is not installed, ChildFailed if a process does not do what it should,
    TaskFailed if a task does not complete.
    """
    path = find_model()
    with tempfile.TemporaryDirectory(prefix="oq-demo-") as name:
        folder = Path(name)
        with _model(path, folder) as model:
            demonstrate(model.url, folder, keep=keep)


def demonstrate(model_url: str, folder: Path, *, keep: bool = False) -> None:
    """The part after the model: any OpenAI-compatible server at `model_url` will do."""
    with _server(model_url, folder) as server:
        _show_three_tasks(server.url)
        if keep:
            _keep(server)
        _say("stopping the server")
        server.stop()
        _say("stopped cleanly, exit code 0")


@contextmanager
def _model(path: Path, folder: Path) -> Iterator[Child]:
    _say(f"loading {path.stem} ({path.stat().st_size / 1e6:.0f} MB)")
    began = time.monotonic()
    arguments = ["-m", "oq.cli.demo.model_server", str(path), NAME]
    with child("model server", arguments, folder, os.environ) as model:
        _say(f"llama.cpp serves it at {model.url}, after {_since(began)}")
        yield model


@contextmanager
def _server(model_url: str, folder: Path) -> Iterator[Child]:
    """`oq serve` on a fresh data directory, with one worker, so that order can be seen."""
    settings = {
        "backends": [{"name": NAME, "kind": "openai", "url": model_url}],
        "queue": {"max_workers": 1, "storage_path": str(folder / "data")},
        "server": {"host": "127.0.0.1", "port": 0},
        "logging": {"level": "info", "format": "console"},
    }
    config = folder / "config.yaml"
    config.write_bytes(msgspec.yaml.encode(settings))
    arguments = ["-m", "oq.cli", "serve", "--config", str(config)]
    with child("oq server", arguments, folder, _own_environment()) as server:
        _say(f"oq serve answers at {server.url}, its data is in {folder / 'data'}")
        yield server


def _own_environment() -> Mapping[str, str]:
    """The environment without oq's settings: the demo's are not the user's."""
    known = {variable(key) for key, _, _ in load_settings(os.devnull).rows()}
    return {name: value for name, value in os.environ.items() if name not in known}


def _show_three_tasks(url: str) -> None:
    with Client(url) as client, open_feed(url) as events:
        _say("submitting three tasks while the queue is paused, the most urgent last:")
        client.pause()
        lines = {client.submit(task): _line(task) for task in _TASKS}
        lines = dict(reversed(lines.items()))
        _say("resuming: the highest priority runs first")
        client.resume()
        _follow(lines, events)
        for task_id in lines:
            _print_answer(client.get(task_id))


def _follow(lines: dict[str, Line], events: Iterator[Event]) -> None:
    """Show what happens until all of them have ended."""
    with showing(list(lines.values())) as show:
        for event in events:
            line = lines.get(event.task_id)
            if line is not None:
                show.follow(line, changed=line.take(event))
            if all(each.status.ended for each in lines.values()):
                return


def _print_answer(task: Task) -> None:
    if task.status is not Status.COMPLETED or not task.started_at or not task.completed_at:
        raise TaskFailed(task.id, f"the {task.type} task is {task.status}: {task.error}")
    waited = (task.started_at - task.created_at).total_seconds()
    ran = (task.completed_at - task.started_at).total_seconds() - time_inside(task.attempts)
    print(f"\n{task.type}: {_asked(task)}")
    answer = clean_text(answer_text(task, vectors=False)).strip()
    print(textwrap.indent(textwrap.fill(answer, 88), "    "))
    print(f"    ({_tokens(task, ran)}ran {_took(ran)} after waiting {_took(waited)})", flush=True)


def _asked(task: Task) -> str:
    match task.payload:
        case {"messages": [{"content": str(text)}]} | {"prompt": str(text)} | {"input": str(text)}:
            return f"{text!r}"
        case _:
            return ""


def _tokens(task: Task, seconds: float) -> str:
    made = task.usage.completion_tokens if task.usage else 0
    return f"{made} tokens, {made / seconds:.0f}/s, " if made and seconds else ""


def _keep(server: Child) -> None:
    task = f"--model {NAME} --messages 'user:hello' --wait"
    try:
        print()
        _say(f"the server stays at {server.url} until Ctrl-C; try, from another terminal:")
        print(f"    oq status --server {server.url}", flush=True)
        print(f"    oq submit chat --server {server.url} {task}", flush=True)
        server.wait()
    except KeyboardInterrupt:
        print()


def _line(task: NewTask) -> Line:
    priority = Priority(int(task.priority or Priority.NORMAL))
    print(f"    {priority.name.lower():<9}{task.type}", flush=True)
    return Line(task.type, priority)


def _say(what: str) -> None:
    print(f"demo: {what}", flush=True)


def _since(began: float) -> str:
    return _took(time.monotonic() - began)


def _took(seconds: float) -> str:
    return format_duration(max(0.0, seconds))
