"""Which tables are compared with which: those with the same filters, and of rows that two tables hold the first one's.

In: what is loaded. Out: groups of tables. A report may be loaded into several tables: with another filter, or by
another grid. What is in two of them is no copy, and what one lacks must not be found in the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..plan.column_types import ColumnType
from .coverage import Coverage, CoveredCell
from .equations import Equation
from .inputs import Input, ReportTable

Columns = Mapping[str, Mapping[str, ColumnType]]


@dataclass(frozen=True)
class Group:
    """Tables that are compared with one another.

    Args:
        sums: by the names of inputs, those whose sums are compared; after `all_`, those that hold each row once.
        rows: those that hold each row once, whose rows are compared one by one.
        filters: of their lanes; None where all that is loaded has the same.
        beside: the report and the table whose rows are compared in place of those of the table that counts for it.
    """

    sums: Mapping[str, Sequence[ReportTable]]
    rows: Mapping[str, Sequence[ReportTable]]
    filters: str | None = None
    beside: tuple[str, str] | None = None

    def tables(self, equation: Equation) -> Mapping[str, Sequence[ReportTable]]:
        """What an equation reads."""
        return self.rows if equation.per_row else self.sums

    def cells(self, equation: Equation, bases: Sequence[str], coverage: Coverage) -> Collection[str]:
        """The names of the cells that an equation between reports is judged of here; the first report is its own."""
        if self.beside is not None:
            base, table = self.beside
            if not equation.per_row or bases[0] != base:
                return ()
            return {cell.cell for cell in coverage.beside.values() if self._has(cell) and cell.table == table}
        if self.filters is None and not coverage.beside:
            return coverage.cells(bases)
        cells = {cell.cell for base in bases for cell in coverage.of(base) if self._has(cell)}
        if not equation.per_row:
            return cells
        return cells - {cell.cell for cell in coverage.beside.values() if cell.base == bases[0]}

    def _has(self, cell: CoveredCell) -> bool:
        return self.filters is None or cell.filters == self.filters


def groups_of(coverage: Coverage, inputs: Mapping[str, Input], columns: Columns) -> list[Group]:
    """The groups of a family of reports; nearly always it is one."""
    bases = {input_.base for input_ in inputs.values()}
    all_filters = {cells[0].filters for cells in coverage.lanes() if cells[0].base in bases}
    groups: list[Group] = []
    for filters in sorted(all_filters) if len(all_filters) > 1 else [None]:
        sums = {name: tables_of(coverage, input_, columns, filters) for name, input_ in inputs.items()}
        rows = {name: tables_of(coverage, input_, columns, filters, once=True) for name, input_ in inputs.items()}
        found = Group({**sums, **{f"all_{name}": tables for name, tables in rows.items()}}, rows, filters)
        if any(sums.values()):
            groups.append(found)
        for base, table in sorted({(cell.base, cell.table) for cell in coverage.beside.values() if found._has(cell)}):
            of_table = {
                name: [other for other in sums[name] if other.name == table] if input_.base == base else rows[name]
                for name, input_ in inputs.items()
            }
            if base in bases:
                groups.append(Group({}, of_table, filters, (base, table)))
    return groups


def tables_of(
    coverage: Coverage, input_: Input, columns: Columns, filters: str | None = None, *, once: bool = False
) -> list[ReportTable]:
    """The tables that hold a report.

    Args:
        coverage: what is loaded.
        input_: the report.
        columns: of all tables.
        filters: only lanes with these; None for all.
        once: without the cells whose rows another table holds as well.
    """
    second: dict[str, set[str]] = {}
    for base, table, lane in coverage.second:
        if base == input_.base:
            second.setdefault(table, set()).add(lane)
    found = []
    for table in coverage.tables(input_.base):
        without = second.get(table, set())
        keys: frozenset[str] = frozenset()
        if filters is not None or (once and coverage.beside):
            lanes = coverage.lanes_of(input_.base, table)
            wanted = {
                lane
                for lane, cells in lanes.items()
                if filters in (None, cells[0].filters)
                and not (once and coverage.beside.keys() >= {c.key for c in cells})
            }
            if lanes and not wanted:
                continue
            without = without | (lanes.keys() - wanted)
            if once:
                keys = frozenset(cell.key for lane in wanted for cell in lanes[lane] if cell.key in coverage.beside)
        found.append(ReportTable(table, columns.get(table, {}), without, keys))
    return found
