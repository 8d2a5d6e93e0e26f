"""Which cells are to be looked at whole, where some have been loaded: those that hold their rows' counterparts.

In: the cells that a load touched. Out: these, the cell after each, the cells of items that are open, and those whose
rows are compared with rows of theirs. A statement is about a whole cell, so that no cell is looked at in part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from ..plan.system_tables import Statement
from .coverage import Coverage, CoveredCell
from .inputs import Input, ReportTable, input_query
from .queries import instant_literal
from .reconciliation import OPEN
from .scope import Scope

Answer = Callable[[str], Sequence[Sequence[Any]]]
_ONE_DAY = timedelta(days=1)


def widened(scope: Scope, coverage: Coverage, before: Collection[Statement]) -> Scope:
    """The scope of a load, with the cells after the touched ones, and those of items that are open."""
    if scope.touched is None:
        return scope
    touched = [cell for cell in coverage if cell.cell in scope.touched]
    following = {after.cell for cell in touched if (after := coverage.after(cell.base, cell.cell))}
    keys = {item.interval_key for item in before if item.item and item.status in OPEN}
    waiting = {cell.cell for cell in coverage if cell.key in keys}
    # what is run per payout lies on no grid, and is looked at with its payouts
    looked_at = {cell.cell for cell in touched} | following | waiting
    first = min((cell.day for cell in coverage if cell.cell in looked_at), default=scope.since)
    return replace(scope, touched=frozenset(looked_at), since=first)


def with_counterparts(
    scope: Scope,
    coverage: Coverage,
    inputs: Mapping[str, Input],
    tables: Mapping[str, Sequence[ReportTable]],
    answer: Answer,
) -> Mapping[str, Scope]:
    """The scope with the cells of a report whose rows are compared with rows of its own, by the report's input.

    Those of the activity that a touched payout settles or that name it; and those of settled and unsettled rows which
    a touched activity holds. It goes by times, which also finds the cells of rows that are not there any more.
    """
    if scope.touched is None:
        return {}
    found = {name: set(scope.touched) for name in ("activity", "settled", "unsettled")}
    for query, name in _days_queries(scope, inputs, tables):
        days = {_day(row[0]) for row in answer(query) if row[0] is not None}
        found[name] |= {cell.cell for cell in coverage.of(inputs[name].base) if _has_one_of(cell, days)}
    for query, name in _cell_queries(scope, coverage, inputs, tables):
        found[name] |= {row[0] for row in answer(query)}
    return {name: replace(scope, touched=frozenset(cells)) for name, cells in found.items()}


def counterpart_queries(
    scope: Scope, coverage: Coverage, inputs: Mapping[str, Input], tables: Mapping[str, Sequence[ReportTable]]
) -> list[str]:
    """All that is asked for counterparts: days, then cells."""
    days = [query for query, _ in _days_queries(scope, inputs, tables)]
    return [*days, *(query for query, _ in _cell_queries(scope, coverage, inputs, tables))]


def _days_queries(
    scope: Scope, inputs: Mapping[str, Input], tables: Mapping[str, Sequence[ReportTable]]
) -> Iterator[tuple[str, str]]:
    """The days on which what is settled in touched cells was created, and the report that has it."""
    if tables["settled"] and tables["activity"]:
        rows = input_query(inputs["settled"], tables["settled"], accounts=scope.accounts, only=scope.touched)
        yield f"WITH book AS ({rows}) SELECT DISTINCT CAST(created AS DATE) AS day FROM book", "activity"  # noqa: S608


def _cell_queries(
    scope: Scope, coverage: Coverage, inputs: Mapping[str, Input], tables: Mapping[str, Sequence[ReportTable]]
) -> Iterator[tuple[str, str]]:
    """Cells of rows whose counterparts belong into touched cells of another report."""
    for name, at, other in (
        ("settled", "created", "activity"),
        ("unsettled", "created", "activity"),
        ("activity", "payout_at", "settled"),
    ):
        windows = _windows(cell for cell in coverage.of(inputs[other].base) if cell.cell in (scope.touched or ()))
        if tables[name] and windows:
            rows = input_query(inputs[name], tables[name], accounts=scope.accounts)
            within = " OR ".join(
                f"({at} >= {instant_literal(start)} AND {at} < {instant_literal(end)})" for start, end in windows
            )
            yield f"WITH book AS ({rows}) SELECT DISTINCT cell FROM book WHERE {within}", name  # noqa: S608


def _windows(cells: Iterator[CoveredCell]) -> list[tuple[datetime, datetime]]:
    """From when to when cells reach; those that meet as one."""
    windows: list[tuple[datetime, datetime]] = []
    for start, end in sorted((cell.start, cell.whole_end or cell.end) for cell in cells if cell.start is not None):
        if windows and start <= windows[-1][1]:
            windows[-1] = windows[-1][0], max(end, windows[-1][1])
        else:
            windows.append((start, end))
    return windows


def _has_one_of(cell: CoveredCell, days: Collection[date]) -> bool:
    """True if a cell may hold an instant of one of these days, in whatever zone a destination reckons days."""
    return any(
        cell.start is not None
        and cell.start < datetime.combine(day + 2 * _ONE_DAY, time.min, timezone.utc)
        and datetime.combine(day - _ONE_DAY, time.min, timezone.utc) < cell.end
        for day in days
    )


def _day(value: Any) -> date:
    return (
        value.date() if isinstance(value, datetime) else value if isinstance(value, date) else date.fromisoformat(value)
    )
