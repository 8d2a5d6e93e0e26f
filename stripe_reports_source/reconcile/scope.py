"""What a look at a dataset covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ..plan.catalog import split_id
from ..plan.system_tables import LOAD_ID, REPORT_CELLS, TIE_OUT
from ..warehouse.query import Reader
from .inputs import cell_name


@dataclass(frozen=True)
class Scope:
    """What to look at.

    Args:
        touched: names of the cells whose rows are looked at one by one; None for all.
        since: first day of the cells whose sums are compared; None for all.
        accounts: only these; None for all.
    """

    touched: frozenset[str] | None = None
    since: date | None = None
    accounts: frozenset[str] | None = None


def unproven(reader: Reader) -> Scope | None:
    """The cells that were loaded since they were looked at last, whoever has loaded them; None if there are none.

    That is so where the last statement about a cell's rows is of another run or load package.
    """
    new = reader.select(f"SELECT c.{{column.interval_key}}, c.{{column.report_type}} {not_looked_at(reader)}")
    if new is not None and not new:
        return None
    [(cells,)] = reader.select(f"SELECT COUNT(*) FROM {{table.{REPORT_CELLS.name}}}") or [(0,)]  # noqa: S608
    if not cells:
        return None
    if new is None or len(new) == cells:
        return Scope()
    return Scope(touched=frozenset(cell_name(key, split_id(report_type)[0]) for key, report_type in new))


def not_looked_at(reader: Reader) -> str:
    """The rest of a query for the cells `c` that were loaded since they were looked at last.

    A load package is named by the clock of its machine, which may have been ahead, or another machine's. So it is the
    very package that counts; its order counts where a statement does not say it, as those of an older version.
    """
    own, order = "", f"l.newest < c.{{column.{LOAD_ID}}}"
    if "package" in reader.columns(TIE_OUT.name):
        own, order = (
            ", MAX({column.package}) AS own",
            f"l.own <> c.{{column.{LOAD_ID}}} OR (l.own IS NULL AND {order})",
        )
    return (
        f"FROM {{table.{REPORT_CELLS.name}}} c LEFT JOIN ("  # noqa: S608
        f"SELECT {{column.interval_key}} AS cell, MAX({{column.figure_run}}) AS run, MAX({{column.{LOAD_ID}}}) "
        f"AS newest{own} FROM {{table.{TIE_OUT.name}}} WHERE {{column.equation}} = 'rows_stored_equal_file' "
        "GROUP BY {column.interval_key}) l ON l.cell = c.{column.interval_key} "
        f"WHERE (l.run IS NULL OR l.run <> c.{{column.run_id}} OR {order})"
    )
