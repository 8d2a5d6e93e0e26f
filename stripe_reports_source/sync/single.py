"""One result file, just as Stripe wrote it: no pipeline, no database, nothing parsed but its header.

In: the settings of a source with one report, and its days. Out: a whole file in a folder, and the run that made it: the
run that another machine may have made for these days is adopted.
"""

from __future__ import annotations

import time
from pathlib import Path

from ..errors import ConfigurationError, NotAvailable, StripeReportsError
from ..plan.catalog import load_catalog
from ..plan.cells import CellFailure, CellRequest, FetchedCell
from ..plan.intervals import Cell, Span, day_of, start_of_day
from ..plan.resolve import ResolvedReport, resolve
from ..plan.settings import Settings
from ..stripe_api.client import stripe_client
from ..stripe_api.runs import RunBook, Runner
from .fetch import CellFetcher


def fetch_file(settings: Settings, folder: Path) -> FetchedCell:
    """Run the report of some settings for their days, as one interval, and bring the file to a folder.

    Args:
        settings: with one report, and the days that it is run for: `start_date` and `end_date`, the latter alone for
            a report of an instant, neither for a report per payout.
        folder: where the file goes.

    Raises:
        ConfigurationError: a setting is wrong, or a day or a payout is lacking.
        NotAvailable: Stripe does not have the whole interval. No run was made then.
        StripeReportsError: the run or its file cannot be had.
    """
    api = stripe_client(settings, time.sleep)
    [report] = settings.reports
    offered = api.report_types(settings.acts_on)
    resolved = resolve(report, offered, load_catalog(), settings.defaults, personal_data=settings.personal_data)
    runner = Runner(api, RunBook(api), settings.run_policy, clock=time.monotonic, sleep=time.sleep)
    fetcher = CellFetcher(api, runner, folder, lambda request, stage, run_id: None, {})
    try:
        return fetcher.fetch(CellRequest(resolved, settings.label, settings.acts_on, _cell(resolved, settings)))
    except CellFailure as failure:
        if isinstance(failure.error, StripeReportsError):
            raise failure.error from failure
        raise


def _cell(resolved: ResolvedReport, settings: Settings) -> Cell:
    """The interval that is asked for, which need not be one of a grid."""
    available, name = resolved.offered.available, resolved.offered.id
    if resolved.keys:
        lacking = [key for key in resolved.keys if not isinstance(resolved.parameters.get(key), str)]
        if lacking:
            raise ConfigurationError(f"report {name!r} is run per payout: set its parameter {lacking[0]!r}.")
        return Cell(day_of(available.end, resolved.zone), available, available)
    start, end = (
        None if day is None else start_of_day(day, resolved.zone) for day in (settings.start_date, settings.end_date)
    )
    if end is None or (start is None and not resolved.snapshot):
        raise ConfigurationError(f"report {name!r}: set {'start_date' if end else 'end_date'}, a day as YYYY-MM-DD.")
    span = Span(available.start if start is None else start, end)
    if span.empty or not available.covers(span):
        raise NotAvailable(f"report {name!r}: asked for {span}, and Stripe has {available}.")
    return Cell(day_of(span.start, resolved.zone), span, span)
