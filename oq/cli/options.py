"""What several commands share: where the server is, and how the output is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oq.cli.terminal import complain, is_terminal
from oq.words.durations import format_age
from oq.words.errors import InvalidConfig, OqError

if TYPE_CHECKING:
    from oq.client import Client
    from oq.settings import Settings
    from oq.words.config import Config

F = TypeVar("F", bound=Callable[..., Any])


class Output(StrEnum):
    """How a command writes what it found."""

    TABLE = "table"
    PLAIN = "plain"
    JSON = "json"


def _form(ctx: click.Context, param: click.Parameter, value: str | None) -> Output:
    if value is None:
        return Output.TABLE if is_terminal() else Output.PLAIN
    return Output(value)


def output_option(command: F) -> F:
    """--output; without it a person gets a table, and a program tab-separated lines."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice([form.value for form in Output]),
        callback=_form,
        help="The form of the output [table on a terminal, plain otherwise].",
    )(command)


def window_option(command: F) -> F:
    """--window, the time to look back."""
    return click.option(
        "--window",
        type=click.Choice(["15m", "24h"]),
        default="15m",
        show_default=True,
        help="The time to look back.",
    )(command)


def server_options(command: F) -> F:
    """--server and --config, the ways to say where the server is."""
    command = click.option("--config", "config_path", metavar="FILE", help="The settings file.")(
        command
    )
    return click.option(
        "--server",
        metavar="ADDRESS",
        help="The server, as host:port or URL [variable OQ_SERVER].",
    )(command)


def connect(server: str | None, config_path: str | None) -> Client:
    """A client of the server that the options, the environment or the settings name."""
    # Imported here, so that the help of a command does not wait for httpx.
    from oq.client import Client

    return Client(server_address(server, config_path), on_away=_say_away)


def _say_away(why: OqError, seconds: float) -> None:
    complain(f"{why}; trying again for up to {format_age(seconds)}")


def check_usable(settings: Settings, config: Config) -> None:
    """What no setting shows by itself: whether there can be such backends as `config` names.

    InvalidConfig names the line, variable or flag that is wrong; `config` is that of `settings`,
    or what a command made of it.
    """
    from oq.backends import check_backends

    try:
        check_backends(config)
    except InvalidConfig as error:
        raise settings.located(error) from None


def server_address(server: str | None, config_path: str | None) -> str:
    """Where that server is."""
    from oq.client.address import listening_url

    named = server or (None if config_path else os.environ.get("OQ_SERVER", "").strip())
    if named:
        return named
    from oq.settings import ENVIRONMENT, load_settings

    # Only what concerns it: a LOG_LEVEL that is meant for another program is of no account here.
    concerned = (ENVIRONMENT["server"], "HOME")
    environ = {name: text for name, text in os.environ.items() if name.startswith(concerned)}
    return listening_url(load_settings(config_path, {}, environ).config.server)
