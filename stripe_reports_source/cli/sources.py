"""The source of a command: every setting that can be an option. What is not given comes from dlt config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import click
import dlt
from dlt.extract import DltSource

from ..errors import ConfigurationError
from ..plan.catalog import load_catalog
from ..plan.columns import split_metadata
from ..plan.report import Report
from ..plan.setting_lists import listed, report_of
from ..plan.settings import MOST_RUNS_AT_ONCE
from ..source import DEFAULT_REPORTS, stripe_reports
from .shared import options

parameter_option = click.option(
    "--parameter", "parameters", multiple=True, help="Run parameter, such as currency=eur; repeatable."
)
report_options = options(
    click.argument("reports", nargs=-1),
    click.option("--interval", type=click.Choice(["day", "week", "month"]), help="Grid of cells.  [default: month]"),
    click.option("--timezone", help="IANA zone of days.  [default: UTC]"),
    click.option("--columns", type=click.Choice(["all", "default"]), default="all", show_default=True),
    click.option("--column", "named", multiple=True, help="Only this column, of a single report; repeatable."),
    click.option(
        "--metadata",
        multiple=True,
        help="Custom column, such as 'payment_metadata[order_id]', of the reports that have such; repeatable.",
    ),
    parameter_option,
    click.option("--table-name", help="Table of a single report.  [default: the report's id]"),
    click.option("--stripe-account", help="Connected account to run reports on behalf of, acct_...."),
    click.option("--stripe-context", help="The same for an organisation's key, acct_... or acct_.../acct_...."),
    click.option("--connected-accounts", help="Accounts of connected_account_* reports, with commas between them."),
    click.option(
        "--personal-data/--no-personal-data", default=None, help="Columns that tell of persons.  [default: yes]"
    ),
    click.option(
        "--max-concurrent-runs", type=click.IntRange(1, MOST_RUNS_AT_ONCE), help="Runs at once.  [default: 4]"
    ),
    click.option("--run-timeout", type=float, help="Seconds to wait for a run.  [default: 1800]"),
    click.option("--archive-url", help="Folder or address where each file is kept as Stripe wrote it."),
)
"""What commands that load reports share."""
account_option = click.option("--account", help="Label of the account in the column _account.  [default: default]")
partial_option = click.option(
    "--allow-partial", is_flag=True, default=None, help="Load what Stripe has of the days, if it has not all."
)
refresh_option = click.option(
    "--refresh",
    type=click.Choice(["drop_sources", "drop_resources", "drop_data"]),
    help="Drop what is loaded and load it anew, as dlt's refresh.",
)


def source_of(
    reports: tuple[str, ...],
    columns: str,
    metadata: tuple[str, ...],
    named: tuple[str, ...] = (),
    parameters: tuple[str, ...] = (),
    table_name: str | None = None,
    **given: Any,
) -> DltSource:
    """The source; settings that are not given come from dlt config or the source's defaults.

    Raises:
        UsageError: an option for a single report with several, or a parameter without a value.
        ConfigurationError: metadata that none of the reports has.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    chosen = _chosen_columns(columns, named)
    changes: dict[str, Any] = {
        "columns": chosen,
        "parameters": parameters_of(parameters) or None,
        "table_name": table_name,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if reports or metadata or changes:
        configured: Any = dlt.config.get("sources.stripe_reports.reports")
        asked = [report_of(each) for each in reports or listed(configured or DEFAULT_REPORTS, "reports")]
        for option, value in (("--column", named), ("--table-name", table_name)):
            if value and len(asked) != 1:
                raise click.UsageError(f"{option} is for a single report, and {len(asked)} are asked for.")
        settings["reports"] = _with_metadata([replace(report, **changes) for report in asked], metadata)
    return stripe_reports(**settings)


def parameters_of(given: tuple[str, ...]) -> dict[str, str]:
    """Run parameters by name.

    Raises:
        UsageError: one is not NAME=VALUE.
    """
    parameters = {}
    for parameter in given:
        name, _, value = parameter.partition("=")
        if not name or not value:
            raise click.UsageError(f"--parameter {parameter!r} must be NAME=VALUE, such as currency=eur.")
        parameters[name] = value
    return parameters


def _chosen_columns(columns: str, named: tuple[str, ...]) -> Sequence[str] | Literal["default"] | None:
    if named and columns == "default":
        raise click.UsageError("--column names columns, --columns default means others; give one of them.")
    return list(named) or ("default" if columns == "default" else None)


def _with_metadata(reports: Sequence[Report], metadata: tuple[str, ...]) -> list[Report]:
    """The reports, each with the custom columns that it can have; what only Stripe knows is left to it."""
    for header in metadata:
        if split_metadata(header) is not None and not any(_takes(report, header) for report in reports):
            names = ", ".join(report.report for report in reports)
            raise ConfigurationError(f"metadata {header!r}: none of the reports has such a column ({names}).")
    return [
        replace(report, metadata=[header for header in metadata if _takes(report, header)]) if metadata else report
        for report in reports
    ]


def _takes(report: Report, header: str) -> bool:
    known = load_catalog().nearest(report.report)
    split = split_metadata(header)
    return known is None or split is None or split[0] in known.metadata_prefixes
