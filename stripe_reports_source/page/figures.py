"""The page's figures, from the marts: what is read, for which accounts and days. Reads only.

In: the marts of an open dataset, the months to show, the month that is closed. Out: `Figures`: rows of marts with the
SQL that gives them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from ..marts.reading import MartRows, Marts
from .calendar import Row, next_month

MOST_ACCOUNTS = 4
"""Whose figures are shown."""
PAYOUT_MONTHS = 3
"""Up to the closed one, whose payouts are shown day by day."""


Place = tuple[str, date, str]
"""An account, a month and a currency."""
OPENING, CLOSING = "opening_balance", "closing_balance"
"""Categories of the roll-forward that are no movements."""


@dataclass(frozen=True)
class Figures:
    """Rows of the marts.

    Args:
        month: the closed month that is shown in full; its first day.
        first, after: the days that all others are from, the last one excluded.
        accounts: whose figures these are.
        accounts_in_all: how many there are.
        rollforward, daily, payouts, categories, journal: the marts; `journal` is of the closed month.
        off: account, month and currency of each balance, of all accounts, that is not Stripe's.
    """

    month: date
    first: date
    after: date
    accounts: tuple[str, ...]
    accounts_in_all: int
    rollforward: MartRows
    daily: MartRows
    payouts: MartRows
    categories: MartRows
    journal: MartRows
    off: tuple[Place, ...]


def closed_month(rows: Sequence[Row], months: Sequence[date]) -> date:
    """The last month that every report is loaded for to its end; the last one of all, where there is none."""
    for at in range(len(months) - 1, -1, -1):
        states = {row.months[at].state for row in rows}
        if "loaded" in states and states <= {"loaded", "before", "ended"}:
            return months[at]
    return months[-1]


def read_figures(marts: Marts, months: Sequence[date], month: date, accounts: Collection[str] | None = None) -> Figures:
    """Read the marts.

    Args:
        marts: of an open dataset.
        months: to show, by their first days.
        month: the closed one.
        accounts: only these; None for all, of which the first `MOST_ACCOUNTS` are shown.
    """
    first, after = months[0], next_month(months[-1])
    rollforward = marts.rows("stripe_balance_rollforward", since=first, until=after, accounts=accounts)
    every = sorted({str(row["account"]) for row in rollforward.dicts()})
    return _of_accounts(marts, rollforward, first, after, month, every[:MOST_ACCOUNTS], len(every))


def _of_accounts(
    marts: Marts, rollforward: MartRows, first: date, after: date, month: date, shown: list[str], in_all: int
) -> Figures:
    since = max(first, months_before(month, PAYOUT_MONTHS - 1))
    at = rollforward.columns.index("account")
    chosen = shown
    return Figures(
        month=month,
        first=first,
        after=after,
        accounts=tuple(shown),
        accounts_in_all=in_all,
        rollforward=replace(rollforward, rows=[row for row in rollforward.rows if row[at] in shown]),
        daily=marts.rows("stripe_daily_balance", since=first, until=after, accounts=chosen),
        payouts=marts.rows("stripe_payouts", since=since, until=after, accounts=chosen),
        categories=marts.rows("stripe_activity_by_category", since=first, until=after, accounts=chosen),
        journal=marts.rows("stripe_journal_lines", since=month, until=next_month(month), accounts=chosen),
        off=tuple(off_in(rollforward)),
    )


def off_in(rollforward: MartRows) -> Iterator[Place]:
    """Where Stripe's closing balance is not what the rows give."""
    for line in rollforward.dicts():
        if line["category"] == CLOSING and line["difference"]:
            yield line["account"], line["month"], line["currency"]


def months_before(first: date, number: int) -> date:
    """The first day of the month so many months before."""
    months = first.year * 12 + first.month - 1 - number
    return date(months // 12, months % 12 + 1, 1)
