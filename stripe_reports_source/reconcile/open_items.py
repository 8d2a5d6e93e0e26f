"""Items that were open in `tie_out`: none of them vanishes, each gets a new status.

In: the table, and the statements of a new look. Out: what was open; and a statement for each item that is not any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal

from ..plan.system_tables import TIE_OUT, Statement
from ..warehouse.query import Reader

Key = tuple[str, ...]


def open_items(reader: Reader, accounts: Collection[str] | None = None) -> list[Statement]:
    """The statements of `tie_out` that do not tie."""
    names = [column.name for column in fields(Statement)]
    columns = ", ".join(f"{{column.{name}}}" for name in names)
    chosen = "" if accounts is None else f" AND {{column.account}} IN ({', '.join(['%s'] * len(accounts))})"
    query = f"SELECT {columns} FROM {{table.{TIE_OUT.name}}} WHERE {{column.status}} <> 'tied'{chosen}"  # noqa: S608
    return [Statement(**dict(zip(names, row, strict=True))) for row in reader.select(query, *(accounts or ())) or ()]


def settled_since(
    before: Collection[Statement], found: Mapping[Key, Statement], looked_at: Collection[str], now: datetime
) -> dict[Key, Statement]:
    """What was open, and is not among what a new look has found: it ties now.

    Args:
        before: open items.
        found: the statements of the look, by key.
        looked_at: interval keys of the cells that were looked at.
        now: the present.
    """
    return {
        key: replace(
            item,
            figure=None,
            against=None,
            difference=Decimal(0),
            gross_difference=Decimal(0),
            fee_difference=Decimal(0),
            count_difference=0,
            status="tied",
            reason=f"Agrees now; it was {item.status.replace('_', ' ')} before.",
            checked_at=now,
        )
        for item in before
        if item.interval_key in looked_at
        and (key := (item.equation, item.account, item.interval_key, item.currency, item.item)) not in found
    }
