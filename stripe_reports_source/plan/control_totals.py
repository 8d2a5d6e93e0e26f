"""Control totals of a result file: its rows and the sums of its amounts, per currency and category. Pure.

In: groups of rows with exact sums. Out: values, and the JSON that `report_runs.control_totals` holds. They join the
rows as they are stored; "" and NULL are the same group, `None`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from .column_types import AMOUNT, TEXT
from .columns import TableColumn

CURRENCY = "currency"
CATEGORIES = ("reporting_category", "category")
"""Columns that tell what kind of transaction a row is; the first that a file has is taken."""


@dataclass(frozen=True)
class ControlColumns:
    """The columns of a file that control totals are taken of, by their names in the table.

    Args:
        currency, category: that rows are grouped by; None where the file has no such column.
        amounts: that are summed.
    """

    currency: str | None
    category: str | None
    amounts: tuple[str, ...]

    @staticmethod
    def of(columns: Sequence[TableColumn]) -> ControlColumns:
        """The columns of a file's table columns."""
        texts = {column.name for column in columns if column.type == TEXT}
        return ControlColumns(
            currency=CURRENCY if CURRENCY in texts else None,
            category=next((name for name in CATEGORIES if name in texts), None),
            amounts=tuple(column.name for column in columns if column.type == AMOUNT),
        )


@dataclass(frozen=True)
class ControlTotal:
    """Rows of a file that share currency and category, and the sum of each amount column; no value counts as 0."""

    currency: str | None
    category: str | None
    rows: int
    amounts: Mapping[str, Decimal]


def control_totals_json(totals: Iterable[ControlTotal], *, by_category: bool) -> str:
    """The totals as JSON: a list of objects with `currency`, `category` where the file has one, `rows`, `amounts`.

    Args:
        totals: one for each currency and category.
        by_category: the file has a column of categories.
    """
    ordered = sorted(totals, key=lambda total: (total.currency or "", total.category or ""))
    return json.dumps([_as_json(total, by_category) for total in ordered], ensure_ascii=False)


def _as_json(total: ControlTotal, by_category: bool) -> dict[str, object]:
    category = {"category": total.category} if by_category else {}
    amounts = {name: decimal_text(amount) for name, amount in total.amounts.items()}
    return {"currency": total.currency, **category, "rows": total.rows, "amounts": amounts}


def decimal_text(amount: Decimal) -> str:
    """An amount exactly, with at least two decimal places: `12.00`, `0.125`."""
    whole, _, places = f"{amount:f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"
