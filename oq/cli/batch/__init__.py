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
@click.option("-o", "--output", "out", metavar="OUT.jsonl", required=True, help="Or - to print.")
@click.option("-p", "--priority", help="Of every line [low, where a line does not say].")
@click.option("-m", "--model", help="For every line, whatever it says.")
@click.option(
    "--window",
    type=click.IntRange(1, 500),
    help="Lines in flight at a time [twice the server's workers, 32 at least].",
)
@click.option("--retry-failed", is_flag=True, help="Try once more what has failed.")
@click.option(
    "--changed",
    type=click.Choice(["refuse", "rerun", "keep"]),
    default="refuse",
    show_default=True,
    help="What to do with lines that were edited since OUT answered them.",
)
@click.option("--keep-going", is_flag=True, help="Write bad lines as errors, and run the others.")
@click.option("--run", "name", default="", metavar="NAME", help="Another NAME runs all anew.")
@click.option(
    "--patience",
    callback=duration,
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="How long the server may be away.",
)
@server_options
def run_(**given: Any) -> None:
    """Submit every line of FILE and write each result to OUT as it comes.

    A line is a call of an OpenAI batch ({custom_id, method, url, body}), whose result is written
    as OpenAI writes it, or an oq task ({custom_id, type, model, payload, ...}). FILE may be `-`.

    Stopped or killed, run it again in the same way: what is in OUT is done, and every other line
    is still the task that it was, so that nothing runs twice. The exit code is 1 if a line failed.
    """
    from oq.cli.batch.run import Wish, run_batch

    run_batch(Wish(**given))
