"""`oq batch run`: a file of requests in, a file of results out, and nothing done twice.

lines           the file's lines as tasks           openai_request  an OpenAI call as a task
output          OUT.jsonl, and what is in it        openai_answer   a result as OpenAI's answer
runner          lines in flight                     results         the line that is written
progress        the bar                             run             the command itself
"""

from __future__ import annotations

from typing import Any

import click

from oq.cli.options import server_options
from oq.cli.terms import duration


@click.group("batch")
def batch_() -> None:
    """Run files of many requests."""


@batch_.command("run")
@click.argument("file", metavar="FILE.jsonl")
@click.option(
    "-o",
    "--output",
    "out",
    metavar="OUT.jsonl",
    required=True,
    help="The file of results; - prints them.",
)
@click.option(
    "-p", "--priority", help="The priority of every line [that of the line, or else low]."
)
@click.option("-m", "--model", help="The model of every line [that of the line].")
@click.option(
    "--window",
    type=click.IntRange(1, 500),
    help="Lines to run at a time [twice the server's workers, but at least 32].",
)
@click.option("--retry-failed", is_flag=True, help="Run failed lines once more.")
@click.option(
    "--changed",
    type=click.Choice(["refuse", "rerun", "keep"]),
    default="refuse",
    show_default=True,
    help="What to do with lines that were edited after their result was written to OUT.",
)
@click.option(
    "--keep-going", is_flag=True, help="Write an error for each bad line, and run the others."
)
@click.option(
    "--run",
    "name",
    default="",
    metavar="NAME",
    help="A name for this run. With a new NAME all lines run again.",
)
@click.option(
    "--patience",
    callback=duration,
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="How long to wait for a server that does not answer.",
)
@server_options
def run_(**given: Any) -> None:
    """Submit every line of FILE and write each result to OUT as it comes. FILE may be `-`.

    A line is either a request of an OpenAI batch ({custom_id, method, url, body}) or a task of oq
    ({custom_id, type, model, payload, ...}). Results of OpenAI requests have OpenAI's form.

    If the command was stopped or killed, run it again with the same arguments. Lines with a result
    in OUT are done. The other lines are the same tasks as before, so nothing runs twice. The exit
    code is 1 if a line failed.
    """
    from oq.cli.batch.run import Wish, run_batch

    run_batch(Wish(**given))
