"""`report_cells` from what is stored: for a dataset of an older version, and where loads have gone past the ledger.

In: a lane, and what the dataset holds of it. Out: the rows of `report_cells` that it should have. What nothing in the
dataset tells stays None.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from itertools import groupby
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation

from ..plan.intervals import ONE_SECOND, Span, day_of, floor_to_grid, next_on_grid, start_of_day
from ..plan.resolve import DAY_LENGTH, ResolvedReport, prefix_of
from ..plan.system_tables import LOAD_ID, REPORT_CELLS, REPORT_RUNS, CellRow
from .passing import raise_passing
from .query import placeholders, select, sql_client

_COLUMNS = tuple(column.name for column in fields(CellRow))
_RUN_COLUMNS = (
    "run_id",
    "report_type",
    "interval_start",
    "interval_end",
    "parameters",
    "rows",
    "interval_key",
    "data_available_end",
)
_LATER_COLUMNS = 2
"""How many of them an older version's ledger does not have."""
LANES_AT_ONCE = 200
"""That a query names; where more are asked for, all are read."""


def listed_spans(pipeline: Pipeline, table: str, label: str) -> dict[str, list[Span]]:
    """What `report_cells` lists of an account's cells on a grid, by what the interval keys of a lane begin with."""
    found = select(
        pipeline,
        "SELECT {column.interval_key}, {column.interval_day}, {column.interval_start}, {column.interval_end} "  # noqa: S608
        f"FROM {{table.{REPORT_CELLS.name}}} WHERE {{column.table_name}} = %s AND {{column.account}} = %s "
        "AND {column.interval_day} IS NOT NULL",
        table,
        label,
    )
    spans: dict[str, list[Span]] = {}
    for key, day, start, end in found or ():
        begins = start or start_of_day(day, ZoneInfo(key.split("|")[-2]))  # of a snapshot
        spans.setdefault(prefix_of(key), []).append(Span(begins, end))
    return spans


@dataclass(frozen=True)
class _Run:
    """A run of the ledger that was loaded."""

    run_id: str
    report_type: str
    interval_start: datetime | None
    interval_end: datetime | None
    parameters: str
    rows: int | None
    interval_key: str | None = None
    data_available_end: datetime | None = None


_K = TypeVar("_K", CellRow, _Run)


class StoredTable:
    """What a dataset holds of a report's table and account, read once for all lanes that are asked for.

    Args:
        pipeline: whose dataset.
        table: the report's.
        label: the `_account` value of its rows.
        lanes: what the interval keys of those lanes begin with; None is all.
    """

    def __init__(self, pipeline: Pipeline, table: str, label: str, lanes: Collection[str] | None = None) -> None:
        self.pipeline = pipeline
        self.table = table
        self.label = label
        self._lanes = lanes
        self.listed = _by_identity(self._listed())
        """The rows of `report_cells`, by the identity of their lane."""
        self.stored = _by_identity(self._stored())
        """What is stored, each cell as a run."""
        self.runs = _by_identity(self._runs())
        """The runs that were loaded, oldest first. Those of an older version have no key, and the identity ""."""

    def _listed(self) -> Iterator[CellRow]:
        columns = ", ".join(f"{{column.{name}}}" for name in _COLUMNS)
        of_lanes, lanes = self._of_lanes("{column.interval_key}")
        found = select(
            self.pipeline,
            f"SELECT {columns} FROM {{table.{REPORT_CELLS.name}}} "  # noqa: S608
            f"WHERE {{column.table_name}} = %s AND {{column.account}} = %s{of_lanes}",
            self.table,
            self.label,
            *lanes,
        )
        for values in found or ():
            yield CellRow(**dict(zip(_COLUMNS, values, strict=True)))

    def _stored(self) -> Iterator[_Run]:
        """Cells of which rows are stored. A look at some columns of all of them."""
        of_lanes, lanes = self._of_lanes("t.{column._interval_key}")
        found = select(
            self.pipeline,
            "SELECT t.{column._interval_key}, max(t.{column._report_run_id}), max(t.{column._report_type}), "  # noqa: S608
            "min(t.{column._interval_start}), max(t.{column._interval_end}), count(*) "
            f"FROM {{table.{self.table}}} t WHERE t.{{column._account}} = %s{of_lanes} "
            "GROUP BY t.{column._interval_key}",
            self.label,
            *lanes,
        )
        for key, run_id, report_type, start, end, rows in found or ():
            yield _Run(run_id, report_type, start, end, "", int(rows), key)

    def _runs(self) -> list[_Run]:
        for names in (_RUN_COLUMNS, _RUN_COLUMNS[:-_LATER_COLUMNS]):
            columns = ", ".join(f"{{column.{name}}}" for name in names)
            of_lanes, lanes = self._of_lanes("{column.interval_key}") if "interval_key" in names else ("", [])
            try:
                found = select(
                    self.pipeline,
                    f"SELECT {columns} FROM {{table.{REPORT_RUNS.name}}} WHERE {{column.table_name}} = %s "  # noqa: S608
                    f"AND {{column.account}} = %s AND {{column.error}} IS NULL{of_lanes} "
                    f"ORDER BY {{column.{LOAD_ID}}}, {{column.created}}, {{column.run_id}}",
                    self.table,
                    self.label,
                    *lanes,
                )
            except DatabaseException as error:  # an older version's
                raise_passing(error)
                continue
            return [_Run(*values) for values in found or ()]
        return []

    def _of_lanes(self, key: str) -> tuple[str, list[str]]:
        """A condition for an interval key, in words that any destination takes, and its values."""
        # some count bytes where others count characters
        if self._lanes is None or len(self._lanes) > LANES_AT_ONCE or not all(map(str.isascii, self._lanes)):
            return "", []
        conditions, lanes = [f"{key} IS NULL"], sorted(self._lanes, key=len)
        for length, those in groupby(lanes, key=len):  # few: what is done for each row is done once for each of them
            conditions.append(f"SUBSTRING({key}, 1, {length}) IN ({placeholders(list(those))})")
        return f" AND ({' OR '.join(conditions)})", lanes


class StoredCoverage:
    """What a dataset holds of a lane.

    Args:
        table: what it holds of all lanes.
        resolved: the lane's report.
        loaded: the hull of what the lane's state says is loaded; None if nothing is.
    """

    def __init__(self, table: StoredTable, resolved: ResolvedReport, loaded: Span | None) -> None:
        self._table = table
        self._pipeline = table.pipeline
        self._resolved = resolved
        self._label = table.label
        self._loaded = loaded
        self.listed = {row.interval_key: row for row in self._of_lane(table.listed)}
        """The rows of `report_cells` that there are, by interval key."""

    def cells(self) -> dict[str, CellRow]:
        """The rows that `report_cells` should have, by interval key: the newest good run, and the rows stored."""
        runs = self._good_runs()
        by_id = {run.run_id: run for run in runs.values()}
        found = {row.interval_key: row for row in self._with_rows(by_id)}
        for key, run in runs.items():
            if key not in found and self._is_loaded(run) and self._is_empty(key, run):
                found[key] = self._row(key, replace(run, rows=0))
        return found

    def remove(self, keys: Collection[str]) -> None:
        """Remove rows of `report_cells` whose cells are not stored."""
        remove_cells(self._pipeline, [(self._resolved.report.table, self._label, key) for key in keys])

    def _of_lane(self, kept: Mapping[str, Sequence[_K]]) -> Sequence[_K]:
        """What is kept of the lane; of a report per payout, whose keys have no common identity, of all lanes."""
        if self._resolved.keys:
            return [each for some in kept.values() for each in some]
        return kept.get(self._resolved.key_prefix(self._label), ())

    def _with_rows(self, runs: Mapping[str, _Run]) -> Iterator[CellRow]:
        """Cells of which rows are stored."""
        for stored in self._of_lane(self._table.stored):
            run = runs.get(stored.run_id)
            available = run.data_available_end if run else None
            yield self._row(str(stored.interval_key), replace(stored, data_available_end=available))

    def _good_runs(self) -> dict[str, _Run]:
        """The newest run of each interval key that was loaded."""
        runs: dict[str, _Run] = {}
        older = [] if self._resolved.keys else self._table.runs.get("", ())
        for run in (*older, *self._of_lane(self._table.runs)):
            key = run.interval_key or self._key(run)
            if key is not None:
                runs[key] = run  # they come oldest first
        return runs

    def _key(self, run: _Run) -> str | None:
        """The key of the cell that a run of an older version was made for; None if it was for another lane."""
        report, parameters = self._resolved, json.loads(run.parameters)
        if report.keys:
            return report.for_key({name: parameters[name] for name in report.keys}).cell_key(self._label, date.min)
        at = run.interval_start or (run.interval_end and run.interval_end - ONE_SECOND)
        if at is None or report.filters_in(parameters) != report.filters:
            return None
        return report.cell_key(self._label, floor_to_grid(day_of(at, report.zone), report.grid))

    def _is_loaded(self, run: _Run) -> bool:
        if self._loaded is None or self._resolved.keys:
            return self._loaded is not None
        start, end = run.interval_start or self._loaded.start, run.interval_end or self._loaded.end
        return self._loaded.start <= start and end <= self._loaded.end

    def _is_empty(self, key: str, run: _Run) -> bool:
        """True if the file was empty, or the user's own steps have kept all of its rows from a cell of its own."""
        before = self.listed.get(key)
        return run.rows == 0 or (before is not None and before.rows in (None, 0) and before.run_id == run.run_id)

    def _row(self, key: str, run: _Run) -> CellRow:
        end = run.interval_end
        first_day = None if self._resolved.keys else date.fromisoformat(key[-DAY_LENGTH:])
        whole_end = end
        if first_day is not None:
            whole_end = start_of_day(next_on_grid(first_day, self._resolved.grid), self._resolved.zone)
        before = self.listed.get(key)
        available = run.data_available_end
        if available is None and before is not None and before.run_id == run.run_id:
            available = before.data_available_end
        return CellRow(
            table_name=self._resolved.report.table,
            account=self._label,
            interval_key=key,
            report_type=run.report_type,
            interval_day=first_day,
            interval_start=None if self._resolved.snapshot or self._resolved.keys else run.interval_start,
            interval_end=end,
            whole_end=whole_end,
            complete=None if end is None or whole_end is None else end >= whole_end,
            rows=run.rows,
            run_id=run.run_id,
            data_available_end=available,
        )


def _by_identity(kept: Iterable[_K]) -> dict[str, list[_K]]:
    """Cells or runs by what their interval keys begin with: all but the day."""
    found: dict[str, list[_K]] = {}
    for each in kept:
        found.setdefault(prefix_of(each.interval_key), []).append(each)
    return found


def remove_cells(pipeline: Pipeline, cells: Sequence[tuple[str, str, str]]) -> None:
    """Remove rows of `report_cells` by table, account and interval key, if there is such a table."""
    _change(pipeline, "DELETE FROM {table}", [((), cell) for cell in cells])


def remove_dropped_cells(pipeline: Pipeline, dropped: Mapping[str, str]) -> None:
    """Remove what `report_cells` lists, of any account, grid and filter, of tables that a load package has dropped.

    Args:
        pipeline: that has loaded the packages.
        dropped: the load package by table. What it or a later one has loaded stays, and so does what has rows.
    """
    for table, package in dropped.items():
        query = (
            f"SELECT {{column.account}}, {{column.interval_key}} FROM {{table.{REPORT_CELLS.name}}} "  # noqa: S608
            f"WHERE {{column.table_name}} = %s AND {{column.{LOAD_ID}}} < %s"
        )
        older = select(pipeline, query, table, package)
        if older:
            rows = select(pipeline, f"SELECT DISTINCT {{column._interval_key}} FROM {{table.{table}}}")  # noqa: S608
            stored = {key for (key,) in rows or ()}
            remove_cells(pipeline, [(table, account, key) for account, key in older if key not in stored])


def count_cells(pipeline: Pipeline, counts: Sequence[tuple[int, tuple[str, str, str]]]) -> None:
    """Set the rows of cells in `report_cells`, if there is such a table."""
    _change(pipeline, "UPDATE {table} SET {rows} = %s", [((rows,), cell) for rows, cell in counts])


def _change(pipeline: Pipeline, statement: str, cells: Sequence[tuple[tuple[Any, ...], tuple[str, str, str]]]) -> None:
    if not cells:
        return
    with sql_client(pipeline) as client:
        quoted = statement.format(
            table=client.make_qualified_table_name(REPORT_CELLS.name), rows=client.escape_column_name("rows")
        )
        where = " AND ".join(f"{client.escape_column_name(name)} = %s" for name in REPORT_CELLS.key)
        try:
            for values, cell in cells:
                client.execute_sql(f"{quoted} WHERE {where}", *values, *cell)
        except DatabaseUndefinedRelation:
            return  # it is not loaded beside the reports
