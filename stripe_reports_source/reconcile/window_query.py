"""A query over a window of cells that follow one another, put together from inputs as the equations are. Pure.

In: SQL of the folder `sql`, the tables that hold reports, a window. Out: one query, in DuckDB's dialect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..plan.texts import text_literal
from .inputs import DAY_LENGTH, INPUTS, Input, ReportTable, first_day_of, input_query, lane_sql
from .queries import ledger_cells, sources
from .windows import Window


def window_query(
    sql: str, inputs: Mapping[str, Input], tables: Mapping[str, Sequence[ReportTable]], window: Window
) -> str:
    """What is asked of a window.

    Args:
        sql: over inputs, of the window's cells and the one before, or of all where its name begins with `all_`; and
            over `window_cells`, `cell_before`, `first_cell` and `last_cell`.
        inputs: what an input's name stands for.
        tables: that hold the report of an input; under its name after `all_`, others that all its rows are read from.
        window: the cells.
    """
    parts = {}
    for called in sorted(sources(sql) & {*INPUTS, *(f"all_{name}" for name in INPUTS)}):
        name = called.removeprefix("all_")
        since = None if called.startswith("all_") else window.first_read
        parts[called] = input_query(
            inputs[name], tables.get(called, tables[name]), since=since, accounts=[window.account]
        )
    parts["window_cells"] = _cells(inputs, tables, window)
    parts["cell_before"] = _cell(window.cell_before)
    parts["first_cell"], parts["last_cell"] = _cell(window.cells[0]), _cell(window.cells[-1])
    common = ",\n".join(f"{name} AS (\n{query}\n)" for name, query in parts.items())
    return f"WITH {common}\nSELECT * FROM (\n{sql}\n) AS found"


def _cell(name: str | None) -> str:
    return "SELECT '' AS cell WHERE 1 = 0" if name is None else f"SELECT {text_literal(name)} AS cell"


def _cells(inputs: Mapping[str, Input], tables: Mapping[str, Sequence[ReportTable]], window: Window) -> str:
    """The cells of the window, as any report has them: by their days, for there may be thousands."""
    first, last = window.cells[0], window.cells[-1]
    listed = ledger_cells(inputs, tables, first_day_of(first), first_day_of(last))
    lane = text_literal(first[:-DAY_LENGTH])
    return f"SELECT cell FROM ({listed}) AS listed WHERE {lane_sql('cell')} = {lane}"  # noqa: S608
