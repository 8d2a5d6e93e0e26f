"""What the ledger says of the cells of a table, and whether the table agrees.

In: a pipeline, a table and an account. Out: listed cells, and the runs whose rows are stored. Reads only, when asked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import date
from functools import cached_property
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException

from ..plan.loaded_cells import HeldRun, ListedCell, Stretch
from ..plan.system_tables import REPORT_CELLS, REPORT_RUNS
from .passing import raise_passing
from .query import placeholders, prefix_sql, reading, reading_frugally

KEYS_AT_ONCE = 200
"""Of cells that are asked for by name."""
_CELLS = (
    f"FROM {{table.{REPORT_CELLS.name}}} c LEFT JOIN {{table._dlt_loads}} l "
    "ON l.{column.load_id} = c.{column._dlt_load_id} AND l.{column.status} = 0 "
    "WHERE c.{column.table_name} = %s AND c.{column.account} = %s"
)
_NEEDED = ("report_type", "interval_start", "interval_end", "whole_end", "data_available_end", "_dlt_load_id")
_LISTED = (
    f"SELECT c.{{column.interval_key}}, {', '.join(f'c.{{column.{name}}}' for name in _NEEDED)}, "
    f"l.{{column.load_id}} {_CELLS}"
)
_FIRST_CUT = "min(CASE WHEN c.{column.interval_end} < c.{column.whole_end} THEN c.{column.interval_day} ELSE NULL END)"


class CellLedger:
    """See the module, and `plan.loaded_cells.Ledger`.

    Args:
        pipeline: whose dataset; None has no cells.
        table: the report's.
        account: the `_account` value.
        packages: the load package up to which the cells of each lane are listed.
        altered: the user's own steps change what is stored: of no cell it is known whether they were the same.
    """

    def __init__(
        self,
        pipeline: Pipeline | None,
        table: str,
        account: str,
        packages: Mapping[str, str],
        *,
        altered: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._table = table
        self._account = account
        self._packages = packages
        self._altered = altered

    @property
    def packages(self) -> Mapping[str, str]:
        """The load package up to which the cells of each lane are listed; none where there is no such list."""
        return {} if self._lanes is None and not self._is_there else self._packages

    @cached_property
    def _is_there(self) -> bool:
        """False where there is no such table, or not as it should be: it may be left out, or a contract takes none."""
        return self._select(f"{_LISTED} AND 1 = 0", self._table, self._account) is not None

    @cached_property
    def cells(self) -> dict[str, ListedCell]:
        """All listed cells, by interval key."""
        return self._listed()

    def listed(self, keys: Collection[str]) -> dict[str, ListedCell]:
        """Those of these cells that are listed, by interval key."""
        lanes = self._lanes or {}
        if len(lanes) == 1 and len(keys) <= KEYS_AT_ONCE:
            of_lane = [key for key in keys if key.startswith(tuple(lanes))]
            return self._listed(of_lane) if of_lane else {}
        # a question for each of thousands of accounts would cost more than all there is
        return {key: self.cells[key] for key in keys if key in self.cells}

    def stretch(self, prefix: str) -> Stretch | None:
        """The listed cells of the lane whose interval keys begin so; None where there are none, or it is not known."""
        return (self._lanes or {}).get(prefix)

    @cached_property
    def _lanes(self) -> dict[str, Stretch] | None:
        """All lanes, by what their keys begin with; None where that cannot be asked, or a column is lacking."""
        prefix = prefix_sql("c.{column.interval_key}")
        needed = ", ".join(f"count(c.{{column.{name}}})" for name in _NEEDED)
        query = (
            f"SELECT {prefix}, count(l.{{column.load_id}}), min(c.{{column.interval_day}}), "
            f"max(c.{{column.interval_day}}), {_FIRST_CUT}, {needed} {_CELLS} GROUP BY {prefix}"
        )
        rows = self._select(query, self._table, self._account)
        if rows is None:
            return None
        return {
            str(lane): Stretch(int(count), first, last, first_cut)
            for lane, count, first, last, first_cut, *_ in rows
            if type(first) is type(last) is date
        }

    def _listed(self, keys: Collection[str] | None = None) -> dict[str, ListedCell]:
        only, values = ("", []) if keys is None else _only("c.{column.interval_key}", keys)
        rows = self._select(_LISTED + only, self._table, self._account, *values) or []
        oldest = self._oldest_load() if any(ended is None for *_, ended in rows) else None
        return {
            str(key): ListedCell(str(type_), start, end, available, _load_ended(load, ended, oldest), load, whole_end)
            for key, type_, start, end, whole_end, available, load, ended in rows
        }

    def runs_of(self, keys: Collection[str]) -> dict[str, HeldRun]:
        """The run of each of these listed cells of which the table holds just the rows of its file, by interval key.

        Reads some columns of the account's rows.
        """
        if self._altered:
            return {}
        query = (
            "SELECT c.{column.interval_key}, c.{column.run_id}, c.{column.rows}, r.{column.created}, "  # noqa: S608
            "r.{column.parameters}, r.{column.livemode}, r.{column.control_totals} "
            f"FROM {{table.{REPORT_CELLS.name}}} c JOIN {{table.{REPORT_RUNS.name}}} r "
            "ON r.{column.run_id} = c.{column.run_id} "
            "WHERE c.{column.table_name} = %s AND c.{column.account} = %s AND r.{column.error} IS NULL"
        )
        only, values = _only("c.{column.interval_key}", keys)
        listed = self._select(query + only, self._table, self._account, *values) or []
        stored = self._stored(keys) if listed else {}
        return {
            str(key): HeldRun(created, str(parameters), livemode)
            for key, run, rows, created, parameters, livemode, totals in listed
            if key in keys
            and rows is not None
            and rows == _rows_of_file(totals)
            and stored.get(str(key), (0, run, run)) == (rows, run, run)
        }

    def _stored(self, keys: Collection[str]) -> dict[str, tuple[int, str, str]]:
        """The rows of each cell in the table, and the first and last run that they are of."""
        only, values = _only("t.{column._interval_key}", keys)
        query = (
            "SELECT t.{column._interval_key}, count(*), min(t.{column._report_run_id}), "  # noqa: S608
            f"max(t.{{column._report_run_id}}) FROM {{table.{self._table}}} t "
            f"WHERE t.{{column._account}} = %s{only} GROUP BY t.{{column._interval_key}}"
        )
        found = self._select(query, self._account, *values, frugally=True) or []
        return {str(key): (int(rows), first, last) for key, rows, first, last in found}

    def _oldest_load(self) -> float | None:
        rows = self._select("SELECT min(l.{column.load_id}) FROM {table._dlt_loads} l WHERE l.{column.status} = 0")
        return float(rows[0][0]) if rows and rows[0][0] is not None else None

    def _select(self, query: str, *values: Any, frugally: bool = False) -> list[tuple[Any, ...]] | None:
        """As `select`; None also where a table is not as it should be. `frugally` is for queries over many rows."""
        if self._pipeline is None:
            return None
        try:
            with reading_frugally(self._pipeline) if frugally else reading(self._pipeline) as reader:
                return reader.select(query, *values)
        except DatabaseException as error:
            raise_passing(error)
            return None  # an older version has made the tables, or the user's steps have changed them


def _only(column: str, keys: Collection[str]) -> tuple[str, list[str]]:
    """A condition for some keys and its values; none for many keys."""
    if len(keys) > KEYS_AT_ONCE:
        return "", []
    return f" AND {column} IN ({placeholders(keys)})", list(keys)


def _rows_of_file(control_totals: str | None) -> int | None:
    """The rows that a file had, whatever the user's own steps have made of them."""
    return None if control_totals is None else sum(int(total["rows"]) for total in json.loads(control_totals))


def _load_ended(load: str | None, ended: str | None, oldest: float | None) -> bool | None:
    """Whether a load package is loaded whole; None where no load of its time is noted any more."""
    if ended is not None:
        return True
    if load is None or oldest is None or float(load) < oldest:
        return None
    return False
