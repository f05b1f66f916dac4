"""`oq submit chat|generate|embed`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from oq.cli.exits import Exit
from oq.cli.options import Output, connect, output_option, server_options
from oq.cli.terminal import clean, complain, print_json
from oq.cli.verbs import priority_value
from oq.words.durations import parse_duration

if TYPE_CHECKING:
    from oq.client import Client, NewTask

F = TypeVar("F", bound=Callable[..., Any])

_ROLES = ("system", "user", "assistant", "tool")


def _document(ctx: click.Context, param: click.Parameter, value: str | None) -> object:
    """A JSON object, or nothing."""
    if value is None:
        return None
    document = _json(value)
    if not isinstance(document, dict):
        raise click.BadParameter(f'{value[:80]!r} is not a JSON object, as {{"seed": 1}} is')
    return document


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE, each value as JSON if it is JSON and as text otherwise."""
    pairs = {}
    for pair in values:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{pair[:80]!r} is not KEY=VALUE, as temperature=0.2 is")
        document = _json(text)
        pairs[key] = text if document is msgspec.UNSET else document
    return pairs


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A time, in the local zone unless it names one, or +DURATION from now."""
    if value is None:
        return None
    try:
        if value.startswith("+"):
            return datetime.now(UTC) + timedelta(seconds=parse_duration(value[1:]))
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value[:80]!r} is not a time; write 2026-01-31T12:00, 2026-01-31T12:00:00Z or +10m"
        ) from None


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return float(parse_duration(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _terms(command: F) -> F:
    """The options that every kind of task has."""
    options = [
        click.option("-m", "--model", required=True, help="The model that is to run it."),
        click.option("-p", "--priority", help="low, normal, high, critical, or 0 to 100 [normal]."),
        click.option(
            "--options",
            "options",
            callback=_document,
            metavar="JSON",
            help="The model's options, as in --options '{\"temperature\": 0}'.",
        ),
        click.option(
            "--option",
            "option",
            multiple=True,
            callback=_pairs,
            metavar="KEY=VALUE",
            help="One of the model's options; may be repeated.",
        ),
        click.option("--max-retries", type=click.IntRange(min=0), help="Tries after the first."),
        click.option(
            "--run-at", callback=_moment, metavar="TIME", help="Not before: a time, or +10m."
        ),
        click.option(
            "--timeout", callback=_duration, metavar="DURATION", help="Of one attempt: 90, 5m."
        ),
        click.option(
            "--metadata", callback=_document, metavar="JSON", help="Kept with the task, for you."
        ),
        click.option("--wait", is_flag=True, help="Wait for the answer and print it."),
        output_option,
        server_options,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group("submit")
def submit_() -> None:
    """Put a task into the queue and print its id.

    Where a text is asked for, `-` reads it from the standard input.
    """


@submit_.command("chat")
@click.option(
    "--messages",
    "messages",
    multiple=True,
    required=True,
    metavar="ROLE:TEXT",
    help="One message, as in 'user:hello'; may be repeated. Or a JSON array of messages.",
)
@click.option("--system", help="What the model is told first.")
@_terms
def chat_(messages: tuple[str, ...], system: str | None, **rest: Any) -> None:
    """Go on with a conversation."""
    stdin = _Stdin()
    said = [message for text in messages for message in _messages(text, stdin)]
    from oq.client import chat

    _submit(lambda model, **terms: chat(model, said, system=stdin.text(system), **terms), **rest)


@submit_.command("generate")
@click.option("--prompt", required=True, help="What the model is to go on from.")
@click.option("--system", help="What the model is told first.")
@_terms
def generate_(prompt: str, system: str | None, **rest: Any) -> None:
    """Complete a text."""
    stdin = _Stdin()
    text = stdin.text(prompt) or ""
    from oq.client import generate

    _submit(
        lambda model, **terms: generate(model, text, system=stdin.text(system), **terms), **rest
    )


@submit_.command("embed")
@click.option("--input", "inputs", multiple=True, required=True, help="A text; may be repeated.")
@_terms
def embed_(inputs: tuple[str, ...], **rest: Any) -> None:
    """Turn texts into vectors."""
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
    wait: bool,
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
        task_id = client.submit(task)
        if wait:
            _wait(client, task_id, output)
        elif output is Output.JSON:
            print_json({"task_id": task_id})
        else:
            print(clean(task_id))


def _wait(client: Client, task_id: str, output: Output) -> None:
    from oq.cli.show_task import print_outcome

    try:
        click.echo(f"{clean(task_id)} is in the queue ...", err=True)
        task = client.get(task_id, wait=float("inf"))
    except KeyboardInterrupt:
        complain(f"the task goes on; `oq result {task_id}` prints its answer")
        click.get_current_context().exit(Exit.INTERRUPTED)
    print_outcome(task, output)


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
            return sys.stdin.buffer.read().decode().rstrip("\n")
        except UnicodeDecodeError:
            raise click.UsageError("the standard input is not UTF-8 text") from None


def _messages(given: str, stdin: _Stdin) -> list[dict[str, Any]]:
    """The messages in one --messages: ROLE:TEXT, `-` for what the user says, or JSON."""
    if given == "-":
        return [{"role": "user", "content": stdin.text("-")}]
    if given.lstrip()[:1] in ("[", "{"):
        document = _json(given)
        messages = document if isinstance(document, list) else [document]
        if not all(isinstance(message, dict) for message in messages):
            raise click.UsageError(f"--messages {given[:80]!r} is not JSON with messages")
        return messages
    role, colon, text = given.partition(":")
    if not colon or role.strip().lower() not in _ROLES:
        raise click.UsageError(
            f"--messages {given[:80]!r} does not begin with a role ({', '.join(_ROLES)});"
            " write it as 'user:hello'"
        )
    return [{"role": role.strip().lower(), "content": stdin.text(text)}]


def _json(text: str) -> Any:
    """The JSON document in `text`; UNSET if it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return msgspec.UNSET
