"""`oq submit chat|generate|embed`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from oq.cli.options import Output, connect
from oq.cli.terminal import clean, print_json
from oq.cli.terms import parse_json, priority_value, task_terms
from oq.cli.texts import NotUtf8, decoded

if TYPE_CHECKING:
    from oq.client import NewTask

_ROLES = ("system", "user", "assistant", "tool")


def _thinks(ctx: click.Context, param: click.Parameter, value: bool) -> dict[str, Any] | None:
    return {"think": True} if value else None


_think = click.option(
    "--think", "extra", is_flag=True, callback=_thinks, help="Let the model think first."
)


@click.group("submit")
def submit_() -> None:
    """Put a task into the queue and print its id.

    In place of a text, `-` reads it from the standard input.
    """


@submit_.command("chat")
@click.option(
    "--messages",
    "messages",
    multiple=True,
    required=True,
    metavar="ROLE:TEXT",
    help="One message, such as 'user:hello'; may be repeated. Or a JSON array of messages.",
)
@click.option("--system", help="The system prompt.")
@_think
@task_terms
def chat_(
    messages: tuple[str, ...], system: str | None, extra: dict[str, Any] | None, **rest: Any
) -> None:
    """Submit a chat task: the model writes the next message of a conversation."""
    stdin = _Stdin()
    said = [message for text in messages for message in _messages(text, stdin)]
    from oq.client import chat

    _submit(
        lambda model, **terms: chat(model, said, system=stdin.text(system), extra=extra, **terms),
        **rest,
    )


@submit_.command("generate")
@click.option("--prompt", required=True, help="The text that the model continues.")
@click.option("--system", help="The system prompt.")
@_think
@task_terms
def generate_(prompt: str, system: str | None, extra: dict[str, Any] | None, **rest: Any) -> None:
    """Submit a generate task: the model continues a text."""
    stdin = _Stdin()
    text = stdin.text(prompt) or ""
    from oq.client import generate

    _submit(
        lambda model, **terms: generate(
            model, text, system=stdin.text(system), extra=extra, **terms
        ),
        **rest,
    )


@submit_.command("embed")
@click.option("--input", "inputs", multiple=True, required=True, help="A text; may be repeated.")
@task_terms
def embed_(inputs: tuple[str, ...], **rest: Any) -> None:
    """Submit an embed task: the model makes a vector of each text."""
    stdin = _Stdin()
    texts = [stdin.text(text) or "" for text in inputs]
    from oq.client import embed

    _submit(
        lambda model, **terms: embed(model, texts if len(texts) > 1 else texts[0], **terms), **rest
    )


def _submit(
    make: Callable[..., NewTask],
    *,
    model: str,
    priority: str | None,
    options: dict[str, Any] | None,
    option: dict[str, Any],
    idempotency_key: str | None,
    max_wait: str | None,
    wait: bool,
    stream: bool,
    thinking: bool | None,
    output: Output,
    server: str | None,
    config_path: str | None,
    **terms: Any,
) -> None:
    task = make(
        model,
        priority=None if priority is None else priority_value(priority),
        options={**(options or {}), **option} or None,
        **terms,
    )
    with connect(server, config_path) as client:
        task_id = client.submit(task, idempotency_key=idempotency_key, max_wait=max_wait)
        if stream:
            from oq.cli.stream import follow

            follow(client, task_id, output, thinking=thinking)
        elif wait:
            from oq.cli.show_task import print_outcome
            from oq.cli.waiting import end_of

            print_outcome(end_of(client, task_id), output)
        elif output is Output.JSON:
            print_json({"task_id": task_id})
        else:
            print(clean(task_id))


class _Stdin:
    """The standard input, which one option at most may read."""

    def __init__(self) -> None:
        self._read = False

    def text(self, given: str | None) -> str | None:
        """`given`, or what the standard input holds if it is `-`."""
        if given != "-":
            return given
        if self._read:
            raise click.UsageError("only one text can come from the standard input (`-`)")
        self._read = True
        try:
            return decoded(sys.stdin.buffer.read()).rstrip("\r\n")
        except (NotUtf8, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise click.UsageError(f"the standard input cannot be read: {why}") from None


def _messages(given: str, stdin: _Stdin) -> list[dict[str, Any]]:
    """The messages in one --messages: ROLE:TEXT, `-` for what the user says, or JSON."""
    if given == "-":
        return [{"role": "user", "content": stdin.text("-")}]
    if given.lstrip()[:1] in ("[", "{"):
        document = parse_json(given)
        messages = document if isinstance(document, list) else [document]
        if not all(isinstance(message, dict) for message in messages):
            raise click.UsageError(
                f"--messages {given[:80]!r} is not a JSON array of messages; write"
                """ '[{"role": "user", "content": "hello"}]'"""
            )
        return messages
    role, colon, text = given.partition(":")
    if not colon or role.strip().lower() not in _ROLES:
        raise click.UsageError(
            f"--messages {given[:80]!r} does not begin with a role ({', '.join(_ROLES)});"
            " write it as 'user:hello'"
        )
    return [{"role": role.strip().lower(), "content": stdin.text(text)}]
