"""How a command ends: with an exit code, and if it failed with one line on the standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum

import click

from oq.cli.signals import interrupted
from oq.cli.streams import discard_output
from oq.cli.terminal import complain
from oq.words.errors import InvalidConfig, InvalidTask, OqError, PayloadTooLarge, ServerNotReached


class _Never(click.UsageError):
    """An error that is never raised."""


_NO_ARGUMENTS: type[click.UsageError] = getattr(click.exceptions, "NoArgsIsHelpError", _Never)
"""Before click 8.2 click itself shows the help of a command that has no arguments."""


class Exit(IntEnum):
    """The exit codes of `oq`. A command that a signal ends has 128 plus the signal's number."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_SERVER = 3
    BROKEN_PIPE = 141


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run the command and return its exit code. No error of a user shows a traceback."""
    code = _outcome(command, arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        discard_output()
        return code or _reported(error)
    return code


def _outcome(command: click.Command, arguments: Sequence[str]) -> int:
    try:
        # Not command.main(): it answers Ctrl-C and a closed pipe in its own way.
        with command.make_context("oq", list(arguments)) as context:
            command.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        return interrupted()
    except BaseExceptionGroup as group:
        return _grouped(group)
    except (click.ClickException, OqError, OSError) as error:
        return _reported(error)
    return Exit.DONE


def _reported(error: Exception) -> int:
    """The exit code for an error, which is reported. A closed pipe is not: `head` closes it too."""
    return Exit.BROKEN_PIPE if isinstance(error, BrokenPipeError) else report(error)


def report(error: Exception) -> Exit:
    """Print the error on the standard error, and return its exit code."""
    match error:
        case _NO_ARGUMENTS():
            print(error.format_message(), file=sys.stderr)
            return Exit.USAGE
        case click.UsageError():
            context = error.ctx.command_path if error.ctx else "oq"
            complain(f"{error.format_message().rstrip('.')} (see {context} --help)")
            return Exit.USAGE
        case click.ClickException():
            complain(error.format_message())
            return Exit.FAILED
        case OSError():
            where = f": {error.filename}" if error.filename else ""
            complain(f"{error.strerror or error}{where}")
            return Exit.FAILED
        case OqError():
            complain(str(error))
            return exit_code(error)
        case _:
            raise error


def exit_code(error: OqError) -> Exit:
    """The exit code for one of oq's errors."""
    match error:
        case ServerNotReached():
            return Exit.NO_SERVER
        case InvalidTask() | InvalidConfig() | PayloadTooLarge():
            return Exit.USAGE
        case _:
            return Exit.FAILED


def _grouped(group: BaseExceptionGroup[BaseException]) -> int:
    """The exit code for the errors of a nursery. Ctrl-C counts before the errors that it causes."""
    if group.subgroup(KeyboardInterrupt):
        return interrupted()
    _, others = group.split((click.ClickException, OqError, OSError))
    if others is not None:
        raise group
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return _reported(error)
