"""What `tie_out` says already: no open item vanishes, each gets a new status; and nothing ties that is not loaded.

In: the table, and the statements of a new look. Out: what was open; and a statement for each item that is not any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal

from ..plan.system_tables import TIE_OUT, Statement
from ..warehouse.query import Reader, placeholders
from .reconciliation import OPEN
from .scope import Scope

Key = tuple[str, ...]
_AGREES = "Agrees now; it was {} before."
_IS_GONE = "What it compared is not loaded any more: load it again to compare."
_ONCE_OPEN = tuple(_AGREES.format(was) for was in (*OPEN, "not loaded"))
"""What is said of items that were open, or gone, and tie now: they keep their rows."""


def said_before(reader: Reader, scope: Scope) -> list[Statement]:
    """The statements of `tie_out` that do not tie, or did not once; for a look at all cells, those that tie too."""
    stored = reader.columns(TIE_OUT.name)  # an older version has made fewer
    names = [column.name for column in fields(Statement) if column.name in stored]
    if not names:
        return []
    columns = ", ".join(f"{{column.{name}}}" for name in names)
    conditions = []
    values: list[str] = []
    if scope.touched is not None:
        conditions.append(f"({{column.status}} <> 'tied' OR {{column.reason}} IN ({placeholders(_ONCE_OPEN)}))")
        values += _ONCE_OPEN
    if scope.accounts is not None:
        conditions.append(f"{{column.account}} IN ({placeholders(scope.accounts)})")
        values += scope.accounts
    chosen = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    query = f"SELECT {columns} FROM {{table.{TIE_OUT.name}}}{chosen}"  # noqa: S608
    rows = reader.select(query, *values) or ()
    return [Statement(**dict(zip(names, row, strict=True))) for row in rows]


@dataclass(frozen=True)
class Looked:
    """What a look has covered.

    Args:
        compared: equations and interval keys of the cells that were looked at: True where they were compared whole,
            False where they cannot be compared.
        loaded: the names of all cells that are loaded.
        since: first day of the cells that were looked at; None for all.
        whole: all cells from then on were looked at.
    """

    compared: Mapping[tuple[str, str], bool]
    loaded: Collection[str]
    since: date | None
    whole: bool = False


def settled_since(
    before: Collection[Statement], found: Mapping[Key, Statement], looked: Looked, now: datetime
) -> dict[Key, Statement]:
    """What was said, and is not among what a new look has found: it ties now, or cannot be compared any more.

    What ties is said of a cell as a whole, but for items that were open once: they keep their rows.

    Args:
        before: statements.
        found: the statements of the look, by key.
        looked: what it has covered.
        now: the present.
    """
    settled: dict[Key, Statement] = {}
    replaced = {(statement.equation, statement.interval_key) for statement in found.values()}
    for item in before:
        key = item.equation, item.account, item.interval_key, item.currency, item.item
        compared = looked.compared.get((item.equation, item.interval_key))
        if key in found:
            continue
        if item.status == "tied" and (compared or (item.equation, item.interval_key) in replaced):
            if item.reason in _ONCE_OPEN:
                settled[key] = _now("tied", item.reason, item, now)
        elif compared:
            was = "not loaded" if item.reason == _IS_GONE else item.status.replace("_", " ")
            settled[key] = _now("tied", _AGREES.format(was), item, now)
        elif compared is False or _is_gone(item, looked):
            settled[key] = _now("not_comparable", _IS_GONE, item, now)
    return settled


def _is_gone(item: Statement, looked: Looked) -> bool:
    """True if nothing is loaded any more that the item was about or, after a look at all, that it could be said of."""
    later = looked.since is None or (item.interval_day is not None and item.interval_day >= looked.since)
    _, _, rest = item.interval_key.removeprefix(f"{item.account}|").partition("|")
    return later and (looked.whole or f"{item.account}|{rest}" not in looked.loaded)


def _now(status: str, reason: str, item: Statement, now: datetime) -> Statement:
    """Without figures, it is of no run either: the runs that it was found in may be long replaced."""
    nothing = Decimal(0) if status == "tied" else None
    return replace(
        item,
        figure=None,
        against=None,
        difference=nothing,
        gross_difference=nothing,
        fee_difference=nothing,
        count_difference=None if nothing is None else 0,
        status=status,
        reason=reason,
        figure_run=None,
        against_run=None,
        package=None,
        checked_at=now,
    )
