"""Which of the files that were fetched before are to be loaded. Pure.

In: files, lanes as they are planned, what the ledger says is stored. Out: the file for each cell, if there is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from .catalog import load_catalog, split_id
from .cells import CellRequest
from .credentials import connected_in
from .intervals import ONE_SECOND, Span
from .lanes import Lane, LoadedBefore, plan_lanes
from .loaded_cells import Ledger, not_listed
from .planned import FetchedFile, PlannedCell, parameters_digest
from .report import Report
from .settings import Settings
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


GivenLane = tuple[Lane, dict[str, FetchedFile]]
"""A lane whose cells are to be loaded, and the files that there are of them, by interval key."""


def given_lanes(
    report: Report,
    settings: Settings,
    offered: OfferedTypes,
    loaded: LoadedBefore,
    window: Span | None,
    exact: Collection[str] | None,
    files: Iterable[FetchedFile],
    stored: Mapping[str, StoredRun],
) -> list[GivenLane]:
    """The lanes of a report, as of the data that its files are from; of Stripe's present data where it has none.

    Args:
        report: the user's words.
        settings: the source's.
        offered: the report types that Stripe offers now.
        loaded: what is loaded already.
        window: of a backfill; None follows the cursor.
        exact: interval keys of loaded cells that alone are to be loaded again, as far as there are files of them.
        files: that were fetched, of any report.
        stored: the run of each stored cell, by interval key.

    Raises:
        ConfigurationError, NotAvailable: the report cannot be loaded as asked.
    """
    fitting = _newest([file for file in files if _fits(file, report)])
    outdated: list[str] = []
    if fitting:
        given = fitting[0].cell.offered
        now = next((each for each in offered if each.id == given.id), None)
        ours = [key for key in loaded.lanes if key == settings.label or connected_in(key, settings.label)]
        outdated = [key for key in ours if is_outdated(loaded.lanes.get(key), given, now)]
        if not outdated or outdated != ours:
            offered = _with_types_of(offered, given)
    lanes: list[GivenLane] = []
    for lane in plan_lanes(report, settings, offered, load_catalog(), loaded, window, exact):
        known = loaded.lanes.get(lane.key)
        if lane.key in outdated:
            lanes.append((replace(lane, cells=(), noted=None), {}))
            continue
        if known is not None and loaded.replaced_since(lane.key, known.forks) is None:
            lane = _without_current(lane, known, stored, loaded.ledger)
        lanes.append(_with_files(lane, fitting, only_given=exact is not None))
    return lanes


def is_outdated(known: LaneState | None, given: OfferedType, now: OfferedType | None) -> bool:
    """True where a lane holds newer data than files are from, as a sync has loaded that after they were planned.

    Args:
        known: what is loaded of the lane.
        given: the report type as of the files.
        now: as Stripe offers it now.
    """
    if known is None:
        return False
    if known.complete_as_of is not None and known.complete_as_of > given.updated:
        return True
    return now is not None and given.updated < now.updated and known.loaded.end - ONE_SECOND > given.available.end


def _fits(file: FetchedFile, report: Report) -> bool:
    """True for a file of the table and report type that a report asks for."""
    report_type = file.cell.report_type
    return file.cell.table == report.table and report.report in (report_type, split_id(report_type)[0])


def _newest(files: Sequence[FetchedFile]) -> list[FetchedFile]:
    """Those from Stripe's newest data among the files of a table; the newest run of each cell comes first."""
    last = max((_age(file.cell) for file in files), default=None)
    found = [file for file in files if _age(file.cell) == last]
    return sorted(found, key=lambda file: file.run_created, reverse=True)


def _age(cell: PlannedCell) -> tuple[datetime, datetime]:
    return cell.offered.updated, cell.offered.available.end


def _with_types_of(offered: OfferedTypes, given: OfferedType) -> OfferedTypes:
    """What Stripe offers, with a report type as it was when files were planned, and no other version of it."""
    base = split_id(given.id)[0]
    others = tuple(each for each in offered if split_id(each.id)[0] != base)
    unreadable = {name: why for name, why in offered.unreadable.items() if split_id(name)[0] != base}
    return OfferedTypes((*others, given), unreadable)


def _without_current(lane: Lane, known: LaneState, stored: Mapping[str, StoredRun], ledger: Ledger) -> Lane:
    """A lane without the cells that are loaded already, whole, from data as new as it is planned for."""
    current = [request for request in lane.cells if _is_current(request, known, stored.get(request.key))]
    # one whose load was killed is stored perhaps, and is planned again
    left_out = {request.key for request in current} - {request.key for request in not_listed(current, ledger)}
    return replace(lane, cells=tuple(request for request in lane.cells if request.key not in left_out))


def _is_current(request: CellRequest, known: LaneState, stored: StoredRun | None) -> bool:
    if stored is None or stored.created is None or stored.interval_end is None or request.report.keys:
        return False
    as_far = stored.interval_end >= request.cell.span.end - ONE_SECOND
    as_new = stored.created >= request.report.offered.updated
    return as_far and as_new and known.loaded.covers(replace(request.cell.span, end=stored.interval_end))


def _with_files(lane: Lane, files: Sequence[FetchedFile], *, only_given: bool) -> GivenLane:
    """The lane with the files of its cells, without payouts that Stripe has no report of.

    With `only_given`, cells without a file are left out.
    """
    by_key: dict[str, list[FetchedFile]] = defaultdict(list)
    for file in files:
        by_key[file.cell.interval_key].append(file)
    found = {
        request.key: fetched
        for request in lane.cells
        if (fetched := _file_of(by_key.get(request.key, ()), request)) is not None
    }
    there = {key: file for key, file in found.items() if file.refused is None}
    left_out = [key for key, file in found.items() if file.refused is not None]
    cells = [
        request for request in lane.cells if request.key in there or (request.key not in left_out and not only_given)
    ]
    return replace(lane, cells=tuple(cells)), there


def _file_of(files: Sequence[FetchedFile], request: CellRequest) -> FetchedFile | None:
    """Of the files of a cell the one that was fetched as the cell is asked for now."""
    report, offered = request.report, request.report.offered
    asked = (request.cell.span, offered.available, offered.livemode, parameters_digest(report))
    for file in files:
        cell = file.cell
        if asked == (cell.span, cell.offered.available, cell.livemode, cell.parameters_digest):
            return file
    return None
