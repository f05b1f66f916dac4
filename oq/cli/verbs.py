"""The commands that change something: cancel, priority, retry, delete, pause, resume."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oq.cli.exits import Exit, report
from oq.cli.options import connect, server_options
from oq.cli.terminal import clean, complain
from oq.cli.terms import priority_value
from oq.cli.which import which, which_options
from oq.words.errors import OqError, ServerNotReached
from oq.words.task import ENDED, Status
from oq.words.which import Which

if TYPE_CHECKING:
    from oq.client import Client

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN = 20
"""The most tasks of a bulk action whose errors are printed."""


def _about(command: F) -> F:
    """The tasks: their ids, or filters. With filters the command asks for confirmation."""
    ids = click.argument("ids", metavar="[ID...]", nargs=-1)
    yes = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
    return ids(which_options(yes(server_options(command))))


@click.command("cancel")
@_about
def cancel_(**given: Any) -> None:
    """Cancel tasks. A running task is stopped, also on the backend.

    Give IDs, or filters. With filters all pending and running tasks that match are cancelled.
    """
    _change("cancel", "cancelled", lambda client: client.cancel, **given)


@click.command("retry")
@_about
def retry_(**given: Any) -> None:
    """Queue failed or cancelled tasks again.

    Give IDs, or filters. With filters all failed and cancelled tasks that match are queued again.
    """
    _change("retry", "queued again", lambda client: client.retry, **given)


@click.command("delete")
@_about
def delete_(**given: Any) -> None:
    """Delete ended tasks, with their results.

    Give IDs, or filters. With filters all ended tasks that match are deleted.
    """
    _change("delete", "deleted", lambda client: client.delete, **given)


@click.command("priority")
@click.argument("ids", metavar="[ID...] PRIORITY", nargs=-1, required=True)
@which_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@server_options
def priority_(ids: tuple[str, ...], **given: Any) -> None:
    """Change the priority of pending tasks to PRIORITY: low, normal, high, critical, or 0 to 100.

    Give IDs, or filters. With filters all pending tasks that match are changed.
    """
    *named, to = ids
    value = priority_value(to)
    done = f"has priority {clean(to)}"

    def verb(client: Client) -> Callable[[str], None]:
        return lambda task_id: client.set_priority(task_id, value)

    _change("priority", done, verb, ids=tuple(named), to=value, **given)


_of_model = click.option("--model", metavar="NAME", help="Only the tasks of this model.")


@click.command("pause")
@_of_model
@server_options
def pause_(model: str | None, server: str | None, config_path: str | None) -> None:
    """Start no more tasks. Running tasks go on, and tasks can still be submitted."""
    with connect(server, config_path) as client:
        client.pause(model)
    if model is None:
        print("paused; `oq resume` starts tasks again")
    else:
        print(f"{clean(model)} is paused; `oq resume --model NAME` starts its tasks again")


@click.command("resume")
@_of_model
@server_options
def resume_(model: str | None, server: str | None, config_path: str | None) -> None:
    """Start tasks again after `oq pause`. Paused models stay paused; --model resumes one."""
    with connect(server, config_path) as client:
        client.resume(model)
    print("running" if model is None else f"tasks of {clean(model)} start again")


def _change(
    action: str,
    done: str,
    verb: Callable[[Client], Callable[[str], None]],
    *,
    ids: tuple[str, ...],
    yes: bool,
    server: str | None,
    config_path: str | None,
    to: int | str | None = None,
    **given: Any,
) -> None:
    wanted = which(given)
    if bool(ids) == bool(wanted):
        raise click.UsageError(
            "give either ids or filters such as --status failed, and not both"
            if ids
            else "Missing argument 'ID...', or filters such as --status failed"
        )
    if ids:
        _each(ids, done, verb, server, config_path)
    with connect(server, config_path) as client:
        _many(client, action, to, wanted, done, sure=yes)


def _many(
    client: Client, action: str, to: int | str | None, wanted: Which, done: str, *, sure: bool
) -> None:
    """Do it to all tasks that match, after a confirmation."""
    if not sure:
        states = wanted if "status" in wanted else Which(**wanted, status=_CONCERNS[action])
        matching = client.count(**states)
        several = f"{'' if matching.exact else 'at least '}{matching.count} tasks"
        if not matching.count:
            print("no tasks match")
            return
        if not sys.stdin.isatty():
            raise click.UsageError(f"this would {action} {several}; add --yes to confirm")
        click.confirm(f"{action} {several}?", abort=True, err=True)
    outcome = client.bulk(action, to=to, **wanted)
    print(f"{outcome.done} of {outcome.matched} tasks: {done}")
    for problem in outcome.problems[:_SHOWN]:
        complain(f"{problem.task_id}: {problem.error}")
    if outcome.more:
        complain("more tasks match than the server changes at once (queue.max_bulk): run it again")
    click.get_current_context().exit(Exit.FAILED if outcome.skipped else Exit.DONE)


_CONCERNS = {
    "cancel": (Status.PENDING, Status.RUNNING),
    "priority": (Status.PENDING,),
    "retry": (Status.FAILED, Status.CANCELLED),
    "delete": ENDED,
}
"""The states in which each action is possible. Without --status only such tasks count."""


def _each(
    ids: tuple[str, ...],
    done: str,
    verb: Callable[[Client], Callable[[str], None]],
    server: str | None,
    config_path: str | None,
) -> None:
    """Do it to each of them. An error is reported, and does not stop the others."""
    worst = Exit.DONE
    unprinted: OSError | None = None
    with connect(server, config_path) as client:
        for task_id in ids:
            try:
                verb(client)(task_id)
            except ServerNotReached:
                raise
            except OqError as error:
                worst = max(worst, report(error))
            else:
                try:
                    print(f"{clean(task_id)} {done}")
                except OSError as error:  # the output is closed, but the other tasks are done too
                    unprinted = error
    if unprinted is not None:
        raise unprinted
    click.get_current_context().exit(worst)
