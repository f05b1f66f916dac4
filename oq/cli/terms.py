"""What a command may say of a task: the options that every kind of task has, and their forms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click
import msgspec

from oq.cli.options import output_option, server_options
from oq.words.durations import parse_duration
from oq.words.from_json import NOT_READ

F = TypeVar("F", bound=Callable[..., Any])


def document(ctx: click.Context, param: click.Parameter, value: str | None) -> object:
    """A JSON object, or nothing."""
    if value is None:
        return None
    found = parse_json(value)
    if not isinstance(found, dict):
        raise click.BadParameter(f'{value[:80]!r} is not a JSON object, such as {{"seed": 1}}')
    return found


def pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE, each value as JSON if it is JSON and as text otherwise."""
    found = {}
    for pair in values:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{pair[:80]!r} is not KEY=VALUE, such as temperature=0.2")
        value = parse_json(text)
        found[key] = text if value is msgspec.UNSET else value
    return found


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
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


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return float(parse_duration(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def thinking_option(command: F) -> F:
    """--thinking, or not; None when nothing is said: then it is for people only."""
    return click.option(
        "--thinking/--no-thinking",
        default=None,
        help="Print the model's thoughts too [on a terminal only].",
    )(command)


def task_terms(command: F) -> F:
    """The options that every kind of task has."""
    options = [
        click.option("-m", "--model", required=True, help="The model to use."),
        click.option("-p", "--priority", help="low, normal, high, critical, or 0 to 100 [normal]."),
        click.option(
            "--options",
            "options",
            callback=document,
            metavar="JSON",
            help="The model's options, such as '{\"temperature\": 0}'.",
        ),
        click.option(
            "--option",
            "option",
            multiple=True,
            callback=pairs,
            metavar="KEY=VALUE",
            help="One of the model's options; may be repeated.",
        ),
        click.option(
            "--max-retries",
            type=click.IntRange(min=0),
            help="How many times a failed attempt is repeated.",
        ),
        click.option(
            "--run-at",
            callback=moment,
            metavar="TIME",
            help="Do not run the task before this time: a time, or +10m for ten minutes from now.",
        ),
        click.option(
            "--timeout",
            callback=duration,
            metavar="DURATION",
            help="The longest time for one attempt, such as 90 (seconds) or 5m.",
        ),
        click.option(
            "--metadata",
            callback=document,
            metavar="JSON",
            help="A JSON object to store with the task. The model does not get it.",
        ),
        click.option(
            "--idempotency-key",
            metavar="KEY",
            help="If the same task is submitted twice with the same KEY, it runs once.",
        ),
        click.option(
            "--max-wait", metavar="TIME", help="Refuse it if it would start later than in 30s, say."
        ),
        click.option("--wait", is_flag=True, help="Wait for the answer and print it."),
        click.option("--stream", is_flag=True, help="Print the answer as it is generated."),
        thinking_option,
        output_option,
        server_options,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def parse_json(text: str) -> Any:
    """The JSON document in `text`; UNSET if it is none."""
    try:
        return msgspec.json.decode(text)
    except NOT_READ:
        return msgspec.UNSET


def priority_value(text: str) -> int | str:
    """A priority as the server takes it: a number as a number, a name as it is."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
