"""`oq salvage`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from oq.cli.options import Output, output_option
from oq.cli.terminal import clean, print_json
from oq.settings import load_settings

if TYPE_CHECKING:
    from oq.queue.salvage import SalvageReport


@click.command("salvage")
@click.argument("data_dir", metavar="[DIR]", required=False)
@click.option("--config", "config_path", metavar="FILE", help="The settings file to look in.")
@output_option
def salvage_(data_dir: str | None, config_path: str | None, output: Output) -> None:
    """Make a damaged data directory usable again, and keep a copy of it as it was.

    For when `oq serve` says that the data is damaged. DIR is queue.storage_path if not given. What
    cannot be read is lost; the copy is for those who can do better.
    """
    from oq.queue.salvage import salvage

    report = salvage(
        data_dir or load_settings(config_path, {}, os.environ).config.queue.storage_path
    )
    if output is Output.JSON:
        print_json(_document(report))
    else:
        _print(report)


def _document(report: SalvageReport) -> dict[str, object]:
    return {
        "kept": report.kept,
        "dropped": report.dropped,
        "found_commit": report.found,
        "acknowledged_commit": report.acknowledged or None,
        "copy": report.copy,
    }


def _print(report: SalvageReport) -> None:
    by_status = ", ".join(f"{count} {status}" for status, count in report.kept.items() if count)
    print(f"kept      {sum(report.kept.values())} tasks{by_status and f' ({by_status})'}")
    print(f"dropped   {report.dropped} tasks that cannot be read")
    if report.acknowledged > report.found:
        lost = report.acknowledged - report.found
        print(f"lost      the last {lost} commits: {report.acknowledged} were acknowledged")
    print(f"copy      {clean(report.copy)}")
