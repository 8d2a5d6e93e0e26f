"""Marts of an open dataset: their SQL as the database takes it, and their rows.

In: a pipeline, the name of a mart, which rows. Out: a query that runs as it stands in the user's database, or its rows
as decimals, dates and instants in UTC; and what is not loaded, in words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from dlt import Pipeline

from ..warehouse.query import Reader


@dataclass(frozen=True)
class MartRows:
    """Rows of a mart.

    Args:
        columns: their names, in order.
        rows: values in that order: `Decimal`, `date`, `datetime` (aware for UTC instants), `str`, `int`, `bool`, None.
        sql: the query they come from, as it runs in the user's database.
        notes: what is not loaded, or left out, and what that means for the rows; a sentence each.
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

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def sql(
        self,
        name: str,
        *,
        since: date | None = None,
        until: date | None = None,
        accounts: Collection[str] | None = None,
    ) -> str:
        """The query of a mart; arguments see `rows`."""
        raise NotImplementedError

    def rows(
        self,
        name: str,
        *,
        since: date | None = None,
        until: date | None = None,
        accounts: Collection[str] | None = None,
    ) -> MartRows:
        """The rows of a mart, in the order of its key.

        Args:
            name: one of `catalog.MARTS`.
            since, until: first day, and the day after the last, of the mart's `day` column; None for no bound.
            accounts: only these; None for all.

        Raises:
            ConfigurationError: there is no such mart.
        """
        raise NotImplementedError

    def notes(self, name: str) -> tuple[str, ...]:
        """What a mart lacks because it is not loaded; a sentence each."""
        raise NotImplementedError


@contextmanager
def open_marts(pipeline: Pipeline, ledger_accounts: Path | None = None) -> Iterator[Marts]:
    """The marts of a pipeline's dataset, over one connection.

    Args:
        pipeline: whose dataset.
        ledger_accounts: a CSV file with the columns category, entry and ledger_account instead of the default chart.
    """
    raise NotImplementedError


def read_mart(
    pipeline: Pipeline,
    name: str,
    *,
    since: date | None = None,
    until: date | None = None,
    accounts: Collection[str] | None = None,
    ledger_accounts: Path | None = None,
) -> MartRows:
    """The rows of one mart; see `open_marts` and `Marts.rows`."""
    with open_marts(pipeline, ledger_accounts) as marts:
        return marts.rows(name, since=since, until=until, accounts=accounts)


def create_views(pipeline: Pipeline, ledger_accounts: Path | None = None) -> list[str]:
    """Make each mart a view in the pipeline's dataset, in place of one of the same name; gives their names."""
    raise NotImplementedError
