"""Time cut into cells: the calendar grid of a report, pure.

In: a grid, a zone, what Stripe has (availability), what the user wants and what is loaded. Out: half-open
cells `[start, end)` of UTC instants that join without gap or overlap. No I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from ..errors import ConfigurationError

Grid = Literal["day", "week", "month"]
GRIDS: tuple[str, ...] = get_args(Grid)
ONE_SECOND = timedelta(seconds=1)
UTC_NAMES = ("UTC", "Etc/UTC")


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of time `[start, end)`, both UTC instants."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"[{_iso(self.start)}, {_iso(self.end)})"

    def covers(self, other: Span) -> bool:
        return self.start <= other.start and other.end <= self.end

    def clamp(self, bounds: Span) -> Span:
        """The part of this span inside `bounds`; empty (start >= end) if there is none."""
        return Span(max(self.start, bounds.start), min(self.end, bounds.end))

    def hull(self, other: Span | None) -> Span:
        """The smallest span that holds both."""
        return self if other is None else Span(min(self.start, other.start), max(self.end, other.end))

    @property
    def empty(self) -> bool:
        return self.start >= self.end


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the grid: the unit that a load replaces.

    `first_day` is the cell's first calendar day in the report's zone and, with grid and zone, its identity;
    `whole` is the grid's full cell, `span` the part of it that is asked for now.
    """

    first_day: date
    whole: Span
    span: Span


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a calendar day begins in a zone.

    Where a clock change skips midnight, fold=0 reads 00:00 with the offset before the change, which is the
    very instant of the change; where midnight comes twice, it is the first one.

    Raises:
        ConfigurationError: the day begins before the first or after the last instant that there is.
    """
    try:
        return datetime.combine(day, time.min, zone).astimezone(timezone.utc)
    except OverflowError:
        raise ConfigurationError(
            f"the day {day.isoformat()} cannot be told in UTC from {zone.key}; give a later one."
        ) from None


def day_of(instant: datetime, zone: ZoneInfo) -> date:
    """The calendar day that an instant falls on in a zone."""
    return instant.astimezone(zone).date()


def floor_to_grid(day: date, grid: Grid) -> date:
    """The first day of the cell that a day belongs to: itself, its Monday, or the first of its month."""
    if grid == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grid == "month" else day


def next_on_grid(first_day: date, grid: Grid) -> date:
    """The first day of the following cell."""
    if grid == "month":
        return (first_day + timedelta(days=31)).replace(day=1)
    return first_day + timedelta(days=7 if grid == "week" else 1)


def count_on_grid(first_day: date, last_day: date, grid: Grid) -> int:
    """How many cells there are from one to another, both included, of which a zone may have skipped a day's."""
    if grid == "month":
        return 12 * (last_day.year - first_day.year) + last_day.month - first_day.month + 1
    return (last_day - first_day).days // (7 if grid == "week" else 1) + 1


def cells(window: Span, grid: Grid, zone: ZoneInfo) -> Iterator[Cell]:
    """The cells that cover `window` exactly, oldest first, the first and the last clamped to it.

    Lazy, so that a day grid over many years costs nothing until it is walked. Days that a zone skipped
    altogether (Pacific/Apia, 2011-12-30) have no cell.
    """
    if window.empty:
        return
    first_day = floor_to_grid(day_of(window.start, zone), grid)
    start = start_of_day(first_day, zone)
    while start < window.end:
        next_day = next_on_grid(first_day, grid)
        whole = Span(start, start_of_day(next_day, zone))
        span = whole.clamp(window)
        if not span.empty:
            yield Cell(first_day, whole, span)
        first_day, start = next_day, whole.end


def sync_window(
    available: Span,
    *,
    grid: Grid,
    zone: ZoneInfo,
    first: datetime | None,
    cursor: datetime | None,
    lookback_days: int,
) -> Span:
    """What an incremental sync reads: from the cursor less the lookback, on the grid, to availability.

    Args:
        available: what Stripe has for the report type.
        first: where the user wants history to begin (None: where Stripe's begins).
        cursor: the end of the last loaded cell (None: nothing is loaded).
        lookback_days: calendar days in `zone` to read again, before the cursor.

    Returns:
        The window, empty when there is nothing to read. It begins on a cell's start, because a cell is only
        ever replaced whole, except where `first` or Stripe's own start cuts the very first cell.
    """
    start = available.start if first is None else max(first, available.start)
    if cursor is not None:
        day = day_of(cursor, zone) - timedelta(days=lookback_days)
        start = max(start, start_of_day(floor_to_grid(day, grid), zone))
    return Span(start, available.end)


def cuts_loaded(cell: Cell, loaded: Span | None) -> bool:
    """True where replacing the cell by its clamped part would drop rows that are loaded.

    `loaded` is the hull of everything loaded of the report so far. A cell is replaced whole, so its new part
    must hold all that the hull has inside it.
    """
    if loaded is None:
        return False
    kept = cell.whole.clamp(loaded)
    return not kept.empty and not cell.span.covers(kept)


def lacks_end(cell: Cell, loaded: Span | None) -> bool:
    """True where the cell's clamped part ends before what is loaded does; `loaded` as of `cuts_loaded`."""
    if loaded is None:
        return False
    kept = cell.whole.clamp(loaded)
    return not kept.empty and cell.span.end < kept.end


def parse_zone(name: str, setting: str = "timezone") -> ZoneInfo:
    """An IANA zone by name.

    Raises:
        ConfigurationError: there is no zone of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(
            f"{setting} {name!r} is not a time zone; use an IANA name such as 'UTC' or 'America/New_York'."
        ) from None


def parse_day(value: str | date | None, setting: str) -> date | None:
    """A calendar day from `2025-01-31`, a `date`, or None.

    Raises:
        ConfigurationError: not a calendar day. A time of day is refused, because settings are days in the
            report's zone and silently cutting the time would move the boundary.
    """
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ConfigurationError(
        f"{setting} {str(value)!r} is not a calendar day; write it as YYYY-MM-DD, such as '2025-01-31'."
    )


def _iso(instant: datetime) -> str:
    return instant.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
