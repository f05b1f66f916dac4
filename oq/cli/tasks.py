"""The commands that look: list, status, result."""

from __future__ import annotations

import click

from oq.cli.options import Output, connect, output_option, server_options
from oq.cli.show_task import print_outcome, print_task, print_tasks
from oq.cli.verbs import priority_value
from oq.cli.waiting import end_of
from oq.words.task import Status, TaskType


@click.command("list")
@click.option("--status", multiple=True, type=click.Choice([status.value for status in Status]))
@click.option("--type", "kind", multiple=True, type=click.Choice([kind.value for kind in TaskType]))
@click.option("--priority", multiple=True, help="low, normal, high, critical, or a number.")
@click.option("--model", multiple=True)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="At most so many.",
)
@output_option
@server_options
def list_(
    status: tuple[str, ...],
    kind: tuple[str, ...],
    priority: tuple[str, ...],
    model: tuple[str, ...],
    limit: int,
    output: Output,
    server: str | None,
    config_path: str | None,
) -> None:
    """List tasks, newest first. Every filter may be repeated."""
    with connect(server, config_path) as client:
        tasks = client.list(
            status=status,
            type=kind,
            priority=[priority_value(text) for text in priority],
            model=model,
            limit=limit,
        )
    print_tasks(tasks, output)
    if len(tasks) == limit and output is Output.TABLE:
        click.echo(f"the newest {limit}; --limit shows more", err=True)


@click.command("status")
@click.argument("task_id", metavar="[ID]", required=False)
@output_option
@server_options
def status_(
    task_id: str | None, output: Output, server: str | None, config_path: str | None
) -> None:
    """Show the queue, or all about the task ID."""
    with connect(server, config_path) as client:
        if task_id is not None:
            print_task(client.get(task_id), output)
            return
        from oq.cli.show_queue import print_queue

        print_queue(client.status(), output)


@click.command("result")
@click.argument("task_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait until it has ended.")
@output_option
@server_options
def result_(
    task_id: str, wait: bool, output: Output, server: str | None, config_path: str | None
) -> None:
    """Print what the model answered; --output json gives the task whole."""
    with connect(server, config_path) as client:
        task = end_of(client, task_id) if wait else client.get(task_id)
    print_outcome(task, output)
