"""Rows of reports that the synthetic ledger does not cover: right in form, without a business behind them. Pure.

In: a seed and a query. Out: rows that follow from seed, report, account, day and column alone, so that any interval
and any choice of columns shows the same rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from ..plan.catalog import Column, ReportType
from ..plan.column_types import TEXT
from .itemized import Value
from .query import Query

UNDOCUMENTED = ("id", "created", "amount", "currency")
"""The columns of a report whose own are not documented, all text to whoever reads them."""
ACCOUNT_COLUMNS = ("account_id", "connected_account", "connected_account_id")
_SNAPSHOT_DAYS = 3


def columns_of(known: ReportType) -> Sequence[str]:
    """The columns that the emulator's version of a report has."""
    return [column.name for column in known.columns] or UNDOCUMENTED


def accounts_of(query: Query, accounts: Sequence[str]) -> Sequence[str]:
    """The connected accounts that a run is about: those it names, or all of the platform's."""
    named = query.extra.get("connected_account") or query.extra.get("connected_accounts")
    if not named:
        return accounts
    return [named] if isinstance(named, str) else [str(account) for account in named]


def generic_rows(seed: int, query: Query, accounts: Sequence[str]) -> Iterator[tuple[Value, ...]]:
    """The rows of a report in an interval, for one account or for all of a platform's."""
    chosen: Sequence[str | None] = [None]
    if query.report_type.base.startswith("connected_account_"):
        chosen = accounts_of(query, accounts)
    for account in chosen:
        if not {"interval_start", "interval_end"} & set(query.report_type.required):
            keys = sorted((name, str(value)) for name, value in query.extra.items())
            yield from _rows(seed, query, account, repr(keys), query.end - timedelta(days=1), anywhere=True)
            continue
        day = query.start or query.end - timedelta(days=_SNAPSHOT_DAYS)
        day = day.replace(hour=0, minute=0, second=0)
        while day < query.end:
            yield from _rows(seed, query, account, day.isoformat(), day, anywhere=False)
            day += timedelta(days=1)


def _rows(
    seed: int, query: Query, account: str | None, name: str, day: datetime, *, anywhere: bool
) -> Iterator[tuple[Value, ...]]:
    identity = f"{seed}|{query.report_type.base}|{account}|{name}"
    chance = random.Random(identity)  # noqa: S311  # a synthetic business, not a secret
    for number in range(chance.randrange(1, 4)):
        instant = day + timedelta(seconds=chance.randrange(86_400))
        if anywhere or query.holds(instant):
            yield tuple(
                _value(f"{identity}|{number}", column, query.report_type.column(column), instant, account)
                for column in query.columns
            )


def _value(identity: str, name: str, column: Column | None, instant: datetime, account: str | None) -> Value:
    chance = random.Random(f"{identity}|{name}")  # noqa: S311
    type_ = column.type if column else TEXT
    if type_.kind == "text":
        if account is not None and name in ACCOUNT_COLUMNS:
            return account
        words = (None, "", "0042", f'{name} "{chance.randrange(10**6)}", etc.', f"{name}_{chance.randrange(10**9):x}")
        return chance.choice(words)
    if chance.random() < 0.1:
        return None
    if type_.kind in ("timestamp", "timestamptz", "date"):
        return instant
    if type_.kind == "bool":
        return chance.random() < 0.5
    if type_.kind == "bigint":
        return chance.randrange(1000)
    return Decimal(chance.randrange(-(10**12), 10**12)).scaleb(-18 if type_.scale >= 18 else -2)
