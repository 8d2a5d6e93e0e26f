"""The record of a month: its page and its figures as CSV, and why it may not be made yet. Pure.

In: `Gathered` and `Figures` of the month, rows of marts. Out: files as texts by name. The same data gives the same
bytes, also after later syncs: nothing in them is of another month.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from ..marts.reading import MartRows
from ..plan.intervals import start_of_day
from ..plan.system_tables import Statement
from ..reconcile.coverage import Coverage, CoveredCell
from ..reconcile.left_behind import first_day, left_behind
from ..reconcile.reconciliation import BAD, Reconciliation
from .calendar import Row, bounds, cells_of, lane_of, next_month
from .figures import Figures
from .gather import Gathered, Run
from .render import differing, record_page
from .spreadsheet import csv_text
from .texts import month_name

NEEDED = ("balance.summary", "balance_change_from_activity.itemized", "payouts.itemized")
"""Reports without which the balance cannot be rolled forward."""
CONNECTED = "connected_account_"
DRIFT = "opening_equals_closing_before"
"""Said of a later month, it means that this one, or one before it, may have moved."""
STATE_WORDS = {
    "failed": "not loaded",
    "missing": "not loaded to its end",
    "partial": "not over yet at Stripe",
    "ahead": "not yet at Stripe",
    "before": "not loaded",
}
WHOLE = ("stripe_balance_rollforward", "stripe_payouts", "stripe_journal_lines")
"""The marts that a record has in full."""
MOST_NAMED = 5
_STATED = tuple(column.name for column in fields(Statement) if column.name != "checked_at")
_RUN = (
    *("table_name", "account", "interval_key", "interval_day", "interval_start", "interval_end", "complete", "rows"),
    *("run_id", "report_type", "created", "attempt", "adopted", "data_available_end"),
    *("file_id", "bytes", "sha256", "archive_path"),
)


@dataclass(frozen=True)
class Refusal:
    """Why there is no record of a month yet.

    Args:
        incomplete: what is not loaded, a sentence each.
        differing: what does not agree, a sentence each.
    """

    incomplete: tuple[str, ...]
    differing: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.incomplete or self.differing)

    @property
    def lines(self) -> list[str]:
        """A few sentences, what is not loaded first."""
        return [line for lines in (self.incomplete, self.differing) for line in _few(lines)]


def of_month(gathered: Gathered, month: date) -> Gathered:
    """The same, with the statements about a month alone, and nothing of what is loaded beside it."""
    touching = {id(after) for first, after in left_behind(gathered.found.statements) if _reaches(first, after, month)}
    statements = tuple(found for found in gathered.found.statements if id(found) in touching or is_about(found, month))
    return replace(gathered, found=Reconciliation(statements), coverage=Coverage(gathered.coverage), earlier=0)


def is_about(statement: Statement, month: date) -> bool:
    """Whether a statement's interval reaches into a month, or says that something before a later one has moved."""
    if statement.interval_day is None:
        return False
    if statement.interval_day >= next_month(month):
        return statement.equation == DRIFT and statement.status in BAD
    if statement.interval_day >= month:
        return True
    *_, zone, _ = statement.interval_key.split("|")
    return statement.interval_end is not None and statement.interval_end > start_of_day(month, ZoneInfo(zone))


def _reaches(first: Statement | None, after: Statement, month: date) -> bool:
    """Whether cells that were left behind, or the one after them, reach into a month."""
    if first_day(after) < next_month(month):
        return is_about(after, month)
    return first is None or first_day(first) < next_month(month)


def refusal_of(gathered: Gathered, figures: Figures, rows: Sequence[Row]) -> Refusal:
    """Why there may be no record: `gathered`, `figures` and `rows` are those of the month."""
    name = month_name(figures.month)
    incomplete = [
        f"{row.table} [{row.account}] of {name} is {_state(row)}." for row in rows if row.months[0].state != "loaded"
    ]
    incomplete += [f"{base} [{account}] is not loaded." for account, base in _missing(gathered)]
    incomplete += _in_other_zones(gathered)
    if not rows:
        incomplete.append(f"Nothing of {name} is loaded: Stripe's data begins later.")
    if not gathered.found.statements and not incomplete:
        incomplete.append(f"Nothing of {name} can be compared: load the six reports that prove one another.")
    off = [
        f"The balance of {name} [{account}] in {currency} is not Stripe's."
        for account, _, currency in differing(gathered, figures)
    ]
    behind = [
        f"{after.equation} [{after.account}]: {after.reason}" for _, after in left_behind(gathered.found.statements)
    ]
    return Refusal(tuple(incomplete), (*gathered.found.lines(), *dict.fromkeys(behind), *off))


def rows_of_month(rows: Iterable[Row], gathered: Gathered) -> list[Row]:
    """The calendar of a month, without what was begun with later, and accounts that were loaded to their end before.

    A report that the balance is rolled forward from is left out only where Stripe's own data of the account begins
    later; without it otherwise the balance of the month would not be known.
    """
    lanes = {lane_of(cell): cell for cell in gathered.cells}
    there = [row for row in rows if row.months[0].state != "ended"]
    return [row for row in there if not _was_begun_later(row, lanes.get((row.table, row.account)), gathered)]


def _was_begun_later(row: Row, cell: CoveredCell | None, gathered: Gathered) -> bool:
    [month] = row.months
    if month.state != "before" or cell is None:
        return False
    if cell.base.removeprefix(CONNECTED) not in NEEDED:
        return True
    reach = gathered.reach.get((row.table, row.account))
    begins = None if reach is None else reach.available_from
    return begins is not None and begins >= bounds(month.first, cell.lane)[1]


def _state(row: Row) -> str:
    month = row.months[0]
    if month.state == "partial" and all(cell.begins > bounds(month.first, cell.lane)[0] for cell in month.cells):
        return "not loaded from its beginning"
    return STATE_WORDS[month.state] + "".join(f" ({failure})" for failure in month.failures[:1])


def _missing(gathered: Gathered) -> Iterator[tuple[str, str]]:
    """Accounts, and reports of `NEEDED` that they lack altogether."""
    loaded: dict[tuple[str, str], set[str]] = {}
    for cell in gathered.coverage:
        prefix = CONNECTED if cell.base.startswith(CONNECTED) else ""
        loaded.setdefault((cell.account, prefix), set()).add(cell.base)
    for (account, prefix), bases in sorted(loaded.items()):
        yield from ((account, prefix + base) for base in NEEDED if prefix + base not in bases)


def _in_other_zones(gathered: Gathered) -> Iterator[str]:
    """Reports of `NEEDED` whose months are not those of the balance."""
    zones: dict[tuple[str, str], set[str]] = {}
    for cell in gathered.coverage:
        zones.setdefault((cell.account, cell.base), set()).add(cell.zone)
    for (account, base), found in sorted(zones.items()):
        prefix = CONNECTED if base.startswith(CONNECTED) else ""
        wanted = zones.get((account, prefix + NEEDED[0]), found)
        if base.removeprefix(CONNECTED) in NEEDED and not found & wanted:
            named, those = (", ".join(sorted(names)) for names in (found, wanted))
            yield f"{base} [{account}] is in the zone {named}, the balance in {those}: give all reports one timezone."


def _few(lines: Sequence[str]) -> list[str]:
    more = len(lines) - MOST_NAMED
    return [*lines[:MOST_NAMED], *([f"and {more:,} more"] if more > 0 else [])]


def record_files(
    gathered: Gathered, figures: Figures, rows: Sequence[Row], whole: Mapping[str, MartRows], refusal: Refusal
) -> dict[str, str]:
    """The files by name.

    Args:
        gathered, figures, rows: of the month.
        whole: the marts of `WHOLE`, of all accounts; payouts also where they came back in it.
        refusal: what is open nevertheless.
    """
    month = figures.month
    found = {
        "page.html": record_page(gathered, figures, rows, refusal.incomplete, with_open_items=bool(refusal)),
        "roll_forward.csv": _mart(whole["stripe_balance_rollforward"]),
        "payouts.csv": _mart(whole["stripe_payouts"]),
        "journal_lines.csv": _mart(whole["stripe_journal_lines"]),
        "open_items.csv": csv_text(_STATED, _open_items(gathered.found.statements)),
        "runs.csv": csv_text(_RUN, _runs(gathered, month)),
    }
    named = {f"{month:%Y-%m}_{name}": text for name, text in found.items()}
    sums = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in named.items())
    return {**named, f"{month:%Y-%m}_sha256.txt": sums}


def _mart(rows: MartRows) -> str:
    return csv_text(rows.columns, rows.rows)


def _open_items(statements: Iterable[Statement]) -> Iterator[list[Any]]:
    for statement in statements:
        if statement.status != "tied":
            yield [getattr(statement, name) for name in _STATED]


def _runs(gathered: Gathered, month: date) -> Iterator[list[Any]]:
    cells = cells_of(gathered.cells, month)
    for cell in sorted(cells, key=lambda cell: (cell.table, cell.account, cell.day, cell.key)):
        yield _run(cell, gathered.runs.get(cell.run_id or ""))


def _run(cell: CoveredCell, run: Run | None) -> list[Any]:
    known = None if run is None else [run.report_type, run.created, run.attempt, run.adopted]
    file = None if run is None else [run.file_id, run.bytes, run.sha256, run.archive_path]
    place = [cell.table, cell.account, cell.key, cell.day, cell.start, cell.end, cell.complete, cell.rows, cell.run_id]
    return [*place, *(known or [None] * 4), cell.data_available_end, *(file or [None] * 4)]
