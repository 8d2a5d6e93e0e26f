"""`report_freshness` as it stands, the failures that are still open, and its stamp where nothing else is loaded.

In: a pipeline. Out: rows and failures; or rows brought up to date where they stand.

A row that does not exist yet, or tells of cells that are being loaded, goes with their load package. All others are
updated in place: a package for a stamp alone would cost a sync with nothing new as much again as dlt's empty run, and
would be one more load, with one more row in `_dlt_loads`, for every look at Stripe.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase

from ..plan.system_tables import LOAD_ID, REPORT_FRESHNESS, REPORT_RUNS, FreshnessRow
from .destinations import destination_type
from .ledger import LoadedRun, listed_of_failed
from .passing import raise_passing
from .query import Reader, placeholders, sql_client

logger = logging.getLogger(__name__)

_COLUMNS = tuple(column.name for column in fields(FreshnessRow))
_KEY = REPORT_FRESHNESS.key
_CHECKED = "checked_at"
ROWS_AT_ONCE = 1000
LOCK_SECONDS = 2
"""How long a stamp waits for a lock in PostgreSQL before it goes with a load package, which can wait."""


@dataclass(frozen=True, slots=True)
class LedgerRun:
    """A run of `report_runs` that has failed.

    Args:
        table, account: whose.
        interval_key: of its cell; None where an older version has written it.
        place: its interval's start, else its end, else its parameters: what it was made for.
        end: its interval's end, if it has one.
    """

    table: str
    account: str
    interval_key: str | None
    place: str
    end: datetime | None


class FreshnessTable:
    """The table and the ledger beside it, through one connection: a sync with nothing new has little else to pay for.

    Args:
        client: of the dataset; None has no rows.
        waits_for_locks: the destination is PostgreSQL.
    """

    def __init__(self, client: SqlClientBase[Any] | None, waits_for_locks: bool = False) -> None:
        self._client = client
        self._waits_for_locks = waits_for_locks
        columns = ", ".join(f"{{column.{name}}}" for name in _COLUMNS)
        found = self._select(f"SELECT {columns} FROM {{table.{REPORT_FRESHNESS.name}}}")  # noqa: S608
        rows = [FreshnessRow(**dict(zip(_COLUMNS, values, strict=True))) for values in found]
        self.rows = {row.lane: row for row in rows}
        """The rows that stand there, by table and account."""

    def open_failures(self) -> list[LedgerRun]:
        """Runs that have failed, and after which nothing was loaded for the same. One query where none has.

        A later load may have adopted an older run. Two tables may share a run, which stands in the ledger once; their
        cells are listed each.
        """
        failed = self._runs("{column.error} IS NOT NULL")
        if not failed:
            return []
        first, since = min(load for _, (load, _) in failed), min(made for _, (_, made) in failed)
        newer = f"({{column.{LOAD_ID}}} >= %s OR {{column.created}} >= %s)"
        good: dict[tuple[str, str, str | None], list[LoadedRun]] = {}
        for run, noted in self._runs(f"{{column.error}} IS NULL AND {newer}", first, since):
            for what in {run.interval_key, run.place}:
                good.setdefault((run.table, run.account, what), []).append(LoadedRun(*noted))
        cells = {} if self._client is None else listed_of_failed(Reader(self._client))
        for cell, listed in cells.items():
            good.setdefault(cell, []).append(listed)
        return [
            run
            for run, noted in failed
            if not any(
                loaded.mends(*noted) for loaded in good.get((run.table, run.account, run.interval_key or run.place), ())
            )
        ]

    def stamp(self, rows: Sequence[FreshnessRow]) -> bool:
        """Bring rows up to date that stand there already, all or none.

        Returns:
            False if one is not there, or the database has not let that happen.
        """
        if self._client is None or any(row.lane not in self.rows for row in rows):
            return False
        changed: list[FreshnessRow] = []
        same: dict[datetime, list[FreshnessRow]] = {}
        for row in rows:
            if replace(self.rows[row.lane], checked_at=row.checked_at) == row:
                same.setdefault(row.checked_at, []).append(row)
            else:
                changed.append(row)
        try:
            with self._transaction(self._client):
                for checked_at, checked in same.items():
                    for part in range(0, len(checked), ROWS_AT_ONCE):
                        _update(self._client, {_CHECKED: checked_at}, checked[part : part + ROWS_AT_ONCE])
                for row in changed:
                    _update(self._client, {name: getattr(row, name) for name in _COLUMNS if name not in _KEY}, [row])
        except DatabaseException as error:
            logger.info("%s could not be stamped in place: %s", REPORT_FRESHNESS.name, error)
            return False
        return True

    def _runs(self, where: str, *values: Any) -> list[tuple[LedgerRun, tuple[str, datetime]]]:
        """Runs, each with the load package that has noted it, whose ids are in order, and when it was made."""
        run = ("table_name", "account", "interval_start", "interval_end", "parameters")
        columns = (*run, LOAD_ID, "created", "interval_key")
        for names in (columns, columns[:-1]):  # an older version's ledger has no keys
            listed = ", ".join(f"{{column.{name}}}" for name in names)
            try:
                found = self._select(f"SELECT {listed} FROM {{table.{REPORT_RUNS.name}}} WHERE {where}", *values)  # noqa: S608
            except DatabaseException as error:
                raise_passing(error)
                continue
            return [
                (
                    LedgerRun(table, account, key[0] if key else None, str(start or end or parameters), end),
                    (load or "", made),
                )
                for table, account, start, end, parameters, load, made, *key in found
            ]
        return []

    def _select(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return [] if self._client is None else Reader(self._client).select(query, *values) or []

    @contextmanager
    def _transaction(self, client: SqlClientBase[Any]) -> Iterator[None]:
        if not client.capabilities.supports_ddl_transactions:
            yield  # each row by itself, as that destination loads cells
            return
        with client.begin_transaction():
            if self._waits_for_locks:
                client.execute_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            yield


@contextmanager
def freshness_table(pipeline: Pipeline | None) -> Iterator[FreshnessTable]:
    """The table of a pipeline's dataset; without rows where there is none."""
    if pipeline is None:
        yield FreshnessTable(None)
        return
    with sql_client(pipeline) as client:
        yield FreshnessTable(client, destination_type(pipeline) == "postgres")


def note_failure(pipeline: Pipeline, table: str, account: str, loaded_to: datetime) -> None:
    """Say that a lane is loaded no further than an instant, because of one failure more; if there is such a table."""
    with sql_client(pipeline) as client:
        name, end, opened = _names(client, "loaded_to", "open_failures")
        where = " AND ".join(f"{column} = %s" for column in _names(client, *_KEY)[1:])
        new_end = f"CASE WHEN {end} < %s THEN {end} ELSE %s END"
        try:
            client.execute_sql(
                f"UPDATE {name} SET {end} = {new_end}, {opened} = {opened} + 1 WHERE {where}",  # noqa: S608
                loaded_to,
                loaded_to,
                table,
                account,
            )
        except DatabaseUndefinedRelation:
            return  # it is not loaded beside the reports


def _update(client: SqlClientBase[Any], values: Mapping[str, Any], rows: Sequence[FreshnessRow]) -> None:
    table, *columns = _names(client, *values)
    _, *keys = _names(client, *_KEY)
    accounts: dict[str, list[str]] = {}
    for row in rows:
        accounts.setdefault(row.table_name, []).append(row.account)
    for of_table, of_accounts in accounts.items():
        client.execute_sql(
            f"UPDATE {table} SET {', '.join(f'{column} = %s' for column in columns)} "  # noqa: S608
            f"WHERE {keys[0]} = %s AND {keys[1]} IN ({placeholders(of_accounts)})",
            *values.values(),
            of_table,
            *of_accounts,
        )


def _names(client: SqlClientBase[Any], *columns: str) -> list[str]:
    return [client.make_qualified_table_name(REPORT_FRESHNESS.name), *map(client.escape_column_name, columns)]
