"""One cell from Stripe to a whole file on this disk.

In: a `CellRequest` (which report, which cell). Out: a `FetchedCell`: run, file facts and the columns of the file,
whose rows are parsed when they are loaded. Runs in worker threads.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from ..errors import ConfigurationError, DownloadError, RowError, StripeError, UnusableFile
from ..plan.cells import CellFailure, CellRequest, Downloaded, FetchedCell, Obtained
from ..plan.columns import TableColumn
from ..plan.intervals import ONE_SECOND, Span
from ..plan.resolve import ResolvedReport
from ..plan.stripe_objects import ReportRun, ResultFile, unix
from ..rows.places import read_header
from ..stripe_api.api import StripeApi
from ..stripe_api.archive import Archive
from ..stripe_api.runs import Runner, RunRequest
from .context import ANY_CELL
from .growing import Arrivals

logger = logging.getLogger(__name__)

Stage = Literal["running", "adopted", "downloading", "fetched"]
DOWNLOADS_PER_CELL = 3


class CellRunner:
    """Makes the runs of cells, and learns what Stripe refuses of a report; safe from several threads."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._lock = threading.Lock()
        self._refused: dict[str, frozenset[str]] = {}
        self._by_default: set[str] = set()

    def run(
        self, request: CellRequest, unfit: Collection[str], note: Callable[[Obtained], None]
    ) -> tuple[Span, ReportRun]:
        """Ask for the cell as planned; where Stripe refuses an end of its own availability, for a second less.

        Stripe's guide lets both ends of an interval lie on the availability's ends, the API reference says one
        second inside (docs.stripe.com/reports/api and /api/reporting/report_run/create), so both must work.
        """
        available = request.report.offered.available
        span = request.cell.span
        while True:
            report = self.report(request)
            asked = self._run_request(request, report, span)
            try:
                run = self._runner.obtain(asked, unfit, note)
                # the answer repeats the names of all columns, and there may be thousands of runs
                same = run.parameters == asked.parameters
                return span, replace(run, parameters=asked.parameters) if same else run
            except StripeError as error:
                if _refuses_columns(report, error):
                    self._without_refused(report, error)
                    continue
                inner = _one_second_inside(span, available, error)
                if inner is None or inner.empty:
                    raise
                logger.info("%s: Stripe refuses %s, asking for %s", request.report.offered.id, span, inner)
                span = inner

    def report(self, request: CellRequest) -> ResolvedReport:
        """The report without the columns that Stripe has refused so far; those that the user names stay."""
        name = request.report.offered.id
        if request.report.report.columns is not None:
            return request.report
        if name in self._by_default:
            return request.report.with_default_columns() or request.report
        return request.report.without_columns(self._refused.get(name, ()))

    def _without_refused(self, report: ResolvedReport, error: StripeError) -> None:
        """Do without columns that Stripe refuses, if only the catalogue asked for them.

        Of a version that the catalogue knows whole, the one that Stripe names is left out. Of any other, and where
        Stripe names none, the default set is taken instead.

        Raises:
            ConfigurationError: the user asked for them, or the default set cannot be had.
        """
        name, column = report.offered.id, _named_column(report, error)
        named = f"the column {column!r}" if column else "the columns asked for"
        asked = report.report.columns is not None or column in report.report.metadata
        leave_out = column is not None and report.known is not None and report.known.columns_complete
        default = report.with_default_columns()
        if asked or (not leave_out and (default is None or default == report)):
            remedy = "leave it out" if column else "name others"
            raise ConfigurationError(f"Stripe refuses {named}; {remedy}: {error.message}") from error
        with self._lock:
            refused = self._refused.get(name, frozenset())
            if column is not None and leave_out and column not in refused:
                logger.warning("%s: Stripe refuses %s; it is left out", name, named)
                self._refused[name] = refused | {column}
            elif not leave_out and name not in self._by_default:
                logger.warning("%s: Stripe refuses %s; its default columns are loaded instead", name, named)
                self._by_default.add(name)

    def _run_request(self, request: CellRequest, report: ResolvedReport, span: Span) -> RunRequest:
        offered = report.offered
        interval = {"interval_start": unix(span.start), "interval_end": unix(span.end)}
        if report.known is not None:
            interval = {name: value for name, value in interval.items() if report.known.accepts(name)}
        return RunRequest(
            account=request.account,
            report_type=offered.id,
            parameters={**interval, **report.parameters},
            available_end=offered.available.end,
            updated=offered.updated,
        )


class CellFetcher:
    """Fetches cells; safe from several threads.

    Args:
        client, runner: Stripe.
        folder: where files go.
        report_stage: called with each step of each cell.
        spoiled: cells, by table and key or `ANY_CELL`, that are known not to fit; they fail without another look.
        archive: keeps every file, before anything of it is loaded.
        arrivals: is told of large files while they are downloaded.
    """

    def __init__(
        self,
        client: StripeApi,
        runner: Runner,
        folder: Path,
        report_stage: Callable[[CellRequest, Stage, str | None], None],
        spoiled: Mapping[tuple[str, str], CellFailure],
        archive: Archive | None = None,
        arrivals: Arrivals | None = None,
    ) -> None:
        self._client = client
        self._runner = CellRunner(runner)
        self._folder = folder
        self._report_stage = report_stage
        self._spoiled = spoiled
        self._archive = archive
        self._arrivals = arrivals
        self._known_columns: dict[tuple[TableColumn, ...], tuple[TableColumn, ...]] = {}

    def fetch(self, request: CellRequest) -> FetchedCell:
        """Run, download and parse one cell.

        Raises:
            CellFailure: with the cause and the run it happened to, if there was one.
        """
        table = request.report.report.table
        known = self._spoiled.get((table, request.key)) or self._spoiled.get((table, ANY_CELL))
        if known is not None:
            raise known
        seen: list[Obtained] = []

        def note(obtained: Obtained) -> None:
            self._report_stage(request, "adopted" if obtained.adopted else "running", obtained.run.id)
            seen.append(obtained)

        try:
            return self._fetch(request, note, seen)
        except Exception as error:
            raise CellFailure(error, seen[-1] if seen else None) from error

    def as_planned_now(self, fetched: FetchedCell, request: CellRequest) -> FetchedCell | CellFailure:
        """A cell that an earlier plan has asked for in the same words, for a later one."""
        try:
            columns = self._columns_of(request, fetched.file)
        except Exception as error:
            fetched.file.path.unlink(missing_ok=True)
            return CellFailure(error, fetched.obtained)
        return replace(fetched, request=request, columns=columns)

    def _fetch(self, request: CellRequest, note: Callable[[Obtained], None], seen: Sequence[Obtained]) -> FetchedCell:
        unfit: list[str] = []
        while True:
            span, run = self._runner.run(request, unfit, note)
            obtained = Obtained(run, seen[-1].attempt, seen[-1].adopted)
            try:
                file = self._download(request, span, obtained)
                break
            except UnusableFile as error:
                if len(unfit) + 1 >= DOWNLOADS_PER_CELL:
                    raise
                logger.warning("%s Making a new run.", error)
                unfit.append(run.id)
        try:
            if self._archive is not None:
                file = replace(file, archive_path=self._archive.keep(file))
            columns = self._columns_of(request, file)
        except BaseException:
            file.path.unlink(missing_ok=True)
            raise
        self._report_stage(request, "fetched", run.id)
        return FetchedCell(request, span, obtained, file, columns)

    def _columns_of(self, request: CellRequest, file: Downloaded) -> tuple[TableColumn, ...]:
        """The table columns of a cell's file: one value for all cells that have the same ones."""
        columns = _columns_of(self._runner.report(request), read_header(file.path)[0])
        return self._known_columns.setdefault(columns, columns)

    def _download(self, request: CellRequest, span: Span, obtained: Obtained) -> Downloaded:
        run = obtained.run
        if run.result is None:
            raise DownloadError(f"run {run.id} has no result file.")
        self._report_stage(request, "downloading", run.id)
        target = self._folder / f"{run.id}-{id(request):x}.csv"
        try:
            return self._download_first(request, span, obtained, run.result, target)
        except UnusableFile:
            # the run may have got a new address or size meanwhile
            fresh = self._client.run(run.id, request.account).result
            if fresh is None or fresh == run.result:
                raise
            return self._client.download(fresh, target, request.account)

    def _download_first(
        self, request: CellRequest, span: Span, obtained: Obtained, file: ResultFile, target: Path
    ) -> Downloaded:
        """A download while which the cell is known to arrive."""
        if self._arrivals is None:
            return self._client.download(file, target, request.account)
        coming = Downloaded(target, file.size, "")
        columns = partial(self._columns_of, request, coming)
        with self._arrivals.announce(FetchedCell(request, span, obtained, coming, ()), columns) as on_bytes:
            return self._client.download(file, target, request.account, on_bytes)


def _columns_of(report: ResolvedReport, headers: Sequence[str]) -> tuple[TableColumn, ...]:
    """The table columns of a file, which must hold every column that was asked for."""
    missing = [name for name in report.requested or () if name not in headers]
    if missing:
        raise RowError(f"line 1: the requested column {missing[0]!r} is not in the file.")
    return report.table_columns(headers)


def _refuses_columns(report: ResolvedReport, error: StripeError) -> bool:
    """True for a 400 that speaks of columns, in its text or its parameter, to a request that has named some."""
    return error.http_status == 400 and report.requested is not None and "column" in f"{error.param} {error.message}"


def _named_column(report: ResolvedReport, error: StripeError) -> str | None:
    """The requested column that an error names, if it names one."""
    named = [
        name
        for name in report.requested or ()
        if re.search(rf"(?<![\w\[]){re.escape(name)}(?![\w\[\]])", error.message)
    ]
    return max(named, key=len) if named else None


def _one_second_inside(span: Span, available: Span, error: StripeError) -> Span | None:
    """The span one second shorter at the end that Stripe refused, if that end is the availability's own."""
    if error.http_status != 400:
        return None
    said = error.param or error.message
    if "interval_end" in said and span.end == available.end:
        return replace(span, end=span.end - ONE_SECOND)
    if "interval_start" in said and span.start == available.start:
        return replace(span, start=span.start + ONE_SECOND)
    return None
