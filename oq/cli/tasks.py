"""The commands that look: list, count, status, result."""

from __future__ import annotations

from typing import Any, get_args

import click

from oq.cli.options import Output, connect, output_option, server_options
from oq.cli.show_task import print_outcome, print_task, print_tasks
from oq.cli.terminal import print_json
from oq.cli.waiting import explained
from oq.cli.which import which, which_options
from oq.words.which import Order

_ALL = 1 << 60


@click.command("list")
@which_options
@click.option(
    "--sort",
    type=click.Choice(get_args(Order)),
    default="newest",
    show_default=True,
    help="queue: pending tasks in the order in which they will run.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="The largest number of tasks; 0 for all.",
)
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Skip this number of tasks.")
@click.option("-v", "--verbose", is_flag=True, help="Show more of each task, and cut nothing off.")
@output_option
@server_options
def list_(
    sort: Order,
    limit: int,
    offset: int,
    verbose: bool,
    output: Output,
    server: str | None,
    config_path: str | None,
    **given: Any,
) -> None:
    """List tasks, newest first.

    A filter may be repeated, or have several values with commas between them. --since and --until
    take a time, or a duration such as 90m for 90 minutes ago. Only --output json has the payloads
    and the results.
    """
    page: Any = {**which(given), "sort": sort, "limit": limit or _ALL, "offset": offset}
    with connect(server, config_path) as client:
        if output is Output.JSON:
            print_json(client.list(**page))
            return
        tasks = client.list_summaries(**page)
    print_tasks(tasks, output, verbose=verbose)
    if len(tasks) == limit and output is Output.TABLE:
        click.echo(f"the first {limit}; --limit 0 shows all", err=True)


@click.command("count")
@which_options
@output_option
@server_options
def count_(output: Output, server: str | None, config_path: str | None, **given: Any) -> None:
    """Print the number of tasks that match the filters. N+ means N or more."""
    with connect(server, config_path) as client:
        found = client.count(**which(given))
    if output is Output.JSON:
        print_json(found)
    else:
        print(f"{found.count}{'' if found.exact else '+'}")


@click.command("status")
@click.argument("task_id", metavar="[ID]", required=False)
@output_option
@server_options
def status_(
    task_id: str | None, output: Output, server: str | None, config_path: str | None
) -> None:
    """Show the state of the queue, or the task ID."""
    with connect(server, config_path) as client:
        if task_id is not None:
            print_task(client.get(task_id), output)
            return
        from oq.cli.show_queue import print_queue

        print_queue(client.status(), output)


@click.command("result")
@click.argument("task_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait until the task has ended.")
@output_option
@server_options
def result_(
    task_id: str, wait: bool, output: Output, server: str | None, config_path: str | None
) -> None:
    """Print the answer of the task ID. --output json prints the whole task."""
    with connect(server, config_path) as client:
        if wait:
            with explained(client, task_id):
                task = client.get(task_id, wait=float("inf"))
        else:
            task = client.get(task_id)
    print_outcome(task, output)
