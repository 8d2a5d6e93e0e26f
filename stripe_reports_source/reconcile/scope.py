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

    That is so where the last statement about a cell's rows is of another run, or older than its rows.
    """
    cells = reader.select(_LOADED)
    if not cells:
        return None
    looked_at = {key: (run, load) for key, run, load in reader.select(_LOOKED_AT) or ()}
    new = [
        cell_name(key, split_id(report_type)[0])
        for key, report_type, run, load in cells
        if looked_at.get(key, ("", ""))[0] != run or looked_at[key][1] < (load or "")
    ]
    if len(new) == len(cells):
        return Scope()
    return Scope(touched=frozenset(new)) if new else None


_LOADED = (
    f"SELECT {{column.interval_key}}, {{column.report_type}}, {{column.run_id}}, {{column.{LOAD_ID}}} "  # noqa: S608
    f"FROM {{table.{REPORT_CELLS.name}}}"
)
_LOOKED_AT = (
    f"SELECT {{column.interval_key}}, MAX({{column.figure_run}}), MAX({{column.{LOAD_ID}}}) "  # noqa: S608
    f"FROM {{table.{TIE_OUT.name}}} WHERE {{column.equation}} = 'rows_stored_equal_file' "
    "GROUP BY {column.interval_key}"
)
