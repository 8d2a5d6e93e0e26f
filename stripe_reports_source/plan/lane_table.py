"""The lanes of a report per connected account: rows of `report_lanes`, as there may be any number of them. Pure.

In: rows that the destination holds. Out: states of lanes, and rows for those that have changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass

from .intervals import Span
from .state import LaneState
from .system_tables import LaneRow


@dataclass(frozen=True, slots=True)
class KeptLane:
    """A lane as it is kept: its state, and the load package up to which `report_cells` lists its cells."""

    state: LaneState
    listed: str | None


class LaneTable:
    """The lanes of one report, in the order in which they came.

    Args:
        kept: as the destination has them.
    """

    def __init__(self, kept: Mapping[str, KeptLane]) -> None:
        self._states = {lane: each.state for lane, each in kept.items()}
        self._changed: dict[str, None] = {}
        listed = {lane: each.listed for lane, each in kept.items() if each.listed is not None}
        self.listed: MutableMapping[str, str] = _Listed(listed, self._changed)
        """The load package up to which `report_cells` lists the cells of each lane."""

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def get(self, lane: str) -> LaneState | None:
        """The state of a lane, None if nothing of it is loaded."""
        return self._states.get(lane)

    def put(self, lane: str, state: LaneState) -> None:
        """Keep the state of a lane; it goes with the load package."""
        self._states[lane] = state
        self._changed[lane] = None

    def take_rows(self, pipeline: str, table: str) -> list[LaneRow]:
        """The rows of the lanes that have changed since this was last asked for."""
        changed = [lane for lane in self._changed if lane in self._states]
        self._changed.clear()
        return [lane_row(pipeline, table, lane, self._states[lane], self.listed.get(lane)) for lane in changed]


class _Listed(dict[str, str]):
    """Packages by lane; a lane that gets another one has changed."""

    def __init__(self, listed: Mapping[str, str], changed: dict[str, None]) -> None:
        super().__init__(listed)
        self._changed = changed

    def __setitem__(self, lane: str, package: str) -> None:
        if self.get(lane) != package:
            self._changed[lane] = None
        super().__setitem__(lane, package)


def lane_row(pipeline: str, table: str, lane: str, state: LaneState, listed: str | None) -> LaneRow:
    """A lane as a row."""
    return LaneRow(
        pipeline_name=pipeline,
        table_name=table,
        account=lane,
        report_type=state.report_type,
        grid=state.grid,
        loaded_from=state.loaded.start,
        loaded_to=state.loaded.end,
        synced_to=state.cursor,
        complete_to=state.complete_to,
        complete_as_of=state.complete_as_of,
        taken_back_to=state.taken_back_to,
        livemode=state.livemode,
        package=state.package,
        package_from=state.package_from,
        listed_package=listed,
        forks=json.dumps(state.forks) if state.forks else None,
    )


def kept_lane(row: LaneRow) -> KeptLane:
    """A row as a lane."""
    state = LaneState(
        loaded=Span(row.loaded_from, row.loaded_to),
        grid=row.grid,
        report_type=row.report_type,
        package=row.package,
        package_from=row.package_from,
        cursor=row.synced_to,
        forks=tuple(json.loads(row.forks)) if row.forks else (),
        complete_to=row.complete_to,
        complete_as_of=row.complete_as_of,
        livemode=row.livemode,
        taken_back_to=row.taken_back_to,
    )
    return KeptLane(state, row.listed_package)
