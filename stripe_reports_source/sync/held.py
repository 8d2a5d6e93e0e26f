"""Small cells given to dlt together: it computes a table's schema anew for each item, which costs more than the cell.

In: cells with all their tables, in the order in which they came. Out: one table for those whose columns are the same,
and only then the word that the cells are loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from ..plan.columns import TableColumn
from .arrived_cell import ArrivedCell
from .reports import ReportInPackage

MOST_BYTES = 8 << 20
"""Of the tables that are held."""
MOST_SECONDS = 2.0
"""That a cell is held while others are awaited: then whoever watches is to hear that it is loaded."""
MOST_TABLES = 32
"""After so many of one form they become one: Arrow's own part of a table is larger than a small cell's rows."""


class HeldCells:
    """See the module; of one report in one load package. `clock` counts seconds."""

    def __init__(self, report: ReportInPackage, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._empty()

    def _empty(self) -> None:
        self._cells: list[ArrivedCell] = []
        self._tables: dict[pa.Schema, list[pa.Table]] = {}
        self._columns: dict[pa.Schema, tuple[TableColumn, ...]] = {}
        self._bytes = 0
        self._since = 0.0

    @property
    def enough(self) -> bool:
        """True once what is held is to be given out."""
        held_long = bool(self._cells) and self._clock() - self._since >= MOST_SECONDS
        return held_long or self._bytes >= MOST_BYTES

    def hold(self, cell: ArrivedCell) -> None:
        """Keep a cell and all its rows.

        Raises:
            CellFailure: a row does not fit; nothing of the cell is kept then.
        """
        for table in cell.all_tables():
            self._columns.setdefault(table.schema, cell.columns)
            tables = self._tables.setdefault(table.schema, [])
            tables.append(table)
            self._bytes += table.nbytes
            if len(tables) >= MOST_TABLES:
                tables[:] = [_joined(tables)]
        if not self._cells:
            self._since = self._clock()
        self._cells.append(cell)

    def give_out(self) -> Iterator[Any]:
        """The tables for dlt; after the last of them the cells are loaded."""
        for schema, tables in self._tables.items():
            yield self._report.hinted(_joined(tables), self._columns[schema])
        # after the last yield: a generator that is closed at a yield has not moved the cursor
        for cell in self._cells:
            cell.loaded()
        self._empty()


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).combine_chunks()
