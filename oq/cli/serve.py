"""`oq serve`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from oq.cli.options import check_usable
from oq.cli.streams import discard_output
from oq.settings import load_settings
from oq.words.config import BackendConfig, Config
from oq.words.errors import InvalidConfig

_SIMULATED = BackendConfig(name="simulated", kind="simulated")


@click.command("serve")
@click.option("--host", help="The address to listen on [127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), help="The port [7125]; 0 takes a free one.")
@click.option("--data-dir", metavar="DIR", help="Where the tasks are kept [./data].")
@click.option("--config", "config_path", metavar="FILE", help="The settings file.")
@click.option(
    "--ollama-host",
    metavar="ADDRESS",
    help="The Ollama server to use [localhost:11434]; it replaces the file's backends.",
)
@click.option("--max-workers", type=click.IntRange(min=1), help="Tasks that run at once [4].")
@click.option(
    "--simulate",
    is_flag=True,
    help="Invent the answers: no model is needed. The tasks are kept in another directory"
    " [./data-simulated].",
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["console", "json"]))
def serve_(
    config_path: str | None,
    simulate: bool,
    ollama_host: str | None,
    data_dir: str | None,
    **flags: Any,
) -> None:
    """Run the server until SIGTERM or Ctrl-C.

    Then oq waits up to queue.drain_timeout for the running tasks. Tasks that still run are stopped,
    and run again at the next start. A second signal stops oq within seconds. SIGHUP reopens the log
    file.
    """
    if simulate and ollama_host:
        raise click.UsageError("--simulate and --ollama-host cannot be used together")
    given = {
        "server.host": flags["host"],
        "server.port": flags["port"],
        "queue.storage_path": data_dir,
        "queue.max_workers": flags["max_workers"],
        "ollama.host": ollama_host,
        "logging.level": flags["log_level"],
        "logging.format": flags["log_format"],
    }
    settings = load_settings(config_path, given, os.environ)
    config = settings.config
    if ollama_host:
        config = msgspec.structs.replace(config, backends=())
    if simulate:
        config = _simulated(config, data_dir)
    check_usable(settings, config)
    from oq.http.serve import run

    try:
        announce = partial(_announce, simulate, settings.source)
        run(config, announce=announce, remarks=settings.remarks)
    except InvalidConfig as error:
        raise settings.located(error) from None


def _simulated(config: Config, data_dir: str | None) -> Config:
    """The same with a backend that makes its answers up and, unless the command line names one, a
    directory of its own beside that of the real tasks.
    """
    queue = config.queue
    if data_dir is None:
        beside = f"{queue.storage_path.rstrip('/')}-simulated"
        queue = msgspec.structs.replace(queue, storage_path=beside)
    return msgspec.structs.replace(config, queue=queue, backends=(_SIMULATED,))


def _announce(simulated: bool, settings: Path | None, url: str) -> None:
    """Where it listens, in the first line; programs that start it wait for that."""
    label = "; SIMULATED: no model runs, every answer is made up" if simulated else ""
    try:
        print(f"oq listens at {url}{label}")
        # Always: a directory may have a config.yaml that nobody thinks of.
        print(f"settings file: {'none' if settings is None else settings.absolute()}", flush=True)
    except OSError:  # whoever started us may not have stayed to read it
        discard_output()
