"""The commands, each loaded when it is called: `oq --help` imports none of them."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

import click

from oq.cli import VERSION

_COMMANDS = {
    "serve": ("oq.cli.serve", "Run the server."),
    "submit": ("oq.cli.submit", "Put a chat, generate or embed task into the queue."),
    "stream": ("oq.cli.stream", "Print an answer as it is generated."),
    "batch": ("oq.cli.batch", "Run a file of requests and write a file of results."),
    "list": ("oq.cli.tasks", "List tasks, newest first."),
    "count": ("oq.cli.tasks", "Count tasks."),
    "status": ("oq.cli.tasks", "Show the queue, or one task."),
    "result": ("oq.cli.tasks", "Print the answer of a task."),
    "watch": ("oq.cli.watch", "Print events as they happen."),
    "top": ("oq.cli.top", "Show the queue live."),
    "cancel": ("oq.cli.verbs", "Cancel tasks, also while they run."),
    "priority": ("oq.cli.verbs", "Change a pending task's priority."),
    "retry": ("oq.cli.verbs", "Queue failed or cancelled tasks again."),
    "delete": ("oq.cli.verbs", "Delete ended tasks."),
    "pause": ("oq.cli.verbs", "Start no more tasks; running tasks go on."),
    "resume": ("oq.cli.verbs", "Start tasks again."),
    "backends": ("oq.cli.figures", "List the backends and their models."),
    "models": ("oq.cli.models", "Show what each model does and did."),
    "stats": ("oq.cli.figures", "Show what happened in the last minutes or hours."),
    "trace": ("oq.cli.trace", "Write down what ran, for `oq plan`."),
    "plan": ("oq.cli.plan", "Run a trace again under other policies."),
    "config": ("oq.cli.config", "Check or show the settings."),
    "salvage": ("oq.cli.salvage", "Make a damaged data directory usable again."),
    "simulate": ("oq.cli.simulate", "Run a fake model server for tests."),
    "demo": ("oq.cli.demo", "Run three tasks on a small real model."),
    "completion": ("oq.cli.completion", "Print a script that completes `oq` in your shell."),
    "version": ("oq.cli.version", "Print the version."),
}
"""The module in which each command is the function of the same name, and its line of help."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports a command's module on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in _COMMANDS:
            if ctx.resilient_parsing:  # a shell asks what may come next
                return None
            close = get_close_matches(cmd_name, _COMMANDS, n=1)
            raise click.UsageError(
                f"there is no command {cmd_name!r}"
                + (f"; did you mean {close[0]}?" if close else "")
            )
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name][0]), f"{cmd_name}_")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, from their lines of help alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="oq %(version)s")
def oq() -> None:
    """A durable priority queue in front of LLM servers.

    `oq serve` runs the server. The other commands connect to it. Its address is --server, or else
    the variable OQ_SERVER, or else server.host and server.port of the settings.

    Exit codes: 0 done, 1 failed, 2 wrong arguments or settings, 3 no server reached.
    """
