"""Cells as jobs, for engines that place work: what is to be loaded, and the fetching of one cell on any machine.

In: a pipeline and a source; a planned cell and a source. Out: planned cells, fetched files: values that go through
JSON. `load_cells` loads them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from dlt import Pipeline
from dlt.extract import DltSource

from .plan.planned import FetchedFile, PlannedCell, planned_cell
from .plan.report_tables import Availability, ReportTable, report_table
from .plan.windows import checked_days
from .reconcile import kept
from .sync.syncs import settings_for_jobs

logger = logging.getLogger(__name__)


def report_tables(source: DltSource) -> list[ReportTable]:
    """The reports that a source loads, and their tables: grid, zone, columns, texts. No request is made.

    Args:
        source: from `stripe_reports(...)`, possibly narrowed by `with_resources`.

    Raises:
        ConfigurationError: it is not such a source, or asks for something that a report does not have.
    """
    settings = settings_for_jobs(source)
    selected = source.selected_resources
    return [
        report_table(report, settings, str(selected[report.table].table_name))
        for report in settings.reports
        if report.table in selected
    ]


def availability(source: DltSource) -> dict[str, Availability]:
    """Up to when Stripe has data for the reports of a source, by table. One request; no report is run.

    Args:
        source: from `stripe_reports(...)`, possibly narrowed by `with_resources`.

    Returns:
        What there is of each report that is offered; the log says which are not.

    Raises:
        ConfigurationError: a report cannot be run as asked.
        StripeError, StripeUnreachable: Stripe does not answer.
    """
    from .sync.available import available  # HTTP, which importing us does not need

    found = available(settings_for_jobs(source))
    return {table.table: found[table.resource] for table in report_tables(source) if table.resource in found}


def availability_settings(source: DltSource) -> dict[str, Any]:
    """With which arguments `stripe_reports` makes a source of which `availability` says the same, as a JSON object.

    For processes that only wait for Stripe. The key is not among them: it comes from the configuration of the process.
    The tables of that source have the names of this one's resources.

    Args:
        source: from `stripe_reports(...)`, possibly narrowed by `with_resources`.
    """
    settings = settings_for_jobs(source)
    return {
        "reports": [
            {"report": report.report, "table_name": report.table}
            for report in settings.reports
            if report.table in source.selected_resources
        ],
        "stripe_account": settings.stripe_account,
        "stripe_context": settings.stripe_context,
        "retry_policy": asdict(settings.retry_policy),
        "api_base_url": settings.api_base_url,
        "files_base_url": settings.files_base_url,
    }


def query_tables(pipeline: Pipeline, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a query on the dataset of a pipeline; a DuckDB file that another process has open is waited for.

    Args:
        pipeline: whose dataset.
        query: SQL that every dialect takes, with `{table.report_runs}` and `{column.rows}` where a table or a column is
            named: they are quoted as the destination does.
        values: for the placeholders `%s` of the query.

    Returns:
        The rows; none where a table is not there (yet).

    Raises:
        DestinationBusy: another process has the file open for too long.
    """
    from .warehouse.own_jobs import own_jobs  # what dlt loads late, which importing us does not need
    from .warehouse.query import select

    with own_jobs(pipeline):
        return select(pipeline, query, *values) or []


def loaded_since(pipeline: Pipeline) -> dict[tuple[str, str], int]:
    """How many cells of each table and account were loaded after the last look at them: `tie_out` has nothing on these.

    Args:
        pipeline: whose dataset.

    Raises:
        DestinationBusy: another process has the file open for too long.
    """
    from .warehouse.own_jobs import own_jobs  # what dlt loads late, which importing us does not need

    with own_jobs(pipeline):
        return kept.loaded_since(pipeline)


def plan_cells(
    pipeline: Pipeline, source: DltSource, *, days: tuple[date | str, date | str] | None = None
) -> list[PlannedCell]:
    """The cells that `load_reports` would load now, in the order of each report; none when Stripe has nothing new.

    Reads the state and tables at the destination, and asks Stripe what it offers: no report is run, nothing is loaded
    or moved, no lock is held. Loads of the pipeline may be under way; what they have not loaded yet is planned.

    Some cells only follow from what is loaded: reports that are run per payout, once the payouts are loaded, and
    activity to be loaded again, once the payouts are loaded that have settled it. After `load_cells`, plan a second
    time; one round more changes nothing.

    Args:
        pipeline: where the cells will be loaded to.
        source: from `stripe_reports(...)`, possibly narrowed by `with_resources`. With an `end_date`, the cells are
            those of its window, whatever is loaded.
        days: the first day and the day after the last, in each report's zone: the cells of these days, as far as
            Stripe has them, whatever is loaded. Give `load_cells` the same days.

    Raises:
        ConfigurationError: a report cannot be run as asked, or its rows would stand beside other data than its own.
        SyncFailed: no report can be planned. Where only some cannot, the log says so, and `load_cells` will.
        AuthenticationError, PermissionDenied, StripeUnreachable: Stripe does not answer.
    """
    from .sync.planning import planning  # Arrow and HTTP, which importing us does not need

    settings_for_jobs(source)
    window = checked_days(days)
    with planning(pipeline, source, window) as plans:
        lanes = plans.lanes()
        planned = [planned_cell(request, lane, again=False) for lane in lanes for request in lane.cells]
        again: dict[str, set[str]] = {} if window is not None else kept.not_filled_in(plans.pipeline, plans.account)
        for cell in planned:
            again.get(cell.table, set()).discard(cell.interval_key)
        if any(again.values()):
            lanes = plans.lanes(again)
            planned += [planned_cell(request, lane, again=True) for lane in lanes for request in lane.cells]
        for problem in plans.problems:
            logger.warning("not planned: %s", problem)
    return planned


def fetch_cell(source: DltSource, cell: PlannedCell | Mapping[str, Any], url: str | os.PathLike[str]) -> FetchedFile:
    """Run a planned cell at Stripe, wait, and bring its file to a folder or address. On any machine, without dlt.

    It needs no state, takes no lock, and may be killed, repeated, or done twice at once: there is one report run all
    the same, which is found again by its idempotency key and parameters. The file lies whole at `url` or not at all,
    named by its SHA-256 as in an archive, which `url` may be.

    Args:
        source: built with the settings that the cell was planned with; only the settings are used.
        cell: of `plan_cells`, or its `as_json()`.
        url: a folder that the loading machine sees too, or an address that fsspec takes, such as `s3://bucket/cells`.
            Credentials come from the environment or fsspec's configuration.

    Returns:
        What `load_cells` takes. Where Stripe has no report of a payout (yet), it says so in `refused`.

    Raises:
        ConfigurationError: the source has other settings, or `url` cannot be used.
        RunFailed, RunTimedOut, DownloadError, RowError: as of a report interval that is not loaded.
        ArchiveError: the file cannot be written to `url`.
        StripeError, StripeUnreachable: Stripe refuses or does not answer.
    """
    from .sync.single import checked_place, fetch_planned  # Arrow and HTTP, which importing us does not need

    planned = PlannedCell.from_json(cell if isinstance(cell, Mapping) else cell.as_json())
    return fetch_planned(settings_for_jobs(source), planned, checked_place(url))
