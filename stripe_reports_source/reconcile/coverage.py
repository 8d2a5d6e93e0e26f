"""What is loaded, from the ledger `report_cells`: which cells of which report, from which run, and how old its data is.

In: an open dataset. Out: a `Coverage`. Cells of different reports are the same where account, filters, grid, zone and
first day are: their interval keys differ by the report's name alone, and a cell is named by the key without it.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import cached_property
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from ..plan.catalog import split_id
from ..plan.intervals import start_of_day
from ..plan.system_tables import LOAD_ID, REPORT_CELLS, CellRow
from ..plan.whose_data import CONNECTED
from ..warehouse.query import Reader, placeholders
from .inputs import DAY_LENGTH, cell_name


@dataclass(frozen=True, slots=True)
class CoveredCell:
    """A row of `report_cells`, and the base id of its report. `load_id` is the load package that has written it."""

    table: str
    account: str
    key: str
    base: str
    day: date
    start: datetime | None
    end: datetime
    whole_end: datetime | None
    complete: bool
    rows: int | None
    run_id: str | None
    data_available_end: datetime | None
    load_id: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Where its rows are: table and interval key, as two tables may hold the same cell."""
        return self.table, self.key

    @property
    def cell(self) -> str:
        """The cell's name in all reports."""
        return cell_name(self.key, self.base)

    @property
    def lane(self) -> str:
        """Account, filters, grid and zone."""
        return self.cell[:-DAY_LENGTH]

    @property
    def zone(self) -> str:
        """The zone of its days."""
        return self.lane.rpartition("|")[2]

    @property
    def begins(self) -> datetime:
        """Where the cell begins, that of a snapshot too."""
        return self.start or start_of_day(self.day, ZoneInfo(self.zone))

    @property
    def rows_chosen(self) -> tuple[str, str]:
        """Account and filters: reports of different grids and zones have the same rows where these are the same."""
        return self.account, "|".join(self.lane.removeprefix(f"{self.account}|").split("|")[:-2])

    @property
    def filters(self) -> str:
        """The parameters that choose rows but for the connected account, as in the interval key; "" for none.

        What is of two connected accounts is never the same, and there may be thousands of them.
        """
        chosen = self.rows_chosen[1]
        if CONNECTED not in chosen:
            return chosen
        rest = {name: value for name, value in json.loads(chosen).items() if name != CONNECTED}
        return json.dumps(rest, sort_keys=True, separators=(",", ":")) if rest else ""


class Coverage:
    """The cells that are loaded.

    Args:
        cells: rows of the ledger; of two tables with cells of one report alike, the first one counts.
        per_payout: those of reports that are run per payout, which lie on no grid.
    """

    def __init__(self, cells: Iterable[CoveredCell], per_payout: Sequence[CoveredCell] = ()) -> None:
        self._by_base: dict[str, dict[str, CoveredCell]] = defaultdict(dict)
        self._lanes: dict[tuple[str, str], list[CoveredCell]] = defaultdict(list)
        self.per_payout = per_payout
        taken: dict[tuple[str, str], str] = {}
        self.second: set[tuple[str, str, str]] = set()
        """Base, table and lane of what another table holds as well."""
        self._second_cells: dict[str, list[CoveredCell]] = defaultdict(list)
        for cell in sorted(cells, key=lambda cell: (cell.table != cell.base.replace(".", "_"), cell.table, cell.day)):
            if taken.setdefault((cell.base, cell.lane), cell.table) != cell.table:
                self.second.add((cell.base, cell.table, cell.lane))
                self._second_cells[cell.key].append(cell)
                continue
            self._by_base[cell.base][cell.cell] = cell
            self._lanes[cell.base, cell.lane].append(cell)
        self.beside = {cell.key: cell for cells in self._lanes_in_tables() for cell in _beside(cells)}
        """By key: cells that overlap those of another table which counts for the same rows, by another grid or zone."""

    def __iter__(self) -> Iterator[CoveredCell]:
        for cells in self._by_base.values():
            yield from cells.values()

    def lanes(self) -> Iterator[list[CoveredCell]]:
        """The cells of each report and lane, in order."""
        yield from self._lanes.values()

    def of(self, base: str) -> Collection[CoveredCell]:
        """The cells of a report."""
        return self._by_base.get(base, {}).values()

    def tables(self, base: str) -> list[str]:
        """The tables that hold a report."""
        of_cells = {cell.table for cell in self._by_base.get(base, {}).values()}
        return sorted(of_cells | {cell.table for cell in self.per_payout if cell.base == base})

    def get(self, base: str, cell: str) -> CoveredCell | None:
        """A cell of a report, None if it is not loaded."""
        return self._by_base.get(base, {}).get(cell)

    def cells(self, bases: Collection[str]) -> set[str]:
        """The names of all cells that one of these reports has."""
        return {cell for base in bases for cell in self._by_base.get(base, {})}

    def before(self, base: str, cell: str) -> CoveredCell | None:
        """The cell of a report that ends where this one begins; None if it is not loaded."""
        found, beside = self.get(base, cell), self._beside(base, cell, -1)
        return beside if found and beside and beside.end == found.begins else None

    def after(self, base: str, cell: str) -> CoveredCell | None:
        """The next cell of a report."""
        return self._beside(base, cell, 1)

    def day_before(self, first: date) -> date:
        """The first day of what has to be read, so that each cell from a day on has the one before it, in any lane."""
        pairs = (pair for lane in self._lanes.values() for pair in pairwise(lane))
        return min((cell.day for cell, following in pairs if cell.day < first <= following.day), default=first)

    def holding(self, base: str, like: CoveredCell, instant: datetime) -> CoveredCell | None:
        """The cell of a report that an instant lies in, in any lane with the same rows as another cell's."""
        for cell in self._alike(base, like.rows_chosen):
            if cell.start is not None and cell.start <= instant < cell.end:
                return cell
        return None

    def zones_of(self, base: str, like: CoveredCell) -> set[str]:
        """The zones of a report's cells with the same rows as another cell, of days that overlap with its own."""
        return {
            cell.zone
            for cell in self._alike(base, like.rows_chosen)
            if cell.begins < like.end and like.begins < cell.end
        }

    def spans(self, base: str, of: str) -> dict[str, list[tuple[datetime, datetime]]]:
        """From when to when a report is loaded without a gap: for each lane of another report, with the same rows."""
        return {
            cells[0].lane: _merged(
                (cell.start, cell.end) for cell in self._alike(base, cells[0].rows_chosen) if cell.start is not None
            )
            for (name, _), cells in self._lanes.items()
            if name == of
        }

    def loaded_to(self, base: str, lane: str) -> datetime | None:
        """The end of a lane."""
        cells = self._lanes.get((base, lane))
        return cells[-1].end if cells else None

    def keys(self) -> set[str]:
        """The interval keys of all that is loaded, what another table holds as well among them."""
        return {cell.key for cell in (*self, *self.per_payout)} | self._second_cells.keys()

    def in_all_tables(self, cells: Iterable[CoveredCell]) -> list[CoveredCell]:
        """Some cells, each followed by the same cell of other tables that hold it as well."""
        return [each for cell in cells for each in (cell, *self._second_cells.get(cell.key, ()))]

    def load_of(self, cell: CoveredCell) -> str | None:
        """The load package of a cell; None where another table holds the cell as well, maybe of another package."""
        return None if cell.key in self._second_cells else cell.load_id

    def names(self) -> set[str]:
        """The names of all cells that are loaded."""
        of_cells = {name for cells in self._by_base.values() for name in cells}
        return of_cells | {cell.cell for cell in self.per_payout}

    def _beside(self, base: str, cell: str, step: int) -> CoveredCell | None:
        found = self.get(base, cell)
        if found is None:
            return None
        lane = self._lanes[base, found.lane]
        at = bisect_left(lane, found.day, key=lambda other: other.day) + step
        return lane[at] if 0 <= at < len(lane) else None

    def _alike(self, base: str, rows_chosen: tuple[str, str]) -> Iterator[CoveredCell]:
        for cells in self._lanes_with.get((base, rows_chosen), ()):
            yield from cells

    @cached_property
    def _lanes_with(self) -> dict[tuple[str, tuple[str, str]], list[list[CoveredCell]]]:
        """The lanes of a report with the same rows: there may be thousands, of which each looks for its own."""
        found: dict[tuple[str, tuple[str, str]], list[list[CoveredCell]]] = defaultdict(list)
        for (base, _), cells in self._lanes.items():
            counting = [cell for cell in cells if cell.key not in self.beside] if self.beside else cells
            if counting:
                found[base, cells[0].rows_chosen].append(counting)
        return found

    def _lanes_in_tables(self) -> Iterator[Mapping[str, list[CoveredCell]]]:
        """By table, the first one first, the cells of each report and choice of rows that several tables hold."""
        several = {base for base, tables in self._tables_of.items() if len(tables) > 1}
        found: dict[tuple[str, tuple[str, str]], dict[str, list[CoveredCell]]] = defaultdict(dict)
        for (base, _), cells in self._lanes.items():
            if base in several:
                found[base, cells[0].rows_chosen].setdefault(cells[0].table, []).extend(cells)
        yield from found.values()

    def lanes_of(self, base: str, table: str) -> Mapping[str, list[CoveredCell]]:
        """The cells of a report in a table, by lane."""
        return self._tables_of.get(base, {}).get(table, {})

    @cached_property
    def _tables_of(self) -> dict[str, dict[str, dict[str, list[CoveredCell]]]]:
        """The lanes by report and table."""
        found: dict[str, dict[str, dict[str, list[CoveredCell]]]] = defaultdict(lambda: defaultdict(dict))
        for (base, lane), cells in self._lanes.items():
            found[base][cells[0].table][lane] = cells
        return found


def _beside(by_table: Mapping[str, Sequence[CoveredCell]]) -> Iterator[CoveredCell]:
    """The cells of tables that overlap those of a table before."""
    counting: list[tuple[datetime, datetime]] = []
    for cells in by_table.values():
        own = []
        for cell in cells:
            place = bisect_left(counting, cell.end, key=lambda span: span[0])
            if place and counting[place - 1][1] > cell.begins:
                yield cell
            else:
                own.append((cell.begins, cell.end))
        counting = _merged((*counting, *own))


def _merged(parts: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Half-open intervals, those that meet or overlap as one."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted(parts):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def read_coverage(reader: Reader, accounts: Collection[str] | None = None) -> Coverage:
    """The coverage of a dataset, of all accounts or of some; nothing where no ledger is."""
    columns = ", ".join(f"{{column.{name}}}" for name in (*(column.name for column in fields(CellRow)), LOAD_ID))
    chosen = "" if accounts is None else f" WHERE {{column.account}} IN ({placeholders(accounts)})"
    query = f"SELECT {columns} FROM {{table.{REPORT_CELLS.name}}}{chosen}"  # noqa: S608
    rows = reader.select(query, *(accounts or ())) or []
    cells: list[CoveredCell] = []
    per_payout: list[CoveredCell] = []
    shared: dict[Any, Any] = {None: None}  # a driver makes each value anew; thousands of accounts have the same
    rows.reverse()
    while rows:
        table, account, key, report_type, day, *ends, complete, counted, run_id, available, load = rows.pop()
        start, end, whole_end, available, load = (shared.setdefault(value, value) for value in (*ends, available, load))
        if end is not None:
            names = sys.intern(table), sys.intern(account), key, sys.intern(split_id(report_type)[0])
            first_day = end.date() if day is None else shared.setdefault((day,), day)
            of_day = per_payout if day is None else cells
            places = first_day, start, end, whole_end
            of_day.append(CoveredCell(*names, *places, complete, counted, run_id, available, load))
    return Coverage(cells, per_payout)
