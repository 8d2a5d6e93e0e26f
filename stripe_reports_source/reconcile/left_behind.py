"""Statements that differ because cells were loaded before the past has moved, and by nothing else: they are explained.

In: statements of a look, what was said before, what is loaded. Out: the statements, some with another verdict.

When a row of an earlier interval has been loaded late, all later balances are off by its amount until they are loaded
again. That is exact where a stretch of cells is older than the cells on either side, joins neither, and the two
differences cancel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from ..plan.system_tables import Statement
from .coverage import Coverage, CoveredCell
from .drift import older_stretches
from .inputs import DAY_LENGTH, first_day_of

Stretch = tuple[Statement | None, Statement]
"""The statements about the first cell of some that were left behind, and about the one after them. The first is None
where a look begins after it."""
CHAINED = {"opening_equals_closing_before": "balances", "clearing_rolls_forward": "unsettled amounts"}
"""Equations between a cell and the one before, and what is off where they are of different age."""


def with_cells_left_behind(
    found: Sequence[Statement], before: Iterable[Statement], coverage: Coverage, compared: Collection[tuple[str, str]]
) -> list[Statement]:
    """The statements, with those explained that differ only because of cells that were left behind.

    Args:
        found: statements of a look.
        before: that were said before it.
        coverage: what is loaded.
        compared: equations and interval keys of the cells that it has covered.
    """
    by_key = {cell.key: cell for cell in coverage}
    lanes = {(lane[0].base, lane[0].lane): lane for lane in coverage.lanes()}
    groups: dict[tuple[str, str, str, str], dict[str, Statement]] = defaultdict(dict)
    others = [statement for statement in before if (statement.equation, statement.interval_key) not in compared]
    for statement in (*others, *found):
        if statement.equation in CHAINED and statement.difference and statement.interval_key in by_key:
            cell = by_key[statement.interval_key]
            groups[statement.equation, statement.currency, cell.base, cell.lane][cell.key] = statement
    explained: dict[int, Statement] = {}
    for (_, _, base, lane), statements in groups.items():
        for statement in _explained(statements, lanes[base, lane]):
            explained[id(statements[statement.interval_key])] = statement
    return [explained.get(id(statement), statement) for statement in found]


def left_behind(statements: Iterable[Statement]) -> list[Stretch]:
    """The cells of a look that were left behind; it reaches to the last cell, so that each stretch has an end."""
    lanes: dict[tuple[str, str, str], list[Statement]] = defaultdict(list)
    for statement in statements:
        if statement.equation in CHAINED and statement.status == "explained":
            lane = statement.interval_key[:-DAY_LENGTH]
            lanes[statement.equation, statement.currency, lane].append(statement)
    found: list[Stretch] = []
    for explained in lanes.values():
        ordered = sorted(explained, key=first_day)
        begun = [None] * (len(ordered) % 2)
        pairs = iter([*begun, *ordered])
        found += [(first, after) for first, after in zip(pairs, pairs, strict=True) if after is not None]
    return found


def first_day(statement: Statement) -> date:
    """Of the cell that a statement is about."""
    return statement.interval_day or first_day_of(statement.interval_key)


def _explained(statements: dict[str, Statement], lane: Sequence[CoveredCell]) -> Iterable[Statement]:
    differences: dict[int, Decimal] = {
        place: statements[cell.key].difference or Decimal(0)
        for place, cell in enumerate(lane)
        if place and cell.key in statements
    }
    ages = [cell.data_available_end for cell in lane]
    for first, after in older_stretches(differences, ages):
        for place in (first, after):
            statement = statements[lane[place].key]
            yield replace(statement, status="explained", reason=_reason(statement, lane[first], lane[after - 1]))


def _reason(statement: Statement, first: CoveredCell, last: CoveredCell) -> str:
    amount = abs(statement.difference or Decimal(0)).normalize()
    stretch = (
        f"The interval from {first.day} on was"
        if first is last
        else (f"The intervals from {first.day} to that from {last.day} on were")
    )
    return (
        f"{stretch} loaded before the past has moved: the {CHAINED[statement.equation]} there are off by {amount:f} "
        f"{statement.currency}, and by nothing else; reconcile --refresh loads them again, some at a time."
    )
