"""`oq config check` and `oq config show`."""

from __future__ import annotations

import os
from collections.abc import Set

import click

from oq.cli.options import Output, check_usable, output_option
from oq.cli.terminal import clean, print_json, print_rows
from oq.settings import Settings, load_settings
from oq.settings.idle import OF_EARLIER, OF_OLLAMA_QUEUE
from oq.settings.load import DEFAULT

_file = click.option("--config", "config_path", metavar="FILE", help="The settings file.")


@click.group("config")
def config_() -> None:
    """Check or show the settings.

    A setting can come from a flag, an environment variable, the settings file, or the defaults; the
    first of these counts. The file is --config, or else the first that exists of ./config.yaml,
    ~/.config/oq/config.yaml and /etc/oq/config.yaml.
    """


@config_.command("check")
@_file
def check(config_path: str | None) -> None:
    """Check whether the settings can be used. If not, the error names the wrong line."""
    settings = load_settings(config_path, {}, os.environ)
    check_usable(settings, settings.config)
    count = sum(origin != DEFAULT for _, _, origin in settings.rows())
    print(f"{_source(settings)}: good, {count} of the settings are set")
    for remark in settings.remarks:
        print(clean(remark))


_NEVER = frozenset((*OF_EARLIER, *OF_OLLAMA_QUEUE))


@config_.command("show")
@_file
@output_option
def show(config_path: str | None, output: Output) -> None:
    """Show every setting, and where its value comes from.

    Some settings of earlier versions and of ollama-queue have no effect, and others have none while
    another one is off: this is said behind their value.
    """
    settings = load_settings(config_path, {}, os.environ)
    idle = _NEVER | settings.idle
    match output:
        case Output.JSON:
            rows = settings.rows()
            print_json({row[0]: _document(*row, idle) for row in rows})
        case Output.PLAIN:
            rows = settings.rows()
            print_rows([(key, value, _from(key, origin, idle)) for key, value, origin in rows])
        case Output.TABLE:
            _table(settings, idle)


def _table(settings: Settings, idle: Set[str]) -> None:
    from oq.cli.tables import console, table

    shown = table("setting", "value", "from")
    for key, value, origin in settings.rows():
        style = None if origin != DEFAULT else "dim"
        shown.add_row(clean(key), clean(value), clean(_from(key, origin, idle)), style=style)
    console().print(shown)


def _document(key: str, value: str, origin: str, idle: Set[str]) -> dict[str, object]:
    shown: dict[str, object] = {"value": value, "from": origin}
    return shown | {"effect": False} if key in idle else shown


def _from(key: str, origin: str, idle: Set[str]) -> str:
    return f"{origin}, no effect" if key in idle else origin


def _source(settings: Settings) -> str:
    return clean(settings.source) if settings.source else "no file"
