"""One result file, just as Stripe wrote it: no pipeline, no database, nothing parsed but its header.

In: the settings of a source, and days of its one report or a planned cell. Out: a whole file in a folder or at an
address, and the run that made it: the run that another machine may have made for it is adopted.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import closing
from pathlib import Path

from ..errors import ConfigurationError, NotAvailable, StripeError, StripeReportsError
from ..plan.catalog import load_catalog
from ..plan.cells import CellFailure, CellRequest, FetchedCell
from ..plan.intervals import Cell, Span, day_of, start_of_day
from ..plan.planned import FetchedFile, PlannedCell, fetched_file, request_of
from ..plan.resolve import ResolvedReport, resolve
from ..plan.settings import Settings, checked_archive_url
from ..stripe_api.api import StripeApi
from ..stripe_api.archive import Archive
from ..stripe_api.client import stripe_client
from ..stripe_api.runs import RunBook, Runner
from .fetch import CellFetcher
from .outcomes import no_report_yet
from .result_files import ResultFiles


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
    request = CellRequest(resolved, settings.label, settings.acts_on, _cell(resolved, settings))
    return _fetch(api, request, settings, folder)


def fetch_planned(settings: Settings, cell: PlannedCell, url: str) -> FetchedFile:
    """Run a planned cell, and bring its file to an address. Safe to repeat, to kill, and to do twice at once.

    Args:
        settings: of a source like the one that the cell was planned with.
        cell: the cell.
        url: where the file goes, see `checked_place`.

    Raises:
        ConfigurationError: the cell was planned with other settings.
        StripeReportsError: the run or its file cannot be had, or is not taken.
    """
    request = request_of(cell, settings)
    place = Archive(url, "url")
    with closing(ResultFiles(place.folder())) as files:
        try:
            fetched = _fetch(stripe_client(settings, time.sleep), request, settings, files.path)
        except StripeError as error:
            if not no_report_yet(request, error):
                raise
            return FetchedFile(cell, url, str(error))
        place.keep(fetched.file, again=True)
    return fetched_file(cell, url, fetched)


def checked_place(url: str | os.PathLike[str]) -> str:
    """Where fetched files go: an absolute folder, or an address that fsspec takes.

    Raises:
        ConfigurationError: it cannot be written to, or holds what must not go about with each file's values.
    """
    place = checked_archive_url(os.fspath(url), "url") or ""
    if "://" not in place:
        return str(Path(place).expanduser().absolute())
    if "?" in place or re.search(r"://[^/]*:[^/]*@", place):
        raise ConfigurationError(
            "url holds a password or a query, which would go about with every file; set credentials in the environment "
            "or in fsspec's configuration."
        )
    return place


def _fetch(api: StripeApi, request: CellRequest, settings: Settings, folder: Path) -> FetchedCell:
    runner = Runner(api, RunBook(api), settings.run_policy, clock=time.monotonic, sleep=time.sleep)
    try:
        return CellFetcher(api, runner, folder, lambda request, stage, run_id: None, {}).fetch(request)
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
