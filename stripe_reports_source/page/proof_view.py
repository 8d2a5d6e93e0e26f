"""What ties and what is open, by account, month and currency, as HTML. Pure.

In: the statements of a look. Out: markup: a table that is red where a difference is not 0, and what is open, with
reasons.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from ..cli.columns import money
from ..cli.reconciliation_view import MOST_OPEN, STATUSES, where
from ..plan.system_tables import Statement
from ..reconcile.reconciliation import BAD, OPEN, Reconciliation
from .html import Html, join, listed, table, tag
from .texts import month_name

NO_CURRENCY = "rows, files"
"""The head of what is said of rows, files and intervals, in no currency."""
MOST_TABLES = 12
MOST_REASONS = 8
Key = tuple[date, str]


@dataclass(frozen=True)
class Square:
    """The statements of an account about a month and a currency."""

    statements: tuple[Statement, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many have which status."""
        return Counter(statement.status for statement in self.statements)

    @property
    def off(self) -> Statement | None:
        """What differs most."""
        return max((found for found in self.statements if found.status in BAD), key=_by, default=None)


def squares(statements: Sequence[Statement]) -> dict[str, dict[Key, Square]]:
    """The statements by account, month and currency."""
    found: dict[str, dict[Key, list[Statement]]] = defaultdict(lambda: defaultdict(list))
    for statement in statements:
        if statement.interval_day is not None:
            found[statement.account][statement.interval_day.replace(day=1), statement.currency].append(statement)
    return {
        account: {key: Square(tuple(of_key)) for key, of_key in by_key.items()}
        for account, by_key in sorted(found.items())
    }


def proof_section(found: Reconciliation) -> Html:
    """The tie-outs of each account, and what is open."""
    by_account = squares(found.statements)
    # where there are very many accounts, those with something open
    chosen = sorted(by_account, key=lambda account: (not _is_open(by_account[account]), account))[:MOST_TABLES]
    tables = [_account(account, by_account[account], len(by_account) > 1) for account in sorted(chosen)]
    more = len(by_account) - len(chosen)
    note = f"{more:,} more accounts, of which nothing worse is to be said, are in the table tie_out."
    return join([*tables, tag("p", note, class_="hint") if more > 0 else None, open_items(found)])


def _is_open(by_key: Mapping[Key, Square]) -> bool:
    return any(square.counts[status] for square in by_key.values() for status in OPEN)


def _account(account: str, by_key: Mapping[Key, Square], several: bool) -> Html:
    months = sorted({month for month, _ in by_key})
    off = {currency for (_, currency), square in by_key.items() if square.off}
    # what differs is seen first, also where there is room for a few columns only
    currencies = sorted(
        {currency for _, currency in by_key}, key=lambda currency: (currency not in off, not currency, currency)
    )
    rows = [
        [month_name(month), *(_square(by_key.get((month, currency)), currency) for currency in currencies)]
        for month in months
    ]
    head = ["month", *(currency or NO_CURRENCY for currency in currencies)]
    return table(f"Account {account}" if several else None, head, rows, class_="ties")


def _square(square: Square | None, currency: str) -> Html | str:
    if square is None:
        return ""
    counts, off = square.counts, square.off
    said = ", ".join(f"{counts[status]:,} {status.replace('_', ' ')}" for status in STATUSES if counts[status])
    if off is not None:
        figure = _by_how_much(off)
        return join([tag("b", figure, class_="off"), tag("small", said)])
    if not counts["tied"] and not counts["explained"] and not counts["pending"]:
        return join(["-", tag("small", said)])
    figure = money(Decimal(0), currency) if currency else "0"
    return join([tag("span", figure, class_="wait" if counts["pending"] else "ok"), tag("small", said)])


def _by_how_much(statement: Statement) -> str:
    """The first of its differences that is not 0, and of what it is."""
    for word, number in (
        ("", statement.difference),
        ("gross ", statement.gross_difference),
        ("fee ", statement.fee_difference),
    ):
        if number:
            return word + money(number, statement.currency)
    return f"{statement.count_difference:+,} rows" if statement.count_difference else statement.status


def _by(statement: Statement) -> Decimal:
    amounts = (statement.difference, statement.gross_difference, statement.fee_difference)
    return max((abs(amount) for amount in amounts if amount), default=Decimal(0))


def open_items(found: Reconciliation) -> Html:
    """What is open, worst first, with the reason and what to do; and what could not be compared."""
    shown = found.open[:MOST_OPEN]
    items = [
        join(
            [
                tag("b", where(statement), class_="off" if statement.status in BAD else "wait"),
                tag("br"),
                statement.reason,
            ]
        )
        for statement in shown
    ]
    more = len(found.open) - len(shown)
    if more:
        items.append(Html(f"and {more:,} more: see the table tie_out."))
    listed_items = (
        tag("ul", *(tag("li", item) for item in items), class_="open") if items else tag("p", "Nothing is open.")
    )
    return join([tag("h3", "Open"), listed_items, _not_compared(found)])


def _not_compared(found: Reconciliation) -> Html | None:
    reasons = Counter(statement.reason for statement in found.statements if statement.status == "not_comparable")
    if not reasons:
        return None
    counted = [
        f"{number:,} statement{'' if number == 1 else 's'}: {reason}"
        for reason, number in reasons.most_common(MOST_REASONS)
    ]
    return join([tag("h3", "Not compared"), listed(counted)])
