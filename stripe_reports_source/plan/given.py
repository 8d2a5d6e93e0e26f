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
from .intervals import ONE_SECOND, Span, lacks_end
from .lanes import FromFiles, Lane, LoadedBefore, plan_lanes
from .loaded_cells import NO_KEYS, not_listed
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


@dataclass(frozen=True)
class GivenLane:
    """A lane whose cells are to be loaded.

    Args:
        lane: the lane.
        files: that there are of its cells, by interval key.
        older: interval keys of cells whose files are not loaded, as newer data is loaded of them or beside them.
    """

    lane: Lane
    files: Mapping[str, FetchedFile]
    older: frozenset[str] = NO_KEYS


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

    Cells that are loaded from data as new are left out. Of all others there is a file, or the cell cannot be loaded.

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
    outdated = False
    if fitting:
        given = fitting[0].cell.offered
        outdated = is_outdated(given, offered)
        offered = _with_types_of(offered, given)
    beside = _Beside(loaded, fitting, stored, outdated)
    loaded = replace(loaded, files=FromFiles(outdated, beside.needed))
    planned = plan_lanes(report, settings, offered, load_catalog(), loaded, window, exact)
    return [beside.with_files(lane, only_given=exact is not None) for lane in planned]


def is_outdated(given: OfferedType, offered: OfferedTypes) -> bool:
    """True where Stripe has newer data than files are from, or does not say.

    Args:
        given: the report type as of the files.
        offered: the report types that Stripe offers now.
    """
    now = next((each for each in offered if each.id == given.id), None)
    return now is None or given.updated < now.updated


class _Beside:
    """Files of a report beside what is loaded of it.

    Args:
        loaded: what is loaded already.
        files: of the report, all from the same data.
        stored: the run of each stored cell, by interval key.
        outdated: Stripe has newer data than the files are from.
    """

    def __init__(
        self, loaded: LoadedBefore, files: Sequence[FetchedFile], stored: Mapping[str, StoredRun], outdated: bool
    ) -> None:
        self._loaded = loaded
        self._stored = stored
        self._outdated = outdated
        self._files: dict[str, list[FetchedFile]] = defaultdict(list)
        for file in files:
            self._files[file.cell.interval_key].append(file)

    def needed(self, key: str, requests: Sequence[CellRequest]) -> list[CellRequest]:
        """The cells of a lane without those that are loaded already, whole, from data as new as the files are from."""
        known = self._loaded.lanes.get(key)
        if self._crossed(key, known):
            return [*requests]  # the ledger does not tell which rows are stored
        ledger = self._loaded.ledger
        current = [request for request in requests if self._is_current(request, known)]
        # one whose load was killed is stored perhaps, and is planned again
        left_out = {request.key for request in current} - {request.key for request in not_listed(current, ledger)}
        unknown = {request.key for request in current if request.key in left_out and not self._is_known(request, known)}
        if unknown:
            # another pipeline has loaded them, if the table still has their rows
            left_out -= unknown - ledger.runs_of(unknown).keys()
        return [request for request in requests if request.key not in left_out]

    def with_files(self, lane: Lane, *, only_given: bool) -> GivenLane:
        """The lane with the files of its cells, without payouts that Stripe has no report of.

        With `only_given`, cells without a file are left out.
        """
        found = {request.key: file for request in lane.cells if (file := self._file_of(request)) is not None}
        refused = {key for key, file in found.items() if file.refused is not None}
        older = self._older(lane, found) if self._outdated else NO_KEYS
        there = {key: file for key, file in found.items() if key not in refused and key not in older}
        cells = [
            request for request in lane.cells if request.key in there or (request.key not in refused and not only_given)
        ]
        return GivenLane(replace(lane, cells=tuple(cells)), there, older)

    def _older(self, lane: Lane, found: Mapping[str, FetchedFile]) -> frozenset[str]:
        """Of the cells that files were found for those of which, or beside which, newer data is loaded."""
        known = self._loaded.lanes.get(lane.key)
        loaded = known.loaded if known else None
        newer = [key for key, file in found.items() if (run := self._stored.get(key)) and run.is_newer(file)]
        listed = self._loaded.ledger.listed(newer) if newer else {}
        return frozenset(
            request.key
            for request in lane.cells
            if request.key in listed or (request.key in found and lacks_end(request.cell, loaded))
        )

    def _is_current(self, request: CellRequest, known: LaneState | None) -> bool:
        """True for a cell that is stored as far as it goes, from data as new as it is asked for."""
        stored = self._stored.get(request.key)
        if stored is None or stored.created is None or stored.interval_end is None or request.report.keys:
            return False
        if stored.interval_end < request.cell.span.end - ONE_SECOND:
            return False
        if self._is_known(request, known):
            return stored.created >= request.report.offered.updated
        file = self._file_of(request)
        return file is not None and file.refused is None and stored.is_newer(file)

    def _is_known(self, request: CellRequest, known: LaneState | None) -> bool:
        """True for a stored cell that this pipeline has loaded, as far as its state tells."""
        stored = self._stored.get(request.key)
        if known is None or stored is None or stored.interval_end is None:
            return False
        return known.loaded.covers(replace(request.cell.span, end=stored.interval_end))

    def _crossed(self, key: str, known: LaneState | None) -> bool:
        return known is not None and self._loaded.replaced_since(key, known.forks) is not None

    def _file_of(self, request: CellRequest) -> FetchedFile | None:
        """Of the files of a cell the one that was fetched as the cell is asked for now."""
        report, offered = request.report, request.report.offered
        asked = (request.cell.span, offered.available, offered.livemode, parameters_digest(report))
        for file in self._files.get(request.key, ()):
            cell = file.cell
            if asked == (cell.span, cell.offered.available, cell.livemode, cell.parameters_digest):
                return file
        return None


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
