"""`oq salvage`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from oq.cli.exits import Exit
from oq.cli.options import Output, output_option
from oq.cli.terminal import clean, print_json
from oq.settings import load_settings

if TYPE_CHECKING:
    from oq.queue import Finding, SalvageReport


SHOWN = 5
"""Of the tasks that are lost or changed; the file has all."""


@click.command("salvage")
@click.argument("data_dir", metavar="[DIR]", required=False)
@click.option("--config", "config_path", metavar="FILE", help="The settings file.")
@output_option
def salvage_(data_dir: str | None, config_path: str | None, output: Output) -> None:
    """Make a damaged data directory usable again, and keep a copy of the damaged data.

    Use it if `oq serve` says that the data is damaged. If DIR is not given, it is
    queue.storage_path. The report says what was lost and what may be lost. It is also a file in
    DIR, beside the copy. Exit code 0: nothing was lost. 1: something was lost, or may be.
    """
    from oq.queue import salvage

    report = salvage(
        data_dir or load_settings(config_path, {}, os.environ).config.queue.storage_path
    )
    if output is Output.JSON:
        print_json(_document(report))
    else:
        _print(report)
    if not report.whole:
        raise click.exceptions.Exit(Exit.FAILED)


def _document(report: SalvageReport) -> dict[str, object]:
    return {
        "whole": report.whole,
        "kept": report.kept,
        "dropped": report.dropped,
        "lost": [_finding(found) for found in report.lost],
        "changed": [_finding(found) for found in report.changed],
        "untraced": report.untraced,
        "may_run_again": report.may_run_again,
        "missing_commits": report.missing_commits,
        "found_commit": report.found,
        "acknowledged_commit": report.acknowledged or None,
        "damage": report.damage,
        "repaired": report.repaired,
        "copy": report.copy,
        "report": report.file,
    }


def _finding(found: Finding) -> dict[str, object]:
    return {"id": found.task_id, "what": found.what, "status": found.status}


def _print(report: SalvageReport) -> None:
    by_status = ", ".join(f"{count} {status}" for status, count in report.kept.items() if count)
    print(f"kept      {sum(report.kept.values())} tasks{by_status and f' ({by_status})'}")
    print(f"repaired  {len(report.repaired)} flipped bits")
    print(f"dropped   {report.dropped} tasks that cannot be read")
    _print_findings(report.lost)
    if report.untraced:
        print(f"          {report.untraced} of which no trace is left")
    print(f"changed   {len(report.changed)} tasks that are kept, but not as they were")
    _print_findings(report.changed)
    if report.missing_commits:
        rows = ", ".join(_row(first, last) for first, last in report.missing_commits[:SHOWN])
        lost = sum(last - first + 1 for first, last in report.missing_commits)
        print(f"lost      {lost} commits: {rows}; {report.acknowledged} were acknowledged")
    if report.may_run_again:
        print(f"again     {report.may_run_again} tasks may have ended in these, and run again")
    print(f"copy      {clean(report.copy)}")
    print(f"report    {clean(report.file)}")


def _print_findings(findings: list[Finding]) -> None:
    for found in findings[:SHOWN]:
        print(f"          {found.task_id}  {found.status or '-'}: {clean(found.what)}")
    if len(findings) > SHOWN:
        print(f"          and {len(findings) - SHOWN} more: see the report")


def _row(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
