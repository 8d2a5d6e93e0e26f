"""Small cells are held until there are enough of them, or the first has waited."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from stripe_reports_source.sync.held import MOST_SECONDS, HeldCells


class Report:
    """A report that gives tables as they are."""

    def hinted(self, table: pa.Table, columns: Any) -> pa.Table:
        return table


class Cell:
    """A cell of one row."""

    columns = ()

    def __init__(self, row: int) -> None:
        self.row = row
        self.is_loaded = False

    def all_tables(self) -> list[pa.Table]:
        return [pa.table({"row": [self.row]})]

    def loaded(self) -> None:
        self.is_loaded = True


def test_what_waited_long_is_given_out_and_the_next_waits_anew() -> None:
    now = [1000.0]
    report: Any = Report()
    held = HeldCells(report, clock=lambda: now[0])
    cells: list[Any] = [Cell(row) for row in range(3)]
    assert not held.enough
    held.hold(cells[0])
    now[0] += MOST_SECONDS - 0.5
    held.hold(cells[1])
    assert not held.enough
    now[0] += 0.5
    assert held.enough  # by the first of them
    assert [table.to_pydict() for table in held.give_out()] == [{"row": [0, 1]}]
    assert [cell.is_loaded for cell in cells] == [True, True, False]
    assert not held.enough
    held.hold(cells[2])
    assert not held.enough
    now[0] += MOST_SECONDS
    assert held.enough
