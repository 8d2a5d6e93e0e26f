"""The source of a command: which reports, on which grid, with which columns. The rest comes from dlt config."""

from __future__ import annotations

from typing import Any

import click
from dlt.extract import DltSource

from ..plan.report import Report
from ..source import DEFAULT_REPORTS, stripe_reports
from .shared import options

report_options = options(
    click.argument("reports", nargs=-1),
    click.option("--interval", type=click.Choice(["day", "week", "month"]), help="Grid of cells.  [default: month]"),
    click.option("--timezone", help="IANA zone of days.  [default: UTC]"),
    click.option("--columns", type=click.Choice(["all", "default"]), default="all", show_default=True),
    click.option("--metadata", multiple=True, help="Custom column, such as 'payment_metadata[order_id]'; repeatable."),
)


def source_of(reports: tuple[str, ...], columns: str, metadata: tuple[str, ...], **given: Any) -> DltSource:
    """The source; settings that are not given come from dlt config or the source's defaults."""
    settings = {name: value for name, value in given.items() if value is not None}
    if reports or metadata or columns != "all":
        chosen = "default" if columns == "default" else None
        settings["reports"] = [
            Report(report, columns=chosen, metadata=metadata) for report in reports or DEFAULT_REPORTS
        ]
    return stripe_reports(**settings)
