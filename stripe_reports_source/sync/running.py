"""One sync: what its reports share, and the lanes that are under way.

In: settings, the load it runs in, the pipeline. Out: planned lanes, whose cells `reports` takes in order.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import dlt
from dlt import Pipeline

from ..errors import ConfigurationError, NotAvailable, NotOffered, StripeUnreachable
from ..plan.catalog import load_catalog
from ..plan.columns import StoredColumn
from ..plan.intervals import Span
from ..plan.lane_table import LaneTable
from ..plan.lanes import Lane, LoadedBefore, plan_lanes
from ..plan.loaded_cells import Ledger, Listed
from ..plan.report import Report
from ..plan.settings import Settings
from ..plan.state import LaneStates
from ..plan.stripe_objects import OfferedTypes
from ..plan.system_tables import REPORT_CELLS, REPORT_LANES, LaneRow
from ..plan.whole_cells import DAYS, START_AND_END
from ..plan.windows import window_of, with_days
from ..warehouse.cell_ledger import CellLedger
from ..warehouse.destinations import check_destination, exact_file_format, most_at_once
from ..warehouse.forks import Fork, History
from ..warehouse.inventory import refuse_changed_tables
from ..warehouse.lane_table import first_replaced, read_lanes
from ..warehouse.leftovers import check_begun_packages, prepare_folder
from ..warehouse.own_jobs import keep_own_jobs
from ..warehouse.payouts import PayoutCells, keys_to_run
from ..warehouse.places import refuse_other_place
from ..warehouse.stored_columns import StoredColumns
from .active_lane import ActiveLane
from .context import GivesWay, Load
from .fetching import Fetching
from .given import GivenFiles
from .ledger import listed_packages, take_listed
from .outcomes import Outcomes
from .package import cells_in_package, dropped_tables, emptied_tables
from .replaying import Archived
from .under_way import UnderWay
from .whose_data import WhoseData

logger = logging.getLogger(__name__)


class Sync:
    """See the module. Made lazily; `close` may be called at any time."""

    def __init__(
        self,
        settings: Settings,
        load: Load,
        pipeline: Pipeline | None,
        archived: Archived | None = None,
        given: GivenFiles | None = None,
        under_way: UnderWay | None = None,
    ) -> None:
        if pipeline is not None:
            check_destination(pipeline, settings.table_format)
            prepare_folder(pipeline)
            if not load.collects:
                check_begun_packages(pipeline)
                refuse_other_place(pipeline)
                keep_own_jobs(pipeline)
                for table in refuse_changed_tables(pipeline, dlt.current.source_schema()):
                    dlt.current.resource_state(table).clear()  # whose rows are not loaded again while they are alike
        self.settings = _with_most(with_days(settings, load.days), None if pipeline is None else most_at_once(pipeline))
        self.load = load
        self.under_way = under_way or UnderWay(load)
        self.outcomes = Outcomes(load, settings.label, self.under_way.columns)
        if self.under_way.fetching is None:
            working_dir = None if pipeline is None else Path(pipeline.working_dir)
            self.under_way.fetching = Fetching(settings, load, working_dir, self.outcomes.stage, archived or given)
        self.fetching = self.under_way.fetching
        self.file_format = None if pipeline is None else exact_file_format(pipeline)
        self.open_reports = 0
        self.pipeline = pipeline
        self._history = None if pipeline is None else History(pipeline)
        self._stored = None if pipeline is None else StoredColumns(pipeline)
        self.under_way.begin_plan(self.forks)
        self._archived = archived
        self._given = given
        self._whose_data: WhoseData | None = None
        self._lanes: dict[str, list[ActiveLane]] = {}
        self._started: set[str] = set()
        self._gave_way = False
        self._tables = {name: str(each.table_name) for name, each in dlt.current.source().selected_resources.items()}
        self._claimed: dict[str, str] = {}
        self._in_table: dict[str, LaneTable] = {}
        self._ends_told: set[str] = set()
        self._replaced: dict[tuple[str, frozenset[str]], dict[str, datetime]] = {}

    def claim(self, table: str, resource: str) -> None:
        """Note that a resource loads a table.

        Raises:
            ConfigurationError: another one loads it too.
        """
        other = self._claimed.setdefault(table, resource)
        if other != resource:
            raise ConfigurationError(
                f"resources {other!r} and {resource!r} both have the table name {table!r}; give each its own."
            )

    @property
    def offered(self) -> dict[str, OfferedTypes]:
        """The report types that are offered, by the account's label: the source's, or those of an archive."""
        if self._archived is not None:
            return self._archived.offered
        offered = self.fetching.offered if self._given is None else self._given.offered
        return {self.settings.label: offered}

    @property
    def replayed(self) -> dict[tuple[str, str], datetime]:
        """When Stripe was asked for what an archive or given files have, by table and label.

        Nothing where it is asked now.
        """
        stored = self._archived or self._given
        return {} if stored is None else stored.asked

    @property
    def forks(self) -> frozenset[Fork]:
        """The forks in the pipeline's history that this sync knows of."""
        return self._history.forks if self._history else frozenset()

    @property
    def follow_up(self) -> bool:
        """True when payouts were loaded for which another report of this sync is to be run now.

        Of given files that is for the next plan.
        """
        if self._given is not None:
            return False
        resolved = [active.lane.resolved for lanes in self._lanes.values() for active in lanes]
        payouts = {report.payouts_report for report in resolved if report.payouts_report is not None}
        return any(self._table_of(report)[0] in self.outcomes.columns for report in payouts)

    def _table_of(self, base: str) -> tuple[str, bool]:
        """The table that a report is loaded into, of its base id, and whether this sync loads it."""
        resource = self.settings.resource_of(base)
        return self._tables.get(resource, resource), resource in self._tables

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """While a report's cells are loaded. The system tables wait for all reports; a plain run ends with the last."""
        self.open_reports += 1
        try:
            yield
        finally:
            self.open_reports -= 1
            if not self.load.collects and not self.open_reports:
                self.close()

    def states(self, table: str, resource_state: MutableMapping[str, Any] | None, load_id: str | None) -> LaneStates:
        """What is kept of a report's lanes: in dlt's state, and of connected accounts in `report_lanes`.

        Args:
            table: the report's.
            resource_state: dlt's, of its resource; None outside a pipeline.
            load_id: the load package.
        """
        if resource_state is None or self.pipeline is None:
            return LaneStates(resource_state)
        if table not in self._in_table:
            gone = {table, REPORT_LANES.name} & emptied_tables()
            self._in_table[table] = LaneTable({}) if gone else read_lanes(self.pipeline, table, resource_state)
            take_listed(dlt.current.source_state(), table, self.settings.label, self._in_table[table])
        return LaneStates(resource_state, self._in_table[table], load_id, self.settings.label)

    def take_lane_rows(self, of_table: str | None) -> list[LaneRow]:
        """The rows of `report_lanes` that no load package holds yet, of one report's table; None is of all."""
        if self.pipeline is None:
            return []
        name = self.pipeline.pipeline_name
        return [
            row
            for table, lanes in self._in_table.items()
            if of_table in (None, table)
            for row in lanes.take_rows(name, table)
        ]

    def take_whole_tables(self) -> set[str]:
        """The tables of which all lanes are planned, each once; none where only some cells are loaded."""
        if self._archived is not None or self._given is not None or self.load.exact is not None:
            return set()
        tables = self._lanes.keys() - self._ends_told
        self._ends_told |= tables
        return tables

    @property
    def listed(self) -> dict[str, MutableMapping[str, str]]:
        """The load packages up to which `report_cells` lists the lanes that are in `report_lanes`, by table."""
        return {table: lanes.listed for table, lanes in self._in_table.items()}

    def lanes(
        self,
        report: Report,
        resource: str,
        states: LaneStates,
        cursor: datetime | None,
        window: Span | None,
        *,
        altered: bool,
        limited: bool = False,
        start: datetime | None = None,
    ) -> list[ActiveLane]:
        """The lanes of a report, planned at the first call.

        Args:
            report: the user's words.
            resource: name of its dlt resource.
            states: what is kept of its lanes.
            cursor: dlt's, the end of what is loaded; None if nothing is.
            window: for a backfill, what to load; None follows the cursor.
            altered: the user's own steps change what is stored.
            limited: the user's limit ends the load.
            start: where history begins; None is the source's first day.

        Raises:
            ConfigurationError: the report cannot be run as asked. No run has been created then.
        """
        if report.table not in self._lanes:
            ledger = self._ledger(report.table, altered)
            loaded = LoadedBefore(
                lanes=states,
                columns=self._columns(report.table),
                cursor=cursor,
                replaced_since=lambda lane, handled: self._replaced_since(handled, resource, lane),
                payouts=partial(
                    keys_to_run,
                    pipeline=self.pipeline,
                    table_of=self._table_of,
                    cells=PayoutCells(states, ledger, self._is_emptied(report.table)),
                ),
                ledger=ledger,
                start=start,
                limited=limited,
                asked_by=START_AND_END if self.load.days is None else DAYS,
            )
            self.under_way.loaded[report.table].update(*cells_in_package(report.table).values())
            planned = self._plan(report, loaded, self._days(report) or window)
            self._say_earlier(report.table, planned)
            self._lanes[report.table] = [self._active(lane, states, ledger) for lane in planned]
        return self._lanes[report.table]

    def _days(self, report: Report) -> Span | None:
        """The days that a job is asked for; None if it is not."""
        days, zone = self.load.days, self.settings.defaults.zone_of(report)
        return None if days is None else window_of(days, self.settings, zone)

    def _say_earlier(self, table: str, planned: Sequence[Lane]) -> None:
        """Say once of a report that history which is asked for begins before what is loaded."""
        earlier = next((lane.earlier for lane in planned if lane.earlier is not None), None)
        if earlier is not None and all(said != table for said, _ in self.under_way.said):
            logger.warning("%s", earlier)

    def _active(self, planned: Lane, states: LaneStates, ledger: Ledger) -> ActiveLane:
        """A planned lane with what is left of it: some may have been loaded since it was planned first."""
        kept, place = self.under_way, (planned.resolved.report.table, planned.key)
        lane = replace(planned, cells=kept.left(planned, ledger, exact=self.load.exact is not None))
        if lane.cells and self._stored is not None:
            self._stored.of_others(place[0])  # before threads look for the columns of files
        if lane.noted is not None:
            states.put(lane.key, lane.noted)
        self.outcomes.planned(lane, states.get(lane.key), say=place not in kept.said)
        for key in kept.failed.get(place, ()):
            self.outcomes.book.failed(lane, key, gone=place in kept.gone)
        kept.said.add(place)
        return ActiveLane(lane, self.fetching)

    def start(self, table: str) -> None:
        """Let the cells of a table be fetched, unless that is under way already."""
        lanes = [active for active in self._lanes[table] if active.left]
        if table in self._started or not lanes:
            return
        self._started.add(table)
        queues = self.fetching.queues(table, [active.lane.cells for active in lanes])
        for active, queue in zip(lanes, queues, strict=True):
            active.start(queue)

    def wait(self) -> None:
        """Wait a moment for any cell, unless there is one at hand.

        Where another load waits for the lock, the package ends with what it holds.

        Raises:
            GivesWay: it holds nothing.
        """
        if self.fetching.wait():
            return
        self.load.database.let_go()
        if not self.load.wanted():
            return
        if self.load.cells or self.outcomes.has_rows:
            self.load.gives_way = True
            return
        self._gave_way = True
        raise GivesWay

    def _plan(self, report: Report, loaded: LoadedBefore, window: Span | None) -> list[Lane]:
        if self._archived is not None:
            return self._archived.lanes(report.table, loaded.lanes, self.pipeline)
        exact = None if self.load.exact is None else self.load.exact.get(report.table, ())
        offered = None if self._given is not None else self.fetching.offered
        try:
            if self._given is not None:
                planned = self._given.lanes(report, loaded, window, exact, self.pipeline)
            elif offered is not None:
                planned = plan_lanes(report, self.settings, offered, load_catalog(), loaded, window, exact)
        except (NotAvailable, NotOffered, StripeUnreachable) as error:
            if isinstance(error, NotOffered) and not list(loaded.lanes):
                raise  # asked for and never loaded: a wrong setting, and nothing is begun
            self.outcomes.not_planned(report, loaded.lanes, str(window or "all intervals"), error)
            return []
        if self._whose_data is None:
            self._whose_data = WhoseData(self.pipeline, self.fetching.knows_run)
        self._whose_data.check(planned, self.settings.label, self.settings.acts_on)
        if self.fetching.keeping is not None:
            self.fetching.keeping.check(planned)
        return planned

    @property
    def planned(self) -> list[Lane]:
        """The lanes of all reports that are planned so far."""
        return [active.lane for lanes in self._lanes.values() for active in lanes]

    def abandon(self, table: str) -> None:
        """Drop what is under way for a table: its generator was closed before its end."""
        lanes = self._lanes.pop(table, [])
        self._started.discard(table)
        if not self._gave_way:  # what is under way goes on while others work
            for active in lanes:
                active.abandon()

    def close(self) -> None:
        """Stop the workers and remove the files. The runs stay at Stripe, where the next sync finds them."""
        self._lanes.clear()
        self.fetching.close()

    def end(self) -> None:
        """Close it, and let go of what it knows of each lane: nothing more is asked of it."""
        self.close()
        self.outcomes.book.clear()
        self._in_table.clear()
        self._replaced.clear()

    def _columns(self, table: str) -> Mapping[str, StoredColumn]:
        """The columns that a table has, unless the load package drops it."""
        if self._stored is None or table in dropped_tables():
            return {}
        return self._stored.of(table, begun=bool(cells_in_package(table)))

    def _is_emptied(self, table: str) -> bool:
        """True where the load package drops or empties a report's table, or the list of its cells."""
        return bool({table, REPORT_CELLS.name} & emptied_tables())

    def _ledger(self, table: str, altered: bool) -> Ledger:
        """What is listed of a table, unless the load package drops or empties it."""
        if self.pipeline is None or self._is_emptied(table):
            return Listed()
        packages = listed_packages(dlt.current.source_state(), table)
        if table in self._in_table:
            packages |= dict(self._in_table[table].listed)
        return CellLedger(self.pipeline, table, self.settings.label, packages, altered=altered)

    def _replaced_since(self, handled: Collection[Fork], resource: str, lane: str) -> datetime | None:
        if self._history is None:
            return None
        table, label = str(dlt.current.resource().table_name), self.settings.label
        loads = self._history.loads_since(handled)
        if not loads or self.pipeline is None or self._in_table[table].get(lane) is None:
            return self._history.replaced_since(handled, dlt.current.source_schema().name, resource, lane)
        if (table, loads) not in self._replaced:
            self._replaced[table, loads] = first_replaced(self.pipeline, table, label, loads)
        return self._replaced[table, loads].get(lane.removeprefix(f"{label}/"))


def _with_most(settings: Settings, most: tuple[int, int] | None) -> Settings:
    """Settings with tables of at most so many rows, from at most so many bytes of a file at a time."""
    if most is None:
        return settings
    policy, (rows, bytes_) = settings.parse_policy, most
    smaller = replace(
        policy, rows_per_table=min(policy.rows_per_table, rows), block_bytes=min(policy.block_bytes, bytes_)
    )
    return replace(settings, parse_policy=smaller)
