"""The dataset against its own ledger: rows and control totals as in the files, and cells that meet.

In: what is loaded, and the control totals that were taken while the files were parsed. Out: statements.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import chain, pairwise
from typing import Any

from ..plan.column_types import ColumnType
from ..plan.resolve import DAY_LENGTH
from ..plan.system_tables import REPORT_FRESHNESS, REPORT_RUNS, Statement
from ..warehouse.query import Reader, placeholders
from .coverage import Coverage, CoveredCell
from .scope import Scope

CELLS_AT_ONCE = 1000
"""Whose groups and totals are in memory at once."""
STORED = "rows_stored_equal_file"
CELLS_JOIN = "cells_join"
LEDGER_CHECKS = (STORED, CELLS_JOIN)
_FIRST_AMOUNTS = ("net", "net_amount", "gross")
_OTHER_CURRENCIES = ("customer_facing_", "filing_", "presentment_")
"""What amounts begin with that are in a currency of their own: the customer's, the tax office's."""
Group = tuple[str, str]
"""Currency and category, "" for none."""


_PLACES = {"_account": "account", "_interval_day": "day", "_interval_start": "start", "_interval_end": "end"}
"""Columns of rows that say what their cell says, and what a cell calls it."""


@dataclass
class Totals:
    """Rows and amounts, summed up; and the least and the greatest of what the rows say of their cell, by column."""

    rows: int = 0
    amounts: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    places: dict[str, set[Any]] = field(default_factory=lambda: defaultdict(set))

    def add(self, rows: int, amounts: Mapping[str, Decimal]) -> None:
        self.rows += rows
        for name, amount in amounts.items():
            self.amounts[name] += amount


def rows_stored_equal_file(
    reader: Reader,
    coverage: Coverage,
    scope: Scope,
    columns: Mapping[str, Mapping[str, ColumnType]],
    now: datetime,
    at_once: int = CELLS_AT_ONCE,
    of_reports: Collection[str] = (),
) -> Iterator[Statement]:
    """Each cell's rows and amounts, by currency and category, as they are stored, and as its file has them.

    Args:
        reader: of the dataset.
        coverage: what the ledger has.
        scope: what to look at.
        columns: of all tables, by table.
        now: the present.
        at_once: so many cells of a table at a time.
        of_reports: tables that hold rows of reports, in which those are looked for that the ledger does not have.
    """
    cells = in_window(coverage, scope)
    runs = _runs(reader, scope)
    known = coverage.keys()
    # rows of what is not in the ledger may be of other tables, and older, than all that is
    for table in sorted({cell.table for cell in cells}.union(of_reports if scope.touched is None else ())):
        of_table = [cell for cell in cells if cell.table == table]
        first_day = scope.since if scope.touched is None else min(cell.day for cell in of_table)
        for begin in range(0, len(of_table), at_once):
            some = of_table[begin : begin + at_once]
            files = {cell.key: _parsed(runs.get(cell.run_id or "")) for cell in some}
            only = None if len(some) == len(of_table) else files.keys()
            stored = _stored(reader, table, columns.get(table, {}), files.values(), first_day, only)
            for cell in some:
                found = stored.get(cell.key, {})
                said = chain(_misplaced(cell, found.values(), now), _compared(cell, found, files[cell.key], now))
                yield from (replace(statement, package=coverage.load_of(cell)) for statement in said)
        if of_table and len(of_table) <= at_once:
            rows = {key: _account_and_rows(groups.values()) for key, groups in stored.items()}
        else:
            rows = _rows_stored(reader, table, columns.get(table, {}), first_day)
        for key in sorted(rows.keys() - known):
            account, count = rows[key]
            if scope.accounts is None or account in scope.accounts:
                yield _unlisted(key, account, table, count, now)


def cells_join(reader: Reader, coverage: Coverage, scope: Scope, now: datetime) -> Iterator[Statement]:
    """Each cell and the next one of its report: no gap, no overlap, and only the last one still in progress."""
    known = {key for (key,) in reader.select(_GOOD_RUNS) or ()}
    loaded_to = {(table, account): end for table, account, end in reader.select(_LOADED_TO) or ()}
    for lane in coverage.lanes():
        joined = 0
        for cell, following in pairwise(lane):
            seconds = int((following.begins - cell.end).total_seconds())
            if not _in_window(following, scope):
                continue
            if not seconds:
                joined += 1
                continue
            between = {key for key in known if _between(key, cell, following)}
            end = loaded_to.get((cell.table, cell.account))
            found = _gap(seconds, bool(between), cell, following, wanted=end is not None and end <= cell.end)
            yield _statement(CELLS_JOIN, following, now, *found, count=seconds)
        if joined and _in_window(lane[-1], scope):
            yield _statement(CELLS_JOIN, lane[-1], now, "tied", f"{joined} intervals before it meet.", count=0)
        end = loaded_to.get((lane[-1].table, lane[-1].account))
        if end is not None and lane[-1].end < end and _in_window(lane[-1], scope):
            seconds = int((end - lane[-1].end).total_seconds())
            reason = (
                f"Loads have come to {end:%Y-%m-%d %H:%M:%S}, the ledger's intervals end at "
                f"{lane[-1].end:%Y-%m-%d %H:%M:%S}: load what follows again."
            )
            yield _statement(CELLS_JOIN, lane[-1], now, "variance", reason, item="loaded_to", count=seconds)


_LOADED_TO = (
    f"SELECT {{column.table_name}}, {{column.account}}, {{column.loaded_to}} "  # noqa: S608
    f"FROM {{table.{REPORT_FRESHNESS.name}}} WHERE {{column.loaded_to}} IS NOT NULL"
)
_GOOD_RUNS = (
    f"SELECT DISTINCT {{column.interval_key}} FROM {{table.{REPORT_RUNS.name}}} "  # noqa: S608
    "WHERE {column.error} IS NULL AND {column.interval_key} IS NOT NULL"
)


def _gap(seconds: int, was_loaded: bool, cell: CoveredCell, following: CoveredCell, *, wanted: bool) -> tuple[str, str]:
    """Status and reason; `wanted` where a sync has said that not all is loaded."""
    if seconds < 0:
        return "variance", f"It overlaps the interval from {cell.day} on by {-seconds} seconds: load both again."
    gap = f"Nothing is loaded from {cell.end:%Y-%m-%d %H:%M:%S} to {following.begins:%Y-%m-%d %H:%M:%S}"
    if was_loaded:
        return "variance", f"{gap}, though the ledger has a run of it: load it again."
    if wanted and not cell.complete:
        return "pending", f"{gap}, as an interval was cut: the next sync loads it, or says how to go on without it."
    return "not_comparable", f"{gap}: load it to close the gap."


def _between(key: str, cell: CoveredCell, following: CoveredCell) -> bool:
    lane = cell.key[: cell.key.rindex("|")]
    return key.startswith(f"{lane}|") and cell.key < key < following.key and key.count("|") == cell.key.count("|")


def _runs(reader: Reader, scope: Scope) -> dict[str, str]:
    """The control totals of runs that have some, by run, as JSON."""
    query = (
        f"SELECT {{column.run_id}}, {{column.control_totals}} FROM {{table.{REPORT_RUNS.name}}} "  # noqa: S608
        "WHERE {column.control_totals} IS NOT NULL"
    )
    values: list[Any] = []
    if scope.since is not None:
        # days begin at other instants in other zones; runs per payout have no interval
        query += " AND ({column.interval_end} >= %s OR {column.interval_end} IS NULL)"
        values.append(datetime.combine(scope.since - timedelta(days=2), datetime.min.time()))
    return dict(reader.select(query, *values) or ())


def _parsed(totals: str | None) -> list[dict[str, Any]] | None:
    return None if totals is None else list(json.loads(totals))


def _stored(
    reader: Reader,
    table: str,
    columns: Mapping[str, ColumnType],
    files: Iterable[list[dict[str, Any]] | None],
    first_day: date | None,
    only: Collection[str] | None,
) -> dict[str, dict[Group, Totals]]:
    """What is stored of each cell of a table, or of some, by their keys."""
    amounts = sorted({name for file in files for group in file or () for name in group["amounts"]} & set(columns))
    currency = "{column.currency}" if "currency" in columns else "''"
    category = next((f"{{column.{name}}}" for name in ("reporting_category", "category") if name in columns), "''")
    sums = "".join(f", SUM({{column.{name}}})" for name in amounts)
    places = [name for name in _PLACES if name in columns]
    sums += "".join(f", MIN({{column.{name}}}), MAX({{column.{name}}})" for name in places)
    chosen, chosen_by = _later(columns, first_day)
    if only is not None:
        chosen += f" AND {{column._interval_key}} IN ({placeholders(only)})"
    query = (
        f"SELECT {{column._interval_key}}, {currency}, {category}, COUNT(*){sums} FROM {{table.{table}}}{chosen} "  # noqa: S608
        f"GROUP BY {', '.join(part for part in ('{column._interval_key}', currency, category) if part != chr(39) * 2)}"
    )
    found: dict[str, dict[Group, Totals]] = defaultdict(lambda: defaultdict(Totals))
    for key, group_currency, group_category, rows, *totals in reader.select(query, *chosen_by, *(only or ())) or ():
        group = (group_currency or "", group_category or "")
        values = {name: Decimal(total or 0) for name, total in zip(amounts, totals, strict=False)}
        found[key][group].add(int(rows), values)
        least, greatest = totals[len(amounts) :: 2], totals[len(amounts) + 1 :: 2]
        for name, *both in zip(places, least, greatest, strict=True):
            found[key][group].places[name] |= {place for place in both if place is not None}
    return found


def _account_and_rows(groups: Iterable[Totals]) -> tuple[str, int]:
    """See `_rows_stored`."""
    counted = [(min(group.places["_account"], default=""), group.rows) for group in groups]
    return min(account for account, _ in counted), sum(rows for _, rows in counted)


def _rows_stored(
    reader: Reader, table: str, columns: Mapping[str, ColumnType], first_day: date | None
) -> dict[str, tuple[str, int]]:
    """The account of each cell of a table that rows are stored of, and how many."""
    later, by = _later(columns, first_day)
    query = (
        f"SELECT {{column._interval_key}}, MIN({{column._account}}), COUNT(*) FROM {{table.{table}}}{later} "  # noqa: S608
        "GROUP BY {column._interval_key}"
    )
    return {key: (account or "", int(rows)) for key, account, rows in reader.select(query, *by) or () if key}


def _later(columns: Mapping[str, ColumnType], first_day: date | None) -> tuple[str, list[Any]]:
    """A condition for rows from a day on, and its values; all rows of a table that an older version has made."""
    if "_interval_day" not in columns or first_day is None:
        return " WHERE 1 = 1", []
    return " WHERE ({column._interval_day} >= %s OR {column._interval_day} IS NULL)", [first_day]


def _misplaced(cell: CoveredCell, stored: Iterable[Totals], now: datetime) -> Iterator[Statement]:
    """What rows say of their cell otherwise than the ledger; those per payout lie on no grid."""
    of_rows: dict[str, set[Any]] = defaultdict(set)
    for group in stored:
        for name, places in group.places.items():
            of_rows[name] |= places
    on_grid = cell.key.endswith(f"|{cell.day}")
    for name, of_cell in _PLACES.items():
        place = getattr(cell, of_cell)
        if place is not None and (on_grid or name == "_account") and of_rows[name] - {place}:
            reason = f"Rows of {cell.table} have another {name} than the ledger has of their interval: load it again."
            yield _statement(STORED, cell, now, "variance", reason, item=name)


def _compared(
    cell: CoveredCell, stored: Mapping[Group, Totals], file: list[dict[str, Any]] | None, now: datetime
) -> Iterator[Statement]:
    if file is None:
        reason = "The control totals of the file were not kept when it was loaded: load the interval again to compare."
        yield _statement(STORED, cell, now, "not_comparable", reason)
        return
    of_file: dict[Group, Totals] = defaultdict(Totals)
    for group in file:
        amounts = {name: Decimal(total) for name, total in group["amounts"].items()}
        of_file[group.get("currency") or "", group.get("category") or ""].add(group["rows"], amounts)
    rows = (sum(group.rows for group in stored.values()), sum(group.rows for group in of_file.values()))
    wrong = sorted(group for group in {*stored, *of_file} if not _alike(stored.get(group), of_file.get(group)))
    if not wrong:
        yield _statement(STORED, cell, now, "tied", f"{rows[0]} rows, as in the file.", figures=rows)
        return
    if cell.rows == rows[0] != rows[1]:
        reason = (
            f"Steps or a schema contract of your own have stored {rows[0]} rows for the {rows[1]} rows of the file."
        )
        yield _statement(STORED, cell, now, "explained", reason, figures=rows, count=rows[0] - rows[1])
        return
    for currency, category in wrong:
        here, there = stored.get((currency, category)) or Totals(), of_file.get((currency, category)) or Totals()
        names = sorted({*here.amounts, *there.amounts})
        differing = [name for name in names if here.amounts[name] != there.amounts[name]]
        where = f" in {', '.join(differing)}" if differing else ""
        reason = f"{here.rows} rows are stored, the file has {there.rows}; they differ{where}: load the interval again."
        name = _figure_of(differing)
        figures = None if name is None else (here.amounts[name], there.amounts[name])
        yield _statement(
            STORED,
            cell,
            now,
            "variance",
            reason,
            currency=currency,
            item=category,
            figures=figures,
            count=here.rows - there.rows,
        )


def _figure_of(amounts: Collection[str]) -> str | None:
    """The amount of those that differ which a statement is given in; None where none is in the column `currency`."""
    in_currency = [name for name in amounts if not name.startswith(_OTHER_CURRENCIES)]
    return next((name for name in (*_FIRST_AMOUNTS, *in_currency) if name in in_currency), None)


def _unlisted(key: str, account: str, table: str, rows: int, now: datetime) -> Statement:
    """Rows of a cell that the ledger does not have; its item is their table, which nothing else tells."""
    day = _day_in(key)
    end = None if day is None else datetime.combine(day, datetime.min.time(), timezone.utc)
    cell = CoveredCell(table, account, key, "", day or date.min, end, end or now, None, False, None, None, None)
    reason = f"{table} holds {rows} rows of an interval that the ledger does not have: load the interval again."
    said = _statement(STORED, cell, now, "variance", reason, item=table, figures=(rows, 0), count=rows)
    return replace(said, interval_day=day)


def _day_in(key: str) -> date | None:
    """The day that an interval key ends with; None where it is of another form, which a step may give rows."""
    try:
        return date.fromisoformat(key[-DAY_LENGTH:])
    except ValueError:
        return None


def _alike(here: Totals | None, there: Totals | None) -> bool:
    here, there = here or Totals(), there or Totals()
    names = {*here.amounts, *there.amounts}
    return here.rows == there.rows and all(here.amounts[name] == there.amounts[name] for name in names)


def in_window(coverage: Coverage, scope: Scope) -> list[CoveredCell]:
    """The cells whose sums are compared."""
    return [cell for cell in (*coverage, *coverage.per_payout) if _in_window(cell, scope)]


def _in_window(cell: CoveredCell, scope: Scope) -> bool:
    return scope.since is None or cell.day >= scope.since


def _statement(
    equation: str,
    cell: CoveredCell,
    now: datetime,
    status: str,
    reason: str,
    *,
    currency: str = "",
    item: str = "",
    figures: tuple[Decimal | int, Decimal | int] | None = None,
    count: int | None = None,
) -> Statement:
    figure, against = (Decimal(figures[0]), Decimal(figures[1])) if figures else (None, None)
    return Statement(
        equation=equation,
        account=cell.account,
        interval_key=cell.key,
        currency=currency,
        item=item,
        interval_day=cell.day,
        interval_start=cell.start,
        interval_end=cell.end,
        figure=figure,
        against=against,
        difference=None if figure is None or against is None else figure - against,
        gross_difference=None,
        fee_difference=None,
        count_difference=count,
        status=status,
        reason=reason,
        figure_run=cell.run_id,
        against_run=None,
        checked_at=now,
    )
