"""What the next sync must know of a lane: `LaneState`, and its form in dlt's state. Pure.

In: the dictionaries that dlt keeps for a resource, of this or an older version of the package. Out: typed values, and
dictionaries again. No other module knows a key of them.

dlt keeps them under the resource, as `{"lanes": {lane key: {...}}}`; instants are datetimes there. Lanes of connected
accounts, of which there may be any number, are rows of `report_lanes` instead (`plan.lane_table`); dlt's state has
`{"report_lanes": {"since": ..., "package": ...}}` for them: the first load package whose rows count, and the last one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from .cells import CellRequest
from .credentials import connected_in
from .intervals import Span
from .stripe_objects import OfferedType

VERSION = 2
"""Of the form below. Version 1 had no `version`, `complete_as_of`, `livemode`, `taken_back_to`; both read alike."""
_LANES = "lanes"
_IN_TABLE = "report_lanes"


@dataclass(frozen=True, slots=True)
class LaneState:
    """How far a lane is loaded, and by which load package.

    Args:
        loaded: the hull of all cells that are loaded.
        grid: identity of the grid, zone and filters that the cells are cut by.
        report_type: exact id that was loaded last.
        package: the load package that last replaced cells of the lane.
        package_from: start of the first cell that this package replaced (see `warehouse.forks`).
        cursor: end of what syncs have loaded; None where only backfills have.
        forks: forks in the pipeline's history that are dealt with.
        complete_to: the availability up to which a sync has loaded all there was.
        complete_as_of: when Stripe had last refreshed that data; None where an older version did not keep it.
        livemode: whether live or test data is loaded; None where an older version did not keep it.
        taken_back_to: where Stripe's data ended after it had been announced further: what lies beyond, up to the
            loaded end, is loaded again when it returns.
    """

    loaded: Span
    grid: str
    report_type: str
    package: str | None
    package_from: datetime
    cursor: datetime | None = None
    forks: tuple[str, ...] = ()
    complete_to: datetime | None = None
    complete_as_of: datetime | None = None
    livemode: bool | None = None
    taken_back_to: datetime | None = None

    @classmethod
    def from_state(cls, data: Mapping[str, Any]) -> LaneState:
        """A lane's state from dlt's dictionary, whichever version wrote it."""
        loaded = Span(data["loaded_from"], data["loaded_to"])
        return cls(
            loaded=loaded,
            grid=data["grid"],
            report_type=data["report_type"],
            package=data.get("package"),
            package_from=data.get("package_from", loaded.start),
            cursor=data.get("cursor"),
            forks=tuple(data.get("forks", ())),
            complete_to=data.get("complete_to"),
            complete_as_of=data.get("complete_as_of"),
            livemode=data.get("livemode"),
            taken_back_to=data.get("taken_back_to"),
        )

    def to_state(self) -> dict[str, Any]:
        """The dictionary that dlt keeps."""
        optional = {
            "cursor": self.cursor,
            "complete_to": self.complete_to,
            "complete_as_of": self.complete_as_of,
            "livemode": self.livemode,
            "taken_back_to": self.taken_back_to,
        }
        return {
            "version": VERSION,
            "loaded_from": self.loaded.start,
            "loaded_to": self.loaded.end,
            "grid": self.grid,
            "report_type": self.report_type,
            "package": self.package,
            "package_from": self.package_from,
            "forks": list(self.forks),
            **{name: value for name, value in optional.items() if value is not None},
        }

    @property
    def all_loaded_to(self) -> datetime:
        """The end of what syncs have loaded; where there was none, of what backfills have."""
        return self.cursor or self.loaded.end

    def holds_all_of(self, offered: OfferedType) -> bool:
        """True if a sync has loaded all that is offered: up to the same instant, as of the same refresh of Stripe's."""
        same_refresh = self.complete_as_of in (None, offered.updated)
        return self.complete_to == offered.available.end and same_refresh

    def to_be_loaded_from(self, start: datetime) -> LaneState:
        """The state when the cells from an instant on have to be loaded again."""
        return replace(self, cursor=start if self.cursor is None else min(self.cursor, start), complete_to=None)

    def without_data_from(self, available_end: datetime) -> LaneState:
        """The state once Stripe has taken back what lies after an instant."""
        if available_end >= min(self.taken_back_to or self.loaded.end, self.loaded.end):
            return self
        return replace(self, taken_back_to=available_end, complete_to=None)


def with_loaded_cell(
    known: LaneState | None, request: CellRequest, span: Span, package: str | None, synced: Synced | None
) -> LaneState:
    """A lane's state with one more cell loaded.

    Args:
        known: the state before, None for the first cell.
        request: the cell.
        span: the interval that was asked for.
        package: the load package that holds it.
        synced: for a cell of a sync, what the cursor takes from it; None for a backfill, which moves no cursor.
    """
    report = request.report
    first = known.package_from if known and known.package == package else span.start
    reach = span.end if synced is None or synced.reach is None else max(span.end, synced.reach)
    base = known or LaneState(span, report.grid_identity, report.offered.id, package, span.start)
    state = replace(
        base,
        loaded=Span(span.start, reach).hull(base.loaded),
        grid=report.grid_identity,
        report_type=report.offered.id,
        package=package,
        package_from=min(first, span.start),
        livemode=report.offered.livemode,
        taken_back_to=_still_taken_back(base, span),
    )
    if synced is None:
        return state
    state = replace(state, cursor=reach, forks=tuple(sorted(synced.forks)))
    if not synced.last:
        return state
    return replace(state, complete_to=report.offered.available.end, complete_as_of=report.offered.updated)


@dataclass(frozen=True)
class Synced:
    """What a sync knows when a cell is loaded.

    Args:
        forks: those that it has dealt with.
        last: the lane ends here.
        reach: where cells end that follow at once and were loaded before; None if there are none.
    """

    forks: Collection[str]
    last: bool
    reach: datetime | None = None


def _still_taken_back(known: LaneState, span: Span) -> datetime | None:
    back_to = known.taken_back_to
    if back_to is None or span.start > back_to:
        return back_to
    return None if span.end >= known.loaded.end else max(back_to, span.end)


class LaneKeeper(Protocol):
    """Keeps lanes of connected accounts outside of dlt's state."""

    def __iter__(self) -> Iterator[str]: ...

    def get(self, lane: str) -> LaneState | None:
        """The state of a lane, None if it is not kept here."""
        ...

    def put(self, lane: str, state: LaneState) -> None:
        """Keep the state of a lane."""
        ...


class LaneStates:
    """The lanes of a report's resource, read from and written to dlt's state of that resource.

    Args:
        resource_state: dlt's; None outside a pipeline.
        table: has the lanes of connected accounts that are not there.
        package: the load package that brings rows of `table`; None keeps those lanes in dlt's state, too.
        label: the `_account` value, with which the names of lanes of connected accounts begin.
    """

    def __init__(
        self,
        resource_state: MutableMapping[str, Any] | None = None,
        table: LaneKeeper | None = None,
        package: str | None = None,
        label: str = "",
    ) -> None:
        self._label = label
        self._state: MutableMapping[str, Any] = {} if resource_state is None else resource_state
        self._lanes: MutableMapping[str, Any] = self._state.setdefault(_LANES, {})
        self._table = table
        self._package = package
        if table is not None and package is not None:
            for lane in [lane for lane in self._lanes if connected_in(lane, label)]:
                self.put(lane, LaneState.from_state(self._lanes[lane]))

    def __iter__(self) -> Iterator[str]:
        yield from self._lanes
        yield from (lane for lane in self._table or () if lane not in self._lanes)

    def get(self, lane: str) -> LaneState | None:
        """The state of a lane, None if nothing of it is loaded."""
        data = self._lanes.get(lane)
        if data:
            return LaneState.from_state(data)
        return None if self._table is None else self._table.get(lane)

    def put(self, lane: str, state: LaneState) -> None:
        """Keep the state of a lane; dlt commits it with the rows."""
        if self._table is None or self._package is None or not connected_in(lane, self._label):
            self._lanes[lane] = state.to_state()
            return
        self._lanes.pop(lane, None)
        self._table.put(lane, state)
        # the last package makes each state of dlt's another one, which shows where two loads have crossed
        self._state.setdefault(_IN_TABLE, {"since": self._package})["package"] = self._package

    def cursors(self, lanes: Collection[str]) -> Cursors:
        """How far these lanes are loaded."""
        return Cursors({lane: state.cursor if (state := self.get(lane)) else None for lane in lanes})


class Cursors:
    """How far some lanes are loaded, counted so that moving one costs the same for any number of lanes."""

    def __init__(self, cursors: Mapping[str, datetime | None]) -> None:
        self._of_lane = dict(cursors)
        self._lanes_at = Counter(self._of_lane.values())

    def moved(self, lane: str, cursor: datetime | None) -> None:
        """Note that a lane is loaded up to an instant; None while nothing of it is."""
        before = self._of_lane[lane]
        self._of_lane[lane] = cursor
        self._lanes_at[cursor] += 1
        self._lanes_at[before] -= 1
        if not self._lanes_at[before]:
            del self._lanes_at[before]

    @property
    def common(self) -> datetime | None:
        """The end of what is loaded of every one of the lanes; None while one has nothing."""
        return None if self._lanes_at[None] else min((at for at in self._lanes_at if at is not None), default=None)


def since_of(resource_state: Mapping[str, Any]) -> str | None:
    """The first load package whose rows of `report_lanes` count for a resource; None if none do."""
    since = resource_state.get(_IN_TABLE, {}).get("since")
    return None if since is None else str(since)


def lanes_in(pipeline_state: Mapping[str, Any], source: str) -> dict[str, dict[str, LaneState]]:
    """The lanes of all resources of a source, by resource and lane, from a whole pipeline's state."""
    resources = pipeline_state.get("sources", {}).get(source, {}).get("resources", {})
    return {
        resource: {lane: LaneState.from_state(data) for lane, data in kept[_LANES].items()}
        for resource, kept in resources.items()
        if kept.get(_LANES)
    }
