"""The coverage calendar: reports and accounts by months. Pure.

In: cells of the ledger, how far each report is loaded and offered, runs that have failed. Out: a row for each report
and account, with a state and the cells of each month.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

from ..plan.intervals import start_of_day
from ..reconcile.coverage import CoveredCell
from ..warehouse.status import label_of
from ..warehouse.status_runs import ShownRun, accounts_in

Lane = tuple[str, str]
"""A report table, and an account; label/acct_... where the report is run per connected account."""
STATES = ("failed", "missing", "partial", "ahead", "before", "ended", "loaded")
"""Worst first. `partial` goes as far as Stripe had data, `ahead` begins after that, `before` ends before loading,
`ended` begins after all that is loaded of an account that is asked for no more."""
MOST_ACCOUNTS = 10
"""Of a report, that have a row each."""


@dataclass(frozen=True)
class Reach:
    """How far a report of an account is loaded, and from when to when Stripe has data; None where that is not known.

    `ends`: where an account that is asked for no more is loaded to.
    """

    loaded_from: datetime | None
    available_to: datetime | None
    available_from: datetime | None = None
    ends: datetime | None = None


@dataclass(frozen=True)
class Month:
    """A month of a report and account: its state, its cells, the failures that are about it."""

    first: date
    state: str
    cells: tuple[CoveredCell, ...]
    failures: tuple[str, ...] = ()
    lanes: int = 1


@dataclass(frozen=True)
class Row:
    """A line of the calendar."""

    table: str
    account: str
    months: tuple[Month, ...]

    @cached_property
    def worst(self) -> int:
        """The place of the worst state among `STATES`."""
        return min((STATES.index(month.state) for month in self.months), default=len(STATES))


def lane_of(cell: CoveredCell) -> Lane:
    """Whose cell it is."""
    connected = accounts_in(cell.key)
    return cell.table, f"{cell.account}/{connected[0]}" if len(connected) == 1 else cell.account


def next_month(first: date) -> date:
    """The first day of the month after."""
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def months_between(first: date, last: date) -> list[date]:
    """The first days of all months from one day's to another's."""
    months = [first.replace(day=1)]
    while months[-1] < last.replace(day=1):
        months.append(next_month(months[-1]))
    return months


def calendar(
    cells: Iterable[CoveredCell],
    reach: Mapping[Lane, Reach],
    failed: Mapping[Lane, Sequence[ShownRun]],
    months: Sequence[date],
) -> list[Row]:
    """The calendar of all that is loaded or has failed, a row for each report and account; see `few`.

    Args:
        cells: the ledger's, those of reports per payout aside.
        reach: of every report and account that was asked for.
        failed: the runs that have failed and were not followed by one that is loaded.
        months: first days, in order.
    """
    of_lane: dict[Lane, list[CoveredCell]] = defaultdict(list)
    for cell in cells:
        of_lane[lane_of(cell)].append(cell)
    rows = []
    for lane in sorted({*of_lane, *failed, *reach}):
        listed = sorted(of_lane[lane], key=lambda cell: (cell.day, cell.key))
        known = reach.get(lane) or reach.get((lane[0], label_of(lane[1]))) or Reach(None, None)
        found = tuple(_month(first, listed, known, failed.get(lane, ())) for first in months)
        if listed or failed.get(lane):
            rows.append(Row(*lane, found))
    return rows


def _month(first: date, cells: Sequence[CoveredCell], reach: Reach, failed: Sequence[ShownRun]) -> Month:
    start, end = bounds(first, cells[-1].lane if cells else "|UTC")
    here = tuple(cells_of(cells, first))
    failures = tuple(run.why for run in failed if _is_about(run, start, end))
    return Month(first, _state(start, end, here, reach, bool(failures)), here, failures)


def cells_of(cells: Iterable[CoveredCell], month: date) -> list[CoveredCell]:
    """The cells that reach into a month, each in its own zone."""
    found = []
    for cell in cells:
        start, end = bounds(month, cell.lane)
        if cell.begins < end and _end(cell) > start:
            found.append(cell)
    return found


@lru_cache(maxsize=4096)
def _bounds_in(month: date, zone: str) -> tuple[datetime, datetime]:
    known = ZoneInfo(zone)
    return start_of_day(month, known), start_of_day(next_month(month), known)


def bounds(month: date, lane: str) -> tuple[datetime, datetime]:
    """Where a month begins and ends in the zone of a lane."""
    return _bounds_in(month, lane.rpartition("|")[2])


def _end(cell: CoveredCell) -> datetime:
    return max(cell.end, cell.begins)


def _is_about(run: ShownRun, start: datetime, end: datetime) -> bool:
    if run.interval_end is None:
        return False
    begins = run.interval_start or run.interval_end - timedelta(microseconds=1)  # a snapshot is of the day before
    return begins < end and run.interval_end > start


def _state(start: datetime, end: datetime, cells: Sequence[CoveredCell], reach: Reach, failed: bool) -> str:
    if failed:
        return "failed"
    if reach.available_from is not None and start < reach.available_from < end:
        start = reach.available_from  # a month in which Stripe's data begins is whole without what was before
    if reach.ends is not None:
        end = min(end, reach.ends)
        if start >= end and not cells:
            return "ended"
    gap = next(_gaps(start, end, cells), None)
    if gap is None:
        return "loaded"
    available = reach.available_to or reach.ends
    if available is None:
        available = max((cell.end for cell in cells), default=start)
    began = reach.loaded_from or start
    gaps = [(max(a, began), min(b, available)) for a, b in _gaps(start, end, cells)]
    if any(a < b for a, b in gaps):
        return "missing"
    if cells:
        return "partial"
    return "before" if end <= began else "ahead"


def _gaps(start: datetime, end: datetime, cells: Sequence[CoveredCell]) -> Iterator[tuple[datetime, datetime]]:
    """What no cell covers of a month."""
    covered = start
    for cell in sorted(cells, key=lambda cell: cell.begins):
        if cell.begins > covered:
            yield covered, cell.begins
        covered = max(covered, _end(cell))
    if covered < end:
        yield covered, end


def few(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows; of a report with many accounts one for all of them, and the worst."""
    for table, group in groupby(rows, key=lambda row: row.table):
        of_table = list(group)
        if len(of_table) > MOST_ACCOUNTS:
            yield _together(table, of_table)
            of_table = sorted(of_table, key=lambda row: (row.worst, row.account))[:MOST_ACCOUNTS]
        yield from of_table


def _together(table: str, rows: Sequence[Row]) -> Row:
    """All accounts of a report in one row: of each month the worst state, and how many accounts have which."""
    months = []
    for of_month in zip(*(row.months for row in rows), strict=True):
        counts = Counter(month.state for month in of_month)
        worst = min(counts, key=STATES.index)
        said = ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts[state])
        months.append(Month(of_month[0].first, worst, (), (said,), len(of_month)))
    return Row(table, f"all {len(rows):,} accounts, the worst below", tuple(months))
