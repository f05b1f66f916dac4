"""How a command ends: an exit code, and one line on the standard error when it did not work."""

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
    """What nobody raises."""


_NO_ARGUMENTS: type[click.UsageError] = getattr(click.exceptions, "NoArgsIsHelpError", _Never)
"""Before click 8.2 a command without arguments shows its help by itself."""


class Exit(IntEnum):
    """What the exit code of `oq` means; a command that a signal ends has 128 and its number."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_SERVER = 3
    BROKEN_PIPE = 141


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run the command; its exit code. No error that a user can meet shows a traceback."""
    code = _outcome(command, arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        discard_output()
        return code or _told_or_silent(error)
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
        return _told_or_silent(error)
    return Exit.DONE


def _told_or_silent(error: Exception) -> int:
    """Whoever read our output has left, as `head` does: nothing to say, and nobody to say it to."""
    return Exit.BROKEN_PIPE if isinstance(error, BrokenPipeError) else told(error)


def told(error: Exception) -> Exit:
    """Say what went wrong; the exit code that goes with it."""
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
    """The exit code for what came out of nurseries; Ctrl-C comes before whatever it led to."""
    if group.subgroup(KeyboardInterrupt):
        return interrupted()
    _, others = group.split((click.ClickException, OqError, OSError))
    if others is not None:
        raise group
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return _told_or_silent(error)
