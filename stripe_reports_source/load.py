"""`load_reports`: a source in bounded load packages, with failures collected and raised once, at the end.

In: a dlt pipeline and a `stripe_reports` source. Out: what was loaded. dlt loads a package whole or not at all,
so a long history in one package would lose everything at the first failure; here each package commits rows and
cursor together, and the next one goes on from there.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from dlt import Pipeline
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltSource

from .errors import Failure, NotStored, SyncFailed, TieOutFailed, find_cause, own_error
from .plan.cells import LoadedCell
from .proof import prove
from .reconcile.reconciliation import Reconciliation
from .stripe_api.run_events import RunEvents
from .sync.context import Load, SpoiledPackage
from .sync.progress import Event, Listener
from .sync.syncs import Syncs, syncs_of
from .warehouse.comments import write_comments
from .warehouse.forks import History
from .warehouse.inventory import make_missing_tables, mend_tables
from .warehouse.leftovers import abort_begun_packages, mend_folder, remove_leftovers, set_aside
from .warehouse.locks import pipeline_lock
from .warehouse.own_jobs import own_jobs
from .warehouse.stored import note_altered, note_lost, stored_rows

logger = logging.getLogger(__name__)

MAX_CELLS = 60
MAX_BYTES = 1 << 30
SYNCS_AT_MOST = 3


@dataclass(frozen=True)
class TableLoaded:
    """What was loaded of a table and account: interval cells, and the rows that the destination holds of them."""

    table: str
    account: str
    cells: int
    rows: int


@dataclass(frozen=True)
class Loaded:
    """What `load_reports` did: dlt's load infos (none without anything to load), cells, rows, and both by table.

    `reconciliation` is what was then found of the loaded intervals; None if nothing was loaded, or it was not looked.
    """

    load_infos: tuple[LoadInfo, ...]
    cells: int
    rows: int
    tables: tuple[TableLoaded, ...] = ()
    reconciliation: Reconciliation | None = None


def load_reports(
    pipeline: Pipeline,
    source: DltSource,
    *,
    max_cells: int = MAX_CELLS,
    max_bytes: int = MAX_BYTES,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
    run_events: RunEvents | None = None,
    reconcile: Literal["warn", "fail"] | None = None,
) -> Loaded:
    """Load a source in packages until there is nothing left to load.

    A report interval that fails ends its report for this call: what it has loaded before stays, and the other reports
    go on. Packages that an earlier, interrupted load has left are loaded first, or extracted again.

    Args:
        pipeline: where to load to. A second call for it, or for its dataset, waits for this one.
        source: from `stripe_reports(...)`, possibly narrowed by `with_resources`.
        max_cells, max_bytes: intervals and bytes of result files per load package, of all reports together.
        on_event: called with each `Event`, from several threads.
        stop: once set, the load ends after the present package; what is left is for the next call.
        run_events: tells when Stripe has ended a run, so that it need not be polled often; webhooks do that.
        reconcile: what to do where the loaded reports do not agree, which the table `tie_out` says in any case: log a
            warning, or raise at the end.

    Returns:
        What was loaded: the rows that the destination holds.

    Raises:
        SyncFailed: lists every report interval that is not loaded; all others are.
        TieOutFailed: with `reconcile="fail"`, reports do not agree; all are loaded.
        ConfigurationError, AuthenticationError, PermissionDenied, StripeUnreachable: nothing could be begun.
        WorkingFolderError: dlt's working folder cannot be written, or is cut and not ours alone.
        DestinationBusy: someone else has locked the database for too long.
        PipelineStepFailed: dlt could not write to the destination.
    """
    syncs = syncs_of(source)
    load = Load(True, max_cells, max_bytes, Listener(on_event), stop, run_events)
    mend = partial(mend_folder, pipeline, source.name)
    with syncs.loading(load), pipeline_lock(pipeline, mend), own_jobs(pipeline):
        loaded = _Loading(pipeline, source, syncs, load).run()
    if load.failures:
        raise SyncFailed(load.last_failures(), loaded)
    found = loaded.reconciliation
    if reconcile is not None and found is not None and not found.ok:
        if reconcile == "fail":
            raise TieOutFailed(found.verdict(), found.lines(), found, loaded)
        logger.warning("%s", "\n- ".join((found.verdict(), *found.lines())))
    return loaded


class _Loading:
    """One call of `load_reports`, under its lock."""

    def __init__(self, pipeline: Pipeline, source: DltSource, syncs: Syncs, load: Load) -> None:
        from .warehouse.duckdb_cells import load_package  # DuckDB and Arrow, which importing us does not need

        self._pipeline = pipeline
        self._source = source
        self._syncs = syncs
        self._load = load
        self._load_package = load_package
        self._refresh = pipeline.refresh
        """Of the first package that is loaded; dlt would take the pipeline's own for every package."""
        self._is_new_here = False
        self._infos: list[LoadInfo] = []
        self._stored: list[tuple[LoadedCell, int]] = []
        """Cells that are loaded, each with the rows that the destination holds of it."""

    def run(self) -> Loaded:
        """Load what was left pending, then sync until there is nothing left."""
        refresh, self._pipeline.refresh = self._pipeline.refresh, None
        try:
            return self._run()
        finally:
            self._pipeline.refresh = refresh

    def _run(self) -> Loaded:
        self._finish_pending()
        self._pipeline.run()  # takes over the state at the destination, as before any extraction
        # what this machine has never loaded may have lost tables that its schema does not tell of
        self._is_new_here = self._source.name not in self._pipeline.schemas
        mend_tables(self._pipeline, self._source, self._refresh)
        for _ in range(SYNCS_AT_MOST):
            before = len(self._infos)
            self._sync()
            sync = self._syncs.sync
            crossed = len(self._infos) > before and sync and not History(self._pipeline).forks <= sync.forks
            if sync is None or self._load.stopped or not (crossed or sync.follow_up):
                break
            # the next sync mends what one without a lock has crossed, or runs reports for new payouts
            self._syncs.end()
        write_comments(self._pipeline, self._source.name)
        return self._loaded()

    def _loaded(self) -> Loaded:
        rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        for cell, stored in self._stored:
            rows[cell.request.report.report.table, cell.lane].append(stored)
        tables = [TableLoaded(table, account, len(counts), sum(counts)) for (table, account), counts in rows.items()]
        rows_loaded = sum(table.rows for table in tables)
        found = prove(self._pipeline, self._source.name)
        return Loaded(tuple(self._infos), len(self._stored), rows_loaded, tuple(tables), found)

    def _finish_pending(self) -> None:
        remove_leftovers(self._pipeline)
        abort_begun_packages(self._pipeline, self._source.name)
        if not self._pipeline.has_pending_data:
            return
        try:
            self._pipeline.normalize()
            if self._source.name in self._pipeline.schemas:
                make_missing_tables(self._pipeline, self._source.name, only_dlts=True)
            self._infos.append(self._load_package(self._pipeline, self._source.name))
        except Exception as error:
            if own_error(error) or not set_aside(self._pipeline, self._source.name, error):
                raise

    def _sync(self) -> None:
        """The steps of `pipeline.run`, package by package; only the first one refreshes, if the pipeline is made to."""
        fresh = self._source.schema.clone()  # without what a package that is set aside would have added
        while True:
            self._load.begin_package()
            try:
                self._pipeline.extract(self._source, refresh=self._refresh)
                self._pipeline.normalize()
                if self._is_new_here:
                    make_missing_tables(self._pipeline, self._source.name, only_dlts=False)
                info = self._load_package(self._pipeline, self._source.name)
            except Exception as error:
                if self._may_go_on(error):
                    self._syncs.end()  # a new sync fails the cell before any of its rows are extracted
                    self._source.schema = fresh.clone()
                    continue
                own = own_error(error)
                if own is None:
                    raise
                raise own from None
            self._refresh, self._is_new_here = None, False
            if info is not None and info.loads_ids:
                self._infos.append(info)
                self._count(info)
            if self._load.stopped or not self._load.full:
                return

    def _may_go_on(self, error: Exception) -> bool:
        if find_cause(error, SpoiledPackage) is not None:
            return True
        if own_error(error) is not None:
            return False
        return self._load.refuse(set_aside(self._pipeline, self._source.name, error))

    def _count(self, info: LoadInfo) -> None:
        """Compare what is stored of each cell of a package with its file."""
        sync = self._syncs.sync
        cells = sync.outcomes.take_cells() if sync else []
        stored = stored_rows(self._pipeline, cells, info.loads_ids) if cells else []
        altered = [(cell, rows) for cell, rows in stored if rows != cell.rows and cell.altered]
        lost = [(cell, rows) for cell, rows in stored if rows != cell.rows and not cell.altered]
        self._stored += [(cell, rows) for cell, rows in stored if rows == cell.rows or cell.altered]
        if altered:
            note_altered(self._pipeline, altered)
        if lost:
            why = [(cell, NotStored(f"the file has {cell.rows} rows, and {rows} are stored.")) for cell, rows in lost]
            note_lost(self._pipeline, self._source.name, [(cell, str(error)) for cell, error in why])
            for cell, error in why:
                report = cell.request.report.offered.id
                self._load.fail(Failure(report, cell.lane, cell.request.title, cell.run_id, error, error.remedy))
