"""Commands for the files themselves: `fetch` gives one as Stripe wrote it, `replay` loads a dataset from an archive."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import click

from ..load import load_reports
from ..plan.catalog import load_catalog
from ..plan.report import Report
from ..source import archived_reports, settings_of, stripe_reports
from .console import say, standard_output
from .outputs import file_of
from .places import open_pipeline, pipeline_options, place
from .progress import SyncProgress
from .shared import NamedPath, plain_errors
from .sources import parameter_option, parameters_of
from .verdict import say_loaded

STDOUT = Path("-")


@click.command()
@click.argument("report")
@click.option("--start-date", help="First day, YYYY-MM-DD; not for reports of an instant or per payout.")
@click.option(
    "--end-date", help="Day after the last, YYYY-MM-DD; for a report of an instant, the day that begins then."
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=NamedPath(path_type=Path, dir_okay=False, allow_dash=True),
    help="Where to write the file; - is the standard output.",
)
@click.option("--timezone", help="IANA zone of days.  [default: UTC]")
@click.option("--columns", default="all", show_default=True, help="all, default, or names with commas between them.")
@click.option("--metadata", multiple=True, help="Custom column, such as 'payment_metadata[order_id]'; repeatable.")
@parameter_option
@plain_errors
def fetch(
    report: str,
    output: Path,
    columns: str,
    metadata: tuple[str, ...],
    parameters: tuple[str, ...],
    **days: Any,
) -> None:
    """Write the CSV file of REPORT just as Stripe wrote it.

    No database is needed. The file goes to its place when it is whole, readable by its owner only. The run and the
    file's SHA-256 are told on the standard error.
    """
    asked = Report(report, columns=_columns(columns), metadata=metadata, parameters=parameters_of(parameters))
    _check_days(asked, **days)
    source = stripe_reports([asked], **{name: value for name, value in days.items() if value is not None})
    from ..sync.result_files import ResultFiles
    from ..sync.single import fetch_file  # Arrow and HTTP, which the other commands do not need

    target = None if output == STDOUT else file_of(output)
    with ExitStack() as stack:
        files = ResultFiles(target.parent if target else None)
        stack.callback(files.close_with_parent)
        fetched = fetch_file(settings_of(source), files.path)
        file, run = fetched.file, fetched.obtained.run
        if target is not None:
            os.replace(file.path, target)
        else:
            stack.enter_context(suppress(BrokenPipeError))  # whoever reads a pipe may have enough before the end
            content = stack.enter_context(file.path.open("rb"))
            out = sys.stdout.buffer if output == STDOUT else stack.enter_context(output.open("wb"))
            shutil.copyfileobj(content, out)
    where = "" if output == STDOUT else f" to {output.absolute()}"
    click.echo(f"{run.report_type} run {run.id}: {file.bytes} bytes{where}, sha256 {file.sha256}", err=True)


@click.command()
@click.argument("archive")
@pipeline_options
@plain_errors
def replay(archive: str, database: Path | None, destination: str, dataset: str, pipeline_name: str) -> None:
    """Load a dataset from an archive, without Stripe.

    ARCHIVE is a folder, or an address, that archive_url was set to. The dataset is equal to the one that the archive
    was written for, but for when it was loaded.
    """
    pipeline = open_pipeline(destination, dataset, pipeline_name, database)
    console = standard_output()
    say(console, f"Replaying into {place(pipeline)}.")
    with SyncProgress(console, pipeline) as progress:
        loaded = load_reports(pipeline, archived_reports(archive), on_event=progress)
    say_loaded(console, pipeline, loaded)


def _columns(columns: str) -> Any:
    return None if columns == "all" else columns if columns == "default" else columns.split(",")


def _check_days(report: Report, start_date: str | None, end_date: str | None, timezone: str | None) -> None:
    """Which days a report takes depends on its kind; of one that the catalogue does not know, it is an interval."""
    known = load_catalog().nearest(report.report)
    shape = known.shape if known else "interval"
    given = {"--start-date": start_date, "--end-date": end_date}
    takes = {"interval": ("--start-date", "--end-date"), "snapshot": ("--end-date",), "per_payout": ()}[shape]
    for option, value in given.items():
        if value is None and option in takes:
            raise click.UsageError(f"{report.report} needs {option}, a day as YYYY-MM-DD.")
        if value is not None and option not in takes:
            kind = "of an instant" if shape == "snapshot" else "run per payout"
            raise click.UsageError(f"{report.report} is {kind} and takes no {option}.")
