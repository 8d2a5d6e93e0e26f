"""Which cells are loaded already, whoever has loaded them: what a sync need not load, and what it lacks. Pure.

In: cells that a sync would load, and what the ledger says. Out: those that it has to load, and how far each takes it.

A cell counts as loaded only where a sync with the same settings would not load it again: the ledger and the table
agree on it, it was run with the same parameters, it goes as far as Stripe's data does, and that data was complete
`lookback_days` beyond it, or is what Stripe has now.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from .cells import CellRequest
from .intervals import ONE_SECOND, Grid, Span, count_on_grid, day_of, floor_to_grid, start_of_day
from .resolve import ResolvedReport
from .run_parameters import INTERVAL, canonical
from .state import LaneState

logger = logging.getLogger(__name__)

NO_KEYS: frozenset[str] = frozenset()
"""Of no cell: Python makes each empty set anew, and there is one for each account."""
NO_REACHES: Mapping[str, datetime] = {}
"""The same of where cells end."""


@dataclass(frozen=True, slots=True)
class ListedCell:
    """A cell as `report_cells` lists it.

    Args:
        report_type: exact id.
        interval_start: true start; None for a report of an instant.
        interval_end: true end.
        available_end: up to when Stripe had data for the run; None where that is not known.
        load_ended: the load package that listed it is loaded whole; None where nothing tells.
        load_id: that load package.
        whole_end: where the cell ends on the calendar; None where that is not known.
    """

    report_type: str
    interval_start: datetime | None
    interval_end: datetime | None
    available_end: datetime | None
    load_ended: bool | None
    load_id: str | None = None
    whole_end: datetime | None = None

    @property
    def cut(self) -> bool:
        """True if it is not loaded to its end on the calendar."""
        return self.interval_end is not None and self.whole_end is not None and self.interval_end < self.whole_end


@dataclass(frozen=True, slots=True)
class HeldRun:
    """The run whose rows a table holds of a cell.

    Args:
        created: when it was made.
        parameters: all of them, as JSON.
        livemode: False for test data; None where the ledger does not say.
    """

    created: datetime
    parameters: str
    livemode: bool | None


@dataclass(frozen=True)
class Stretch:
    """The listed cells of a lane.

    Args:
        cells: how many are listed by load packages that are loaded whole.
        first_day, last_day: of all.
        first_cut: the day of the first one that is not loaded to its end; None where all are.
    """

    cells: int
    first_day: date
    last_day: date
    first_cut: date | None = None


class Ledger(Protocol):
    """What the ledger says of the cells of a table and account. Read when it is first asked."""

    @property
    def packages(self) -> Mapping[str, str]:
        """The load package up to which the cells of each lane are listed."""
        ...

    @property
    def cells(self) -> Mapping[str, ListedCell]:
        """All listed cells, by interval key."""
        ...

    def listed(self, keys: Collection[str]) -> Mapping[str, ListedCell]:
        """Those of these cells that are listed, by interval key."""
        ...

    def stretch(self, prefix: str) -> Stretch | None:
        """The listed cells of the lane whose interval keys begin so; None where there are none."""
        ...

    def runs_of(self, keys: Collection[str]) -> Mapping[str, HeldRun]:
        """The run of each of these listed cells of which the table holds just the rows of its file, by interval key."""
        ...


@dataclass(frozen=True)
class Listed:
    """A ledger in memory; empty, it is that of a table that nothing is known of."""

    packages: Mapping[str, str] = field(default_factory=dict)
    cells: Mapping[str, ListedCell] = field(default_factory=dict)
    held: Mapping[str, HeldRun] = field(default_factory=dict)

    def listed(self, keys: Collection[str]) -> Mapping[str, ListedCell]:
        """See `Ledger`."""
        return {key: self.cells[key] for key in keys if key in self.cells}

    def stretch(self, prefix: str) -> Stretch | None:
        """See `Ledger`."""
        days = {
            date.fromisoformat(key.removeprefix(prefix)): cell
            for key, cell in self.cells.items()
            if key.startswith(prefix)
        }
        whole = sum(bool(cell.load_ended) for cell in days.values())
        first_cut = min((day for day, cell in days.items() if cell.cut), default=None)
        return Stretch(whole, min(days), max(days), first_cut) if days else None

    def runs_of(self, keys: Collection[str]) -> Mapping[str, HeldRun]:
        """See `Ledger`."""
        return {key: run for key, run in self.held.items() if key in keys}


@dataclass(frozen=True, slots=True)
class ToLoad:
    """What a sync has to load of a stretch of cells.

    Args:
        cells: those that are not loaded, or not with Stripe's data.
        before: the stretch of loaded ones that comes before the first of them; None if there is none.
        reaches: where the loaded ones end that follow a cell at once, by its interval key.
        already: interval keys of the loaded ones.
    """

    cells: tuple[CellRequest, ...]
    before: Span | None
    reaches: Mapping[str, datetime]
    already: frozenset[str]


def to_load(requests: Sequence[CellRequest], ledger: Ledger, limited_from: datetime | None = None) -> ToLoad:
    """Leave out the cells that are loaded already; `requests` join one another.

    Args:
        requests: the cells that a sync would load.
        ledger: what is listed.
        limited_from: the cursor of a sync with a limit, which comes to it before what only the user's own steps might
            make anew of the same data: a sync would read that again each time, and get no further.
    """
    already = loaded_already(requests, ledger)
    if limited_from is not None:
        already |= _unchanged([each for each in requests if each.cell.span.end <= limited_from], ledger)
    left: list[CellRequest] = []
    reaches: dict[str, datetime] = {}
    for request in requests:
        if request.key not in already:
            left.append(request)
        elif left:
            reaches[left[-1].key] = request.cell.span.end
    before = None
    if requests and requests[0].key in already:
        end = left[0].cell.span.start if left else requests[-1].cell.span.end
        before = Span(requests[0].cell.span.start, end)
    return ToLoad(tuple(left), before, reaches or NO_REACHES, already)


def with_cells_of_others(known: LaneState | None, resolved: ResolvedReport, found: ToLoad) -> LaneState | None:
    """A lane's state with the loaded cells that come before the first that a sync has to load."""
    if found.before is None:
        return known
    offered, before = resolved.offered, found.before
    state = known or LaneState(
        before, resolved.grid_identity, offered.id, None, before.start, livemode=offered.livemode
    )
    cursor = before.end if state.cursor is None else max(state.cursor, before.end)
    state = replace(state, loaded=before.hull(state.loaded), cursor=cursor)
    if found.cells or before.end < offered.available.end - ONE_SECOND:
        return state
    return replace(state, complete_to=offered.available.end, complete_as_of=offered.updated)


def not_listed(requests: Sequence[CellRequest], ledger: Ledger) -> list[CellRequest]:
    """The cells that the ledger does not list as far as they go, or that a load has listed which has not ended."""
    listed = ledger.listed([request.key for request in requests]) if requests else {}
    return [
        request
        for request in requests
        if (cell := listed.get(request.key)) is None
        or cell.load_ended is False
        or (cell.interval_end is not None and cell.interval_end < request.cell.span.end - ONE_SECOND)
    ]


def lists_each(requests: Sequence[CellRequest], ledger: Ledger) -> bool:
    """True if the ledger lists each of the cells from its start on, as far as it goes."""
    listed = ledger.listed([request.key for request in requests])
    begun = all(
        (cell := listed.get(request.key)) is not None
        and (cell.interval_start is None or cell.interval_start <= request.cell.span.start)
        for request in requests
    )
    return begun and not not_listed(requests, ledger)


def lists_all(stretch: Stretch | None, window: Span, grid: Grid, zone: ZoneInfo) -> bool:
    """True if a lane lists all cells of a window, whole; False also where only a look at each of them tells.

    The last one may be cut, as the window may cut it.
    """
    if window.empty:
        return True
    if stretch is None:
        return False
    first, last = (day_of(at, zone) for at in (window.start, window.end - ONE_SECOND))
    around = stretch.first_day <= first and floor_to_grid(last, grid) <= stretch.last_day
    cut = stretch.first_cut is not None and stretch.first_cut < floor_to_grid(day_of(window.end, zone), grid)
    return around and not cut and stretch.cells == count_on_grid(stretch.first_day, stretch.last_day, grid)


def loaded_already(requests: Sequence[CellRequest], ledger: Ledger) -> frozenset[str]:
    """The interval keys of those cells that are loaded as a sync would load them now."""
    cells = ledger.listed([request.key for request in requests]) if requests else {}
    there = {
        request.key: request
        for request in requests
        if (cell := cells.get(request.key)) is not None and _goes_as_far(request, cell)
    }
    if not there:
        return NO_KEYS
    runs = ledger.runs_of(there.keys())
    return frozenset(
        key
        for key, request in there.items()
        if (run := runs.get(key)) is not None
        and _same_run(request.report, run)
        and (_is_settled(request, cells[key]) or _is_newest(request, cells[key], run))
    )


def _unchanged(requests: Sequence[CellRequest], ledger: Ledger) -> frozenset[str]:
    """The keys of the cells of which Stripe had nothing newer, or nothing that is read again, when they were listed."""
    listed = ledger.listed([request.key for request in requests]) if requests else {}
    return frozenset(
        request.key
        for request in requests
        if (cell := listed.get(request.key)) is not None
        and _goes_as_far(request, cell)
        and (_is_settled(request, cell) or cell.available_end == request.report.offered.available.end)
    )


def _goes_as_far(request: CellRequest, listed: ListedCell) -> bool:
    """True if the cell is loaded, of the same report type, as far as Stripe's data goes and not beyond."""
    report, span = request.report, request.cell.span
    if report.keys or listed.report_type != report.offered.id or not listed.load_ended:
        return False
    if listed.interval_end is None or listed.available_end is None:
        return False
    from_there = report.snapshot or (listed.interval_start is not None and listed.interval_start <= span.start)
    to_there = listed.interval_end >= span.end - ONE_SECOND
    return from_there and to_there and listed.available_end <= report.offered.available.end


def _same_run(report: ResolvedReport, run: HeldRun) -> bool:
    """True if the run was made with the parameters that one would be made with now."""
    if report.left_out and report.requested is None:
        return False  # the file had all columns, and nothing tells which of them were loaded
    parameters = {name: value for name, value in json.loads(run.parameters).items() if name not in INTERVAL}
    same = canonical(report.offered.id, parameters) == canonical(report.offered.id, report.parameters)
    return same and run.livemode == report.offered.livemode


def _is_settled(request: CellRequest, listed: ListedCell) -> bool:
    """True if a sync that came after the one that has loaded the cell would not have read it again."""
    if listed.interval_end is None or listed.available_end is None or listed.interval_end < request.cell.whole.end:
        return False
    report = request.report
    first_day = day_of(listed.available_end, report.zone) - timedelta(days=report.lookback_days)
    read_again = floor_to_grid(first_day, report.grid)
    return request.cell.whole.end <= start_of_day(read_again, report.zone)


def _is_newest(request: CellRequest, listed: ListedCell, run: HeldRun) -> bool:
    """True if Stripe has had no newer data since."""
    offered = request.report.offered
    return run.created >= offered.updated and listed.available_end == offered.available.end
