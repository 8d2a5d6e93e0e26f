"""Which of the files that were fetched before are to be loaded. Pure.

In: files, lanes as they are planned, what the ledger says is stored. Out: the file for each cell, if there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from .catalog import split_id
from .cells import CellRequest
from .intervals import ONE_SECOND
from .lanes import Lane
from .planned import FetchedFile, PlannedCell, parameters_text
from .report import Report
from .state import LaneState
from .stripe_objects import OfferedType, OfferedTypes


@dataclass(frozen=True)
class StoredRun:
    """The run that a stored cell was loaded from.

    Args:
        run_id: the run.
        created: when it was made; None where the ledger does not say.
        interval_end: true end of what is stored of the cell.
    """

    run_id: str
    created: datetime | None
    interval_end: datetime | None

    def is_newer(self, file: FetchedFile) -> bool:
        """True if it was made after the run of a file."""
        return self.created is not None and self.created >= file.obtained.run.created


def fits_report(file: FetchedFile, report: Report) -> bool:
    """True for a file of the table and report type that a report asks for."""
    return file.cell.table == report.table and report.report in (
        file.cell.report_type,
        split_id(file.cell.report_type)[0],
    )


def newest(files: Sequence[FetchedFile]) -> list[FetchedFile]:
    """Those from Stripe's newest data among the files of a table; the newest run of each cell comes first."""
    last = max((_age(file.cell) for file in files), default=None)
    found = [file for file in files if _age(file.cell) == last]
    return sorted(found, key=lambda file: file.run_created, reverse=True)


def with_types_of(offered: OfferedTypes, cell: PlannedCell) -> OfferedTypes:
    """What Stripe offers, with the report type of a cell as it was when the cell was planned, and no other version."""
    base = split_id(cell.report_type)[0]
    others = tuple(each for each in offered if split_id(each.id)[0] != base)
    unreadable = {name: why for name, why in offered.unreadable.items() if split_id(name)[0] != base}
    return OfferedTypes((*others, cell.offered), unreadable)


def is_outdated(known: LaneState | None, given: OfferedType, now: OfferedType | None) -> bool:
    """True where a lane holds newer data than files are from, as a sync has loaded that after they were planned.

    Args:
        known: what is loaded of the lane.
        given: the report type as of the files.
        now: as Stripe offers it now.
    """
    if known is None or now is None or given.updated >= now.updated:
        return False
    beyond = known.loaded.end - ONE_SECOND > given.available.end
    return beyond or (known.complete_as_of is not None and known.complete_as_of > given.updated)


def without_current(lane: Lane, known: LaneState, stored: Mapping[str, StoredRun]) -> Lane:
    """A lane without the cells that are loaded already from data as new as it is planned for.

    Args:
        lane: as it is planned.
        known: what is loaded of it.
        stored: the run of each stored cell, by interval key.
    """
    return replace(
        lane, cells=tuple(request for request in lane.cells if not _is_current(request, known, stored.get(request.key)))
    )


def for_request(files: Sequence[FetchedFile], request: CellRequest) -> FetchedFile | None:
    """The file of a cell, fetched as it is asked for now."""
    for file in files:
        cell = file.cell
        asked = (cell.interval_key, cell.span, cell.offered.available, cell.livemode, cell.parameters)
        report = request.report
        offered = report.offered
        if asked == (
            request.key,
            request.cell.span,
            offered.available,
            offered.livemode,
            parameters_text(report),
        ):
            return file
    return None


def _age(cell: PlannedCell) -> tuple[datetime, datetime]:
    return cell.offered.updated, cell.offered.available.end


def _is_current(request: CellRequest, known: LaneState, stored: StoredRun | None) -> bool:
    if stored is None or stored.created is None or stored.interval_end is None or request.report.keys:
        return False
    as_far = stored.interval_end >= request.cell.span.end - ONE_SECOND
    as_new = stored.created >= request.report.offered.updated
    return as_far and as_new and known.loaded.covers(replace(request.cell.span, end=stored.interval_end))
