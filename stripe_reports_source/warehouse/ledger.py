"""What the tables of a dataset hold, from the ledger `report_runs` and, where that does not say, from the tables.

In: a pipeline. Out: holdings, and runs that an account has made. Reads only; says nothing of a pipeline's state, which
another pipeline of the same dataset does not share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException

from ..plan.given import StoredRun
from ..plan.system_tables import LOAD_ID, REPORT_CELLS, REPORT_RUNS, REPORT_TYPES
from ..plan.whose_data import Holding
from .cell_ledger import KEYS_AT_ONCE
from .passing import raise_passing
from .query import Reader, placeholders, select

_DAY = len("|2025-01-31")
"""What follows an identity in an interval key."""


def noted_holdings(pipeline: Pipeline | None, table: str) -> list[Holding]:
    """What the ledger says that a table holds; nothing where an older version of the package has written it."""
    identity = f"substr({{column.interval_key}}, 1, length({{column.interval_key}}) - {_DAY})"
    query = (
        f"SELECT DISTINCT {{column.account}}, {identity}, {{column.livemode}} FROM {{table.{REPORT_RUNS.name}}} "  # noqa: S608
        "WHERE {column.table_name} = %s AND {column.error} IS NULL"
    )
    try:
        rows = select(pipeline, query, table) or []
    except DatabaseException as error:  # the columns came with a later version than the one that has made the table
        raise_passing(error)
        return []
    return [] if any(identity is None for _, identity, _ in rows) else _holdings(table, rows)


def real_holdings(pipeline: Pipeline | None, table: str) -> list[Holding]:
    """What a table holds, from its rows: a look at all of them."""
    identity = f"substr(t.{{column._interval_key}}, 1, length(t.{{column._interval_key}}) - {_DAY})"
    found = select(pipeline, f"SELECT DISTINCT t.{{column._account}}, {identity} FROM {{table.{table}}} t")  # noqa: S608
    return _holdings(table, [(account, key, _mode(pipeline, table, account)) for account, key in found or []])


def newest_run(pipeline: Pipeline | None, table: str, account: str) -> str | None:
    """The run of an account that was made last, of those whose rows were loaded into a table.

    Two tables may share a run, which `report_runs` has of one of them.
    """
    listed = (
        f"FROM {{table.{REPORT_CELLS.name}}} c JOIN {{table.{REPORT_RUNS.name}}} r "
        "ON r.{column.run_id} = c.{column.run_id} WHERE c.{column.table_name} = %s AND c.{column.account} = %s"
    )
    newest = (
        f"SELECT max(c.{{column.run_id}}) {listed} AND r.{{column.created}} = "
        f"(SELECT max(r.{{column.created}}) {listed})"
    )
    rows = select(pipeline, newest, table, account, table, account)
    if rows and rows[0][0] is not None:
        return str(rows[0][0])
    of_account = "{column.table_name} = %s AND {column.account} = %s AND {column.error} IS NULL"
    query = (
        f"SELECT max({{column.run_id}}) FROM {{table.{REPORT_RUNS.name}}} WHERE {of_account} AND {{column.created}} = "  # noqa: S608
        f"(SELECT max({{column.created}}) FROM {{table.{REPORT_RUNS.name}}} WHERE {of_account})"
    )
    rows = select(pipeline, query, table, account, table, account)
    return rows[0][0] if rows else None


def tables_of_runs(pipeline: Pipeline | None, runs: Sequence[str]) -> dict[str, set[str]]:
    """The tables in which cells of some runs are loaded, by run."""
    found: dict[str, set[str]] = {}
    for first in range(0, len(runs), KEYS_AT_ONCE):
        some = runs[first : first + KEYS_AT_ONCE]
        query = (
            f"SELECT DISTINCT {{column.run_id}}, {{column.table_name}} FROM {{table.{REPORT_CELLS.name}}} "  # noqa: S608
            f"WHERE {{column.run_id}} IN ({placeholders(some)})"
        )
        for run, table in select(pipeline, query, *some) or ():
            found.setdefault(str(run), set()).add(str(table))
    return found


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """The run that a table has a cell from.

    Args:
        load_id: the load package that has listed the cell.
        created: when Stripe has made the run; None where the ledger has no row of it.
    """

    load_id: str
    created: datetime | None

    def mends(self, load_id: str, created: datetime) -> bool:
        """True if it was loaded after another run had failed, which `load_id` has noted.

        A load may go back to an older run. A package is named by the clock of its machine, which may be behind
        the one that has noted the failure; Stripe's clock is one for both.
        """
        return self.load_id > load_id or (self.created is not None and self.created > created)


def listed_of_failed(reader: Reader) -> dict[tuple[str, str, str | None], LoadedRun]:
    """What a table has of each cell of which a run has failed, by table, account and interval key.

    Nothing where an older version of the package has written the ledger, without keys.
    """
    alike = " AND ".join(f"c.{{column.{name}}} = r.{{column.{name}}}" for name in REPORT_CELLS.key)
    query = (
        f"SELECT {', '.join(f'c.{{column.{name}}}' for name in (*REPORT_CELLS.key, LOAD_ID))}, l.{{column.created}} "  # noqa: S608
        f"FROM {{table.{REPORT_CELLS.name}}} c JOIN {{table.{REPORT_RUNS.name}}} r ON {alike} "
        f"LEFT JOIN {{table.{REPORT_RUNS.name}}} l ON l.{{column.run_id}} = c.{{column.run_id}} "
        "WHERE r.{column.error} IS NOT NULL"
    )
    try:
        rows = reader.select(query) or ()
    except DatabaseException as error:
        raise_passing(error)
        return {}
    return {(table, account, key): LoadedRun(load or "", created) for table, account, key, load, created in rows}


def loaded_runs(pipeline: Pipeline | None, table: str) -> set[str]:
    """The runs whose rows a table has been loaded with, by whichever account; also those that it shares."""
    queries = (
        f"SELECT DISTINCT {{column.run_id}} FROM {{table.{REPORT_RUNS.name}}} "  # noqa: S608
        "WHERE {column.table_name} = %s AND {column.error} IS NULL",
        f"SELECT DISTINCT {{column.run_id}} FROM {{table.{REPORT_CELLS.name}}} WHERE {{column.table_name}} = %s",  # noqa: S608
    )
    return {str(run) for query in queries for (run,) in select(pipeline, query, table) or ()}


def stored_runs(pipeline: Pipeline | None, table: str, account: str) -> dict[str, StoredRun]:
    """The run of each stored cell of a table and account, by interval key; nothing where no ledger lists cells yet."""
    query = (
        "SELECT c.{column.interval_key}, c.{column.run_id}, r.{column.created}, c.{column.interval_end} "  # noqa: S608
        f"FROM {{table.{REPORT_CELLS.name}}} c JOIN {{table.{REPORT_RUNS.name}}} r "
        "ON r.{column.run_id} = c.{column.run_id} "
        "WHERE c.{column.table_name} = %s AND c.{column.account} = %s"
    )
    return {str(key): StoredRun(str(run), *at) for key, run, *at in select(pipeline, query, table, account) or ()}


def _mode(pipeline: Pipeline | None, table: str, account: str) -> bool | None:
    """The mode of an account's rows: as their runs say, or as the list of report types that was read with them."""
    queries = (
        (
            f"SELECT max(CASE WHEN r.{{column.livemode}} THEN 1 ELSE 0 END) FROM {{table.{REPORT_RUNS.name}}} r "  # noqa: S608
            f"WHERE r.{{column.run_id}} IN (SELECT {{column._report_run_id}} FROM {{table.{table}}} "
            "WHERE {column._account} = %s) AND r.{column.livemode} IS NOT NULL"
        ),
        (
            f"SELECT max(CASE WHEN {{column.livemode}} THEN 1 ELSE 0 END) FROM {{table.{REPORT_TYPES.name}}} "  # noqa: S608
            "WHERE {column.account} = %s"
        ),
    )
    for query in queries:
        try:
            rows = select(pipeline, query, account)
        except DatabaseException as error:
            raise_passing(error)
            continue
        if rows and rows[0][0] is not None:
            return bool(rows[0][0])
    return None


def _holdings(table: str, rows: Sequence[tuple[Any, ...]]) -> list[Holding]:
    return [
        Holding(table, str(account), None if key is None else str(key).removeprefix(f"{account}|"), livemode)
        for account, key, livemode in rows
    ]
