"""What may be planned beside what is loaded already: no overlapping cells, no rows dropped. Pure.

In: cells that are to be run, and what a lane's state says is loaded. Out: the cells that may be run, or a refusal.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from ..errors import ConfigurationError
from .cells import CellRequest
from .credentials import connected_in
from .intervals import Span, cuts_loaded, day_of, floor_to_grid, next_on_grid, start_of_day
from .loaded_cells import Ledger
from .resolve import ResolvedReport
from .state import LaneState
from .whose_data import refuse_cells

logger = logging.getLogger(__name__)

START_AND_END = "start_date and end_date"
"""What a source's window is given by."""
DAYS = "the days in days, and a start_date or end_date between them,"
"""What that of a job is given by."""


def first_instant(start_date: date | None, zone: ZoneInfo) -> datetime | None:
    """The instant at which the user's first day begins."""
    return None if start_date is None else start_of_day(start_date, zone)


def refuse_other_grid(resolved: ResolvedReport, known: LaneState | None) -> None:
    """Refuse cells that would overlap those a table has: another grid, zone or filter than `known` says.

    Raises:
        ConfigurationError: with what to do instead.
    """
    if known and known.grid != resolved.grid_identity:
        refuse_cells(resolved, known.grid)


def refuse_other_lanes(resolved: ResolvedReport, label: str, connected: str | None, lanes: Iterable[str]) -> None:
    """Refuse runs per connected account beside runs for all of them, and the reverse: rows would be doubled.

    Raises:
        ConfigurationError: with what to do instead.
    """
    others = [key for key in lanes if (key == label if connected else connected_in(key, label))]
    if others:
        ways = ("one run per account", "all accounts in one run")
        asked, have = ways if connected else ways[::-1]
        raise ConfigurationError(
            f"report {resolved.offered.id!r}: table {resolved.report.table!r} holds {have}; connected_accounts now "
            f"asks for {asked}, which would double rows. Keep connected_accounts as it was, set another table_name, or "
            "load the report anew with refresh='drop_resources'."
        )


def say_what_is_lost(resolved: ResolvedReport, lane: str, cursor: datetime) -> None:
    """Say it where Stripe's data begins after what syncs have loaded: nobody can load what lies between."""
    start = resolved.offered.available.start
    if start > cursor:
        logger.warning(
            "%s [%s]: Stripe's data begins at %s now, and syncs have loaded up to %s: what no backfill has loaded of "
            "%s is lost, and the sync goes on after it",
            resolved.offered.id,
            lane,
            start,
            cursor,
            Span(cursor, start),
        )


def passed_by(resolved: ResolvedReport, known: LaneState | None, end: datetime, *, all_: bool = True) -> Span:
    """What a sync does not read of all that is loaded, or should be: no later one comes to it either.

    It ends at the cursor, or where Stripe's data begins after that.

    Args:
        resolved, known: of which lane.
        end: the instant from which on the sync reads.
        all_: also what lies before the cursor.
    """
    if known is None or known.cursor is None:
        return Span(end, end)
    start = resolved.offered.available.start
    reached = start if start > known.cursor else min(end, known.cursor)
    return Span(known.loaded.start if all_ else known.cursor, reached)


def say_backfill(resolved: ResolvedReport, missing: Span) -> str:
    """How to load what lies before all that is loaded; `missing` ends where that begins, maybe within a cell."""
    zone, available = resolved.zone, resolved.offered.available
    first, loaded_from = day_of(missing.start, zone), day_of(missing.end, zone)
    end = floor_to_grid(loaded_from, resolved.grid)
    if start_of_day(end, zone) < missing.end:
        end = next_on_grid(end, resolved.grid)
    partly = start_of_day(first, zone) < available.start or start_of_day(end, zone) > available.end
    return (
        f"{resolved.offered.id}: history before {loaded_from} is not loaded, as a sync goes on from what is loaded; "
        f"run: stripe-reports backfill {resolved.report.report} --start-date {first} --end-date {end}"
        f"{' --allow-partial' if partly else ''}"
    )


def say_gaps(resolved: ResolvedReport, lane: str, gaps: Sequence[CellRequest], lost: Sequence[CellRequest]) -> None:
    """Say which cells between loaded ones are not loaded whole.

    Args:
        resolved, lane: whose.
        gaps: those that are to be loaded now.
        lost: those that Stripe does not have whole any more.
    """
    for found, what in ((gaps, "they are to be loaded now"), (lost, "Stripe does not have all of them any more")):
        if found:
            logger.warning(
                "%s [%s]: %s intervals between loaded ones are not loaded whole, from %s on; %s%s",
                resolved.offered.id,
                lane,
                len(found),
                found[0].cell.span,
                what,
                "" if found is gaps else f". {_until(found[-1])}",
            )


def loaded_before(lost: Sequence[CellRequest], known: LaneState, ledger: Ledger) -> datetime:
    """Up to when all is loaded before the first end of cells that are not loaded whole."""
    listed = ledger.listed([request.key for request in lost])

    def end(request: CellRequest) -> datetime:
        cell = listed.get(request.key)
        known_end = None if cell is None or cell.load_ended is False else cell.interval_end
        return known_end or max(request.cell.whole.start, known.loaded.start)

    return min(end(request) for request in lost)


def whole_cells(
    jobs: list[CellRequest], loaded: Span | None, *, backfill: bool, asked_by: str = START_AND_END
) -> list[CellRequest]:
    """Leave out, or refuse, cells whose replacement would drop rows that are loaded.

    A sync goes on without a cell of which Stripe no longer has the beginning, although it may have more of its end.

    Args:
        jobs: the cells.
        loaded: the hull of all that is loaded of the lane.
        backfill: the cells are those of a window.
        asked_by: what the user has given that window by.

    Raises:
        ConfigurationError: the user's first or last day cuts a cell of which more is loaded.
    """
    kept = []
    for job in jobs:
        if loaded is None or not cuts_loaded(job.cell, loaded):
            kept.append(job)
            continue
        if not backfill and job.cell.span.end <= loaded.end:
            logger.warning(
                "%s: Stripe no longer has all of %s; it stays as it is loaded",
                job.report.offered.id,
                job.cell.whole,
            )
            continue
        if not backfill and job.cell.span.start == job.report.offered.available.start:
            logger.warning(
                "%s: Stripe no longer has all of %s, its data begins at %s now; the interval stays as it is loaded, up "
                "to %s, and the sync goes on with the next one. %s. A report with another table_name loads what Stripe "
                "has of it",
                job.report.offered.id,
                job.cell.whole,
                job.cell.span.start,
                min(loaded.end, job.cell.whole.end),
                _until(job),
            )
            continue
        raise ConfigurationError(
            f"report {job.report.offered.id!r}: loading {job.cell.span} would replace the whole {job.report.grid} cell "
            f"{job.cell.whole}, of which more is loaded. Let {asked_by} be the first day of a "
            f"{job.report.grid}."
        )
    return kept


def _until(last: CellRequest) -> str:
    """How long what is lost counts as not loaded, and how to end that."""
    day = day_of(last.cell.whole.end, last.report.zone)
    return f"It counts as not loaded until Stripe has it again; a start_date of {day} or later asks for it no more"
