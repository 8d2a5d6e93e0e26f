"""Marts of an open dataset: their SQL as the database takes it, and their rows.

In: a pipeline, the name of a mart, which rows. Out: a query that runs as it stands in the user's database, or its rows
as decimals, dates and instants in UTC; and what is not loaded, in words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from dlt import Pipeline

from ..errors import ConfigurationError
from ..plan.column_types import ColumnType
from ..plan.system_tables import REPORT_CELLS, TIE_OUT
from ..warehouse.places import reading_place
from ..warehouse.query import Reader, reading_frugally
from ..warehouse.stored_schemas import listed_columns, stored_columns
from .catalog import MARTS, Mart
from .chart import Chart, read_chart
from .queries import MartQuery, in_dialect
from .tables import Chosen, Holding, choose

Columns = Mapping[str, Mapping[str, ColumnType]]
"""The columns of tables, with their types."""


@dataclass(frozen=True)
class MartRows:
    """Rows of a mart.

    Args:
        columns: their names, in order.
        rows: values in that order: `Decimal`, `date`, `datetime` (aware for UTC instants), `str`, `int`, `bool`, None.
        sql: the query they come from, as it runs in the user's database.
        notes: what is not loaded or left out, which the rows lack; a sentence each.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    sql: str
    notes: tuple[str, ...]

    def dicts(self) -> list[dict[str, Any]]:
        """The rows by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Marts:
    """The marts of an open dataset; made by `open_marts`."""

    def __init__(self, reader: Reader, dialect: str | None, chosen: Chosen, query: MartQuery, *, tie_out: bool) -> None:
        self._reader = reader
        self._dialect = dialect
        self._chosen = chosen
        self._query = query
        self._tie_out = tie_out

    def sql(
        self,
        name: str,
        *,
        since: date | None = None,
        until: date | None = None,
        accounts: Collection[str] | None = None,
        or_day: str | None = None,
    ) -> str:
        """The query of a mart as it runs in the user's database; arguments and errors see `rows`."""
        _check_choice({"since": since, "until": until}, accounts)
        return self._written(self._query.rows(mart_of(name), since, until, accounts, or_day))

    def of(self, query: str) -> str:
        """A query over marts as it runs in the user's database.

        Args:
            query: one SELECT in the dialect that DuckDB and PostgreSQL share, with the names of marts and inputs in
                braces, such as `SELECT currency, SUM(fee) FROM {stripe_fees} GROUP BY currency`.

        Raises:
            ConfigurationError: it names no mart or input, or one that is not there.
        """
        return self._written(self._query.of(query))

    def answer(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query over marts; argument and errors see `of`."""
        return self._reader.execute(self.of(query))

    def rows(
        self,
        name: str,
        *,
        since: date | None = None,
        until: date | None = None,
        accounts: Collection[str] | None = None,
        or_day: str | None = None,
    ) -> MartRows:
        """The rows of a mart, in the order of its key.

        Args:
            name: one of `catalog.MARTS`.
            since, until: first day, and the day after the last, of the mart's `day` column; None for no bound.
            accounts: only these; None for all.
            or_day: another day, as SQL over the mart's columns: also the rows of which that lies between the two.

        Raises:
            ConfigurationError: there is no such mart, or a day or the accounts are texts.
        """
        sql = self.sql(name, since=since, until=until, accounts=accounts, or_day=or_day)
        columns = tuple(column.name for column in MARTS[name].columns)
        return MartRows(columns, self._reader.execute(sql), sql, self.notes(name))

    def create_view(self, name: str, dataset: str) -> str:
        """Make a mart a view; gives its name as SQL.

        Args:
            name: one of `catalog.MARTS`.
            dataset: that the view is made in; it is made where it is not there.
        """
        sql = self._written(self._query.of(self._query.all_of(mart_of(name))))
        client = self._reader.client
        with client.with_alternative_dataset_name(dataset):
            if not client.has_dataset():
                client.create_dataset()
            view = client.make_qualified_table_name(name)
        client.execute_sql(f"DROP VIEW IF EXISTS {view}")
        client.execute_sql(f"CREATE VIEW {view} AS {sql}")
        return view

    def notes(self, name: str) -> tuple[str, ...]:
        """What a mart lacks because it is not loaded or left out; a sentence each."""
        said = [note for input_ in self._query.inputs_of(mart_of(name)) for note in self._chosen.notes.get(input_, ())]
        if "tie_out" in mart_of(name).reads and not self._tie_out:
            said.append("Nothing was compared yet: run `stripe-reports reconcile`.")
        return tuple(dict.fromkeys(said))

    def _written(self, query: str) -> str:
        client = self._reader.client
        return in_dialect(query, self._dialect, client.make_qualified_table_name, client.escape_column_name)


def _check_choice(days: Mapping[str, object], accounts: object) -> None:
    """Raise for what Python would take, and no row would be."""
    for name, day in days.items():
        if day is not None and not isinstance(day, date):
            raise ConfigurationError(f"{name} {day!r} must be a date, such as date(2025, 1, 31).")
    if isinstance(accounts, str):
        raise ConfigurationError(f"accounts {accounts!r} must be a list, such as [{accounts!r}].")


def mart_of(name: str) -> Mart:
    """The mart of a name.

    Raises:
        ConfigurationError: there is no such mart.
    """
    if name not in MARTS:
        raise ConfigurationError(f"mart {name!r} must be one of {', '.join(MARTS)}.")
    return MARTS[name]


@contextmanager
def open_marts(
    pipeline: Pipeline, ledger_accounts: Path | str | None = None, *, before: date | None = None
) -> Iterator[Marts]:
    """The marts of a pipeline's dataset, over one connection.

    Args:
        pipeline: whose dataset.
        ledger_accounts: a CSV file with the columns category, entry and ledger_account; what it says goes before the
            default chart of accounts.
        before: only what moved before this day, so that a payout that came back later has not come back; None for all.

    Raises:
        ConfigurationError: the file is not such a chart, or the destination has no instants with a time zone.
    """
    chart = read_chart(ledger_accounts)
    with reading_place(pipeline) as restored, _open(restored, chart, before) as marts:
        yield marts


@contextmanager
def _open(pipeline: Pipeline, chart: Chart, before: date | None) -> Iterator[Marts]:
    capabilities = pipeline.destination_client().capabilities
    if not capabilities.supports_tz_aware_datetime:
        raise ConfigurationError(
            f"destination {pipeline.destination.destination_name!r} has no instants with a time zone, from which marts "
            "take days and months: load into DuckDB, PostgreSQL or another warehouse that has them."
        )
    if not pipeline.schemas:
        pipeline.sync_destination()  # loaded elsewhere: the dataset knows its schema
    known: Columns = stored_columns(pipeline)
    with reading_frugally(pipeline) as reader:
        holdings = _holdings(reader)
        chosen = choose(holdings, _columns(reader, {holding.table for holding in holdings}, known))
        tie_out = _is_there(reader)
        query = MartQuery(chosen.tables, chart, tie_out=tie_out, before=before)
        yield Marts(reader, capabilities.sqlglot_dialect, chosen, query, tie_out=tie_out)


def read_mart(
    pipeline: Pipeline,
    name: str,
    *,
    since: date | None = None,
    until: date | None = None,
    accounts: Collection[str] | None = None,
    ledger_accounts: Path | str | None = None,
) -> MartRows:
    """The rows of one mart; arguments and errors see `open_marts` and `Marts.rows`."""
    with open_marts(pipeline, ledger_accounts) as marts:
        return marts.rows(name, since=since, until=until, accounts=accounts)


def create_views(pipeline: Pipeline, ledger_accounts: Path | str | None = None) -> list[str]:
    """Make each mart a view in the dataset `<dataset>_marts`, in place of those that are there.

    A view reads the tables and columns that there are now: make them anew when reports or columns are added.

    Args:
        pipeline: whose dataset.
        ledger_accounts: see `open_marts`.

    Returns:
        The names of the views, as SQL.

    Raises:
        ConfigurationError: the file is not a chart of accounts.
    """
    with open_marts(pipeline, ledger_accounts) as marts:
        return [marts.create_view(name, f"{pipeline.dataset_name}_marts") for name in MARTS]


def _holdings(reader: Reader) -> list[Holding]:
    """What the tables of the dataset hold; nothing where there is no ledger."""
    rows = reader.select(_HELD) or []
    return [
        Holding.of(table, account, report_type, key, on_grid=day is not None)
        for table, account, report_type, key, day in rows
    ]


_HELD = (
    "SELECT {column.table_name}, {column.account}, {column.report_type}, MAX({column.interval_key}), "  # noqa: S608
    f"MAX({{column.interval_day}}) FROM {{table.{REPORT_CELLS.name}}} "
    "GROUP BY {column.table_name}, {column.account}, {column.report_type}"
)


def _is_there(reader: Reader) -> bool:
    return reader.select(f"SELECT 1 FROM {{table.{TIE_OUT.name}}} WHERE 1 = 0") is not None  # noqa: S608


def _columns(reader: Reader, tables: Collection[str], known: Columns) -> Columns:
    """The columns of tables: those that the database has, with the types that are known of them."""
    known = {**known, **listed_columns(reader, set(tables) - set(known))}
    there = {table: reader.columns(table) for table in tables}
    return {
        table: {name: type_ for name, type_ in known.get(table, {}).items() if name.lower() in names}
        for table, names in there.items()
    }
