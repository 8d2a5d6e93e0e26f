"""A source loaded into a pipeline, package by package: syncs until there is nothing left, or exactly some cells.

In: a pipeline, a source, what bounds the load. Out: load packages, and the cells that the destination holds now. dlt
loads a package whole or not at all, so a long history in one package would lose everything at the first failure; here
each package commits rows and cursor together, and the next one goes on from there.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlt import Pipeline
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltSource

from ..errors import Failure, NotStored, RowError, find_cause, own_error
from ..plan.cells import CountedCell
from ..plan.table_texts import table_texts
from ..warehouse.comments import write_comments
from ..warehouse.coverage import remove_dropped_cells
from ..warehouse.forks import History
from ..warehouse.inventory import make_missing_tables, mend_tables
from ..warehouse.kept_open import KeptOpen
from ..warehouse.kept_schemas import keep_schemas
from ..warehouse.leftovers import abort_begun_packages, mend_folder, remove_leftovers, set_aside
from ..warehouse.own_jobs import import_early, load_package, own_jobs
from ..warehouse.places import leave_other_place, note_place
from ..warehouse.stored import note_altered, note_lost, stored_rows
from ..warehouse.turns import PipelineLock, pipeline_lock
from .context import GivesWay, Load, SpoiledPackage
from .ledger import dropped_cells
from .progress import Event
from .result_files import remove_abandoned, result_folder
from .syncs import Syncs, syncs_of

if TYPE_CHECKING:
    from .given import GivenFiles
    from .under_way import UnderWay

logger = logging.getLogger(__name__)

SYNCS_AT_MOST = 3
MANY_CELLS, MANY_ROWS = 1000, 1_000_000
"""Of a load, whose memory is worth some time to be rid of."""


@contextmanager
def loading(pipeline: Pipeline, source: DltSource, load: Load, given: GivenFiles | None = None) -> Iterator[Loading]:
    """Begin to load a source, under the pipeline's lock: what an earlier load has left is finished first.

    The lock is given to others while Stripe is awaited. While others have it, cells are run and fetched.

    Args:
        pipeline: where to load to.
        source: from `stripe_reports(...)`.
        load: its bounds and listeners.
        given: files that are loaded instead of running reports.

    Raises:
        StoppedWaiting: the load was stopped while others had the lock. So do the methods of what is given.
    """
    syncs = syncs_of(source)
    mend = partial(mend_folder, pipeline, source.name)
    syncs.refuse_second()
    asks_stripe = given is None and not syncs.replays
    meanwhile: list[UnderWay] = []

    def begin() -> UnderWay | None:
        from .before_turn import begin_meanwhile  # Arrow and HTTP, which waiting alone does not need

        begun = begin_meanwhile(pipeline, source, load) if asks_stripe else None
        meanwhile.extend([] if begun is None else [begun])
        return begun

    def close() -> None:
        for under_way in meanwhile:
            under_way.close()

    keep_schemas(pipeline)
    import_early(pipeline)
    import_module(".resources", __package__)
    with ExitStack() as held:
        held.callback(close)
        lock = held.enter_context(pipeline_lock(pipeline, mend, begin, lambda: load.stopped))
        held.enter_context(syncs.loading(load, given))
        if meanwhile:
            syncs.go_on_with(meanwhile[0])
        held.enter_context(own_jobs(pipeline))
        refresh, pipeline.refresh = pipeline.refresh, None
        try:
            begun = Loading(pipeline, source, syncs, load, refresh, lock if asks_stripe else None)
            begun.begin()
            yield begun
            note_place(pipeline)
        finally:
            load.database.let_go()
            pipeline.refresh = refresh


@contextmanager
def named_in_log(failures: Iterable[Failure]) -> Iterator[None]:
    """Where an error ends a call, name in the log what would have been raised at its end. No value of a row is said."""
    try:
        yield
    except Exception:
        for failure in failures:
            hidden = RowError("its file does not fit the report; the next sync says where.")
            shown = replace(failure, error=hidden) if isinstance(failure.error, RowError) else failure
            logger.error("not loaded: %s", shown)
        raise


class Loading:
    """A load that is under way; see `loading`.

    Args:
        refresh: of the first package that is loaded; dlt would take the pipeline's own for every package.
        lock: is held, and given to others while Stripe is awaited; None waits for nothing.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: DltSource,
        syncs: Syncs,
        load: Load,
        refresh: Any,
        lock: PipelineLock | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._syncs = syncs
        self._load = load
        self._refresh = refresh
        self._is_new_here = False
        self._lock = lock
        if lock is not None:
            load.wanted = lock.wanted
        load.database = KeptOpen(pipeline)
        self.infos: list[LoadInfo] = []
        self.stored: list[CountedCell] = []
        self.not_compared: str | None = None
        """Why what is loaded could not be compared; None if it was, or nothing was loaded."""
        self.lost_from: dict[tuple[str, str], datetime] = {}
        """See `LaneBook`; of the last sync."""

    @property
    def stopped(self) -> bool:
        """True when the caller wants the load to end."""
        return self._load.stopped

    @property
    def account(self) -> str:
        """The `_account` value of the rows that are loaded."""
        return self._syncs.settings.label

    def begin(self) -> None:
        """Load what was left pending, and look at what there is."""
        self._load.database.keep()
        leave_other_place(self._pipeline)
        self._finish_pending()
        known = self._source.name in self._pipeline.schemas
        if self._pipeline.config.restore_from_destination and not self._pipeline.dev_mode:
            # what others have loaded meanwhile: `run` takes over their state once in the life of a pipeline object
            self._pipeline.sync_destination()
        if known and self._source.name not in self._pipeline.schemas:  # dlt forgets what is not there
            logger.warning("the dataset %r is gone; everything is loaded anew", self._pipeline.dataset_name)
        # what this machine has never loaded may have lost tables that its schema does not tell of
        self._is_new_here = self._source.name not in self._pipeline.schemas
        mend_tables(self._pipeline, self._source, self._refresh)
        note_place(self._pipeline)

    def sync(self) -> None:
        """Sync until there is nothing left."""
        for _ in range(SYNCS_AT_MOST):
            before = len(self.infos)
            self._sync()
            sync = self._syncs.sync
            self.lost_from = {} if sync is None else sync.outcomes.book.lost_from
            crossed = len(self.infos) > before and sync and not History(self._pipeline).forks <= sync.forks
            if sync is None or self._load.stopped or not (crossed or sync.follow_up):
                break
            # the next sync mends what one without a lock has crossed, or runs reports for new payouts
            self._syncs.end()
        self._syncs.end()  # what follows does not need the plan
        if len(self.stored) > MANY_CELLS or sum(cell.rows for cell in self.stored) > MANY_ROWS:
            gc.collect()  # of thousands of lanes, which hold one another, so that Python frees them much later
            self._load.database.let_go()  # and of what DuckDB keeps of the tables that it has written
            self._load.database.keep()
        write_comments(self._pipeline, self._source.name, table_texts(self._syncs.settings.reports))

    def load_cells(self, cells: Mapping[str, Collection[str]]) -> set[tuple[str, str]]:
        """Load exactly these cells again, of those that are loaded; no cursor is read or moved.

        Args:
            cells: interval keys by table.

        Returns:
            Table and key of those that are loaded again now: others have failed, or the source lacks their report.
        """
        before, self._refresh = len(self.stored), None
        self._syncs.end()
        self._load.exact = cells
        try:
            self._sync()
        finally:
            self._load.exact = None
            self._syncs.end()
        return {(cell.table, cell.key) for cell in self.stored[before:]}

    def _finish_pending(self) -> None:
        remove_leftovers(self._pipeline)
        remove_abandoned(result_folder(Path(self._pipeline.working_dir)))
        abort_begun_packages(self._pipeline, self._source.name)
        if not self._pipeline.has_pending_data:
            return
        try:
            self._pipeline.normalize()
            if self._source.name in self._pipeline.schemas:
                make_missing_tables(self._pipeline, self._source.name, only_dlts=True)
            self.infos.append(load_package(self._pipeline, self._source.name))
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
                self._load.database.keep()
                if self._is_new_here:
                    make_missing_tables(self._pipeline, self._source.name, only_dlts=False)
                info = load_package(self._pipeline, self._source.name)
            except Exception as error:
                if find_cause(error, GivesWay) is not None:
                    self._source.schema = fresh.clone()
                    self._give_way()
                    continue
                if self._may_go_on(error):
                    self._syncs.end()  # a new sync fails the cell before any of its rows are extracted
                    self._source.schema = fresh.clone()
                    continue
                own = own_error(error)
                if own is None:
                    raise
                raise own from None
            if self._refresh is not None:
                state: Any = self._pipeline.state.get("sources", {})
                remove_dropped_cells(self._pipeline, dropped_cells(state.get(self._source.name, {})))
            self._refresh, self._is_new_here = None, False
            if info is not None and info.loads_ids:
                self.infos.append(info)
                self._count(info)
            if self._load.stopped or not self._load.full:
                return
            self._load.database.let_go()  # the next package waits for Stripe first
            if self._load.wanted():
                self._give_way()

    def _give_way(self) -> None:
        """Let another load work until there is something to load, and plan anew: it may have loaded it."""
        under_way = self._syncs.give_way()
        if self._lock is not None and under_way is not None:
            self._load.database.let_go()
            self._lock.give_way(under_way)
            self.begin()

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
        counted = [
            CountedCell(cell.request.report.report.table, cell.lane, cell.request.key, rows)
            for cell, rows in stored
            if rows == cell.rows or cell.altered
        ]
        for each in counted:
            self._load.mended(each.table, each.key)  # it may have failed in a sync before
        self.stored += counted
        if altered:
            note_altered(self._pipeline, altered)
        if lost:
            why = [(cell, NotStored(f"the file has {cell.rows} rows, and {rows} are stored.")) for cell, rows in lost]
            note_lost(self._pipeline, self._source.name, [(cell, str(error)) for cell, error in why])
            for cell, error in why:
                report = cell.request.report.offered.id
                table, span = cell.request.report.report.table, cell.request.cell.span
                failure = Failure(report, cell.lane, cell.request.title, cell.run_id, error, error.remedy)
                self._load.fail(failure, table, cell.request.key)
                self._load.on_event(Event("failed", table, report, cell.lane, span, cell.run_id, message=str(error)))
