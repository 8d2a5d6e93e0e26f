"""The window that a balance is rolled forward over: the last complete month, or all from a day on. Pure.

In: what is loaded of an account's reports. Out: cells that follow one another, and which reports have all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from .coverage import Coverage, CoveredCell

_MOVES = ("balance", "activity", "payouts")


@dataclass(frozen=True)
class Window:
    """A window of a lane.

    Args:
        account: as in the rows.
        zone: the IANA zone of its days.
        cells: their names, in order.
        first_day, last_day: calendar days in the zone, the last one included.
        start, end: the same as instants; None where the start is not known.
        first_read: first day of the cell before, where one is loaded.
        cell_before: the cell whose closing balance the opening is compared with; None if it is not loaded.
        complete: False where the last cell is not loaded to its end.
        loaded: the inputs that have all of its cells.
        filters: the parameters that choose its rows, such as a connected account, as JSON; empty for none.
    """

    account: str
    zone: str
    cells: tuple[str, ...]
    first_day: date
    last_day: date
    start: datetime | None
    end: datetime
    first_read: date
    cell_before: str | None
    complete: bool
    loaded: frozenset[str]
    filters: str = ""


def window_of(coverage: Coverage, bases: Mapping[str, str], lane: str, since: date | None) -> Window | None:
    """The window of a lane; None where nothing is loaded of it, or nothing since that day.

    Args:
        coverage: what is loaded.
        bases: the reports, by the names of their inputs.
        lane: account, filters, grid and zone.
        since: first day; None for the last month that is loaded to its end or, without one, the last month.
    """
    cells = _cells(coverage, bases, lane)
    zone = ZoneInfo(lane.rpartition("|")[2])
    if since is not None:
        chosen = [cell for cell in cells if cell.day >= since]
        whole = [cell for cell in chosen if _is_complete(coverage, bases, cell)]
        chosen = [cell for cell in chosen if whole and cell.day <= whole[-1].day] or chosen
    else:
        chosen = _last_month(coverage, bases, cells, zone)
    if not chosen:
        return None
    first, last = chosen[0], chosen[-1]
    opened = coverage.before(bases["balance"], first.cell)
    before = [cell.day for cell in cells if cell.day < first.day]
    return Window(
        account=first.account,
        zone=zone.key,
        cells=tuple(cell.cell for cell in chosen),
        first_day=first.day if first.start is None else first.start.astimezone(zone).date(),
        last_day=(last.end - timedelta(microseconds=1)).astimezone(zone).date(),
        start=first.start,
        end=last.end,
        first_read=max(before, default=first.day),
        cell_before=None if opened is None else opened.cell,
        complete=_is_complete(coverage, bases, last),
        loaded=_loaded(coverage, bases, chosen),
        filters=first.rows_chosen[1],
    )


def _cells(coverage: Coverage, bases: Mapping[str, str], lane: str) -> list[CoveredCell]:
    """Each cell of the lane once, as the first report that moves the balance has it."""
    found: dict[str, CoveredCell] = {}
    for name in _MOVES:
        for cell in coverage:
            if cell.base == bases[name] and cell.lane == lane:
                found.setdefault(cell.cell, cell)
    return sorted(found.values(), key=lambda cell: cell.day)


def _last_month(
    coverage: Coverage, bases: Mapping[str, str], cells: Sequence[CoveredCell], zone: ZoneInfo
) -> list[CoveredCell]:
    months: dict[tuple[int, int], list[CoveredCell]] = {}
    for cell in cells:
        months.setdefault((cell.day.year, cell.day.month), []).append(cell)
    for month in sorted(months, reverse=True):
        last = months[month][-1]
        if _is_over(last, month, zone) and all(_is_complete(coverage, bases, cell) for cell in months[month]):
            return months[month]
    return months[max(months)] if months else []


def _is_over(last: CoveredCell, month: tuple[int, int], zone: ZoneInfo) -> bool:
    """Whether no other cell begins in the month after this one."""
    following = (last.whole_end or last.end).astimezone(zone)
    return (following.year, following.month) != month


def _is_complete(coverage: Coverage, bases: Mapping[str, str], cell: CoveredCell) -> bool:
    """Whether all reports that have the cell have it to its end."""
    found = (coverage.get(base, cell.cell) for base in bases.values())
    return all(other.complete for other in found if other is not None)


def _loaded(coverage: Coverage, bases: Mapping[str, str], cells: Sequence[CoveredCell]) -> frozenset[str]:
    """The inputs that have all cells to the same instants; of what is unsettled, the last one is enough."""
    loaded = set()
    for name, base in bases.items():
        asked = cells[-1:] if name.startswith("unsettled") else cells
        others = [coverage.get(base, cell.cell) for cell in asked]
        if all(other is not None and other.end == cell.end for other, cell in zip(others, asked, strict=True)):
            loaded.add(name)
    return frozenset(loaded)
