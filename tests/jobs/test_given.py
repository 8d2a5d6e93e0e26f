"""Which files are loaded, whatever was planned, fetched and loaded before: no gap, nothing older, and an end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stripe_reports_source import FetchedFile, PlannedCell, Report
from stripe_reports_source.plan.given import StoredRun, given_lanes, is_outdated
from stripe_reports_source.plan.intervals import Span
from stripe_reports_source.plan.lanes import LoadedBefore
from stripe_reports_source.plan.manifest import text_of
from stripe_reports_source.plan.planned import planned_cell
from stripe_reports_source.plan.state import LaneState, Synced, with_loaded_cell
from stripe_reports_source.plan.stripe_objects import OfferedTypes
from tests.unit.planning import PAYOUTS, Planned, offer
from tests.unit.planning import settings as settings_of

START = datetime.fromisoformat("2025-01-10T00:00:00+00:00")
REPORT = Report("payouts.itemized")
Thing = TypeVar("Thing")


@dataclass
class Desk:
    """A pipeline on paper that is loaded from files, as Stripe's data goes on."""

    days: int = 40
    ticks: int = 0
    pipeline: Planned = field(default_factory=lambda: Planned(settings_of(REPORT, lookback_days=3)))
    stored: dict[str, StoredRun] = field(default_factory=dict)
    read: dict[str, datetime] = field(default_factory=dict)
    """Up to when Stripe had data when each run was made."""

    @property
    def offered(self) -> OfferedTypes:
        """What Stripe offers now."""
        return offer(Span(START, START + timedelta(days=self.days)), PAYOUTS)

    def plan(self) -> list[PlannedCell]:
        """What is to be loaded now."""
        lanes = self.pipeline.plan(self.offered)
        return [planned_cell(request, lane, again=False) for lane in lanes for request in lane.cells]

    def fetch(self, cells: Iterable[PlannedCell]) -> list[FetchedFile]:
        """Fetch cells, whenever they were planned."""
        return [self._file(cell) for cell in cells]

    def load(self, files: Iterable[FetchedFile]) -> list[str]:
        """Load files. Returns the keys of cells that are missing."""
        state = self.pipeline.lanes
        loaded = LoadedBefore(
            lanes=state,
            column_types={},
            cursor=state.cursors(list(state)).common,
            replaced_since=lambda lane, forks: None,
            payouts=lambda report, label, window: (),
            ledger=self.pipeline.ledger,
        )
        own = self.pipeline.settings
        missing = []
        for lane, found in given_lanes(REPORT, own, self.offered, loaded, None, None, files, self.stored):
            assert lane.noted is None
            for number, request in enumerate(lane.cells, 1):
                if request.key not in found:
                    missing += [each.key for each in lane.cells[number - 1 :]]
                    break
                file = found[request.key]
                reach = lane.reaches.get(request.key)
                last = number == len(lane.cells)
                synced = None if request.key in lane.gaps else Synced((), last=last, reach=reach)
                known = state.get(lane.key)
                state.put(lane.key, with_loaded_cell(known, request, file.span, None, synced))
                before = self.stored.get(request.key)
                if before is not None and before.interval_end == file.span.end:
                    assert self.read[before.run_id] <= self.read[file.run_id]
                self.pipeline.note(request)
                self.stored[request.key] = StoredRun(file.run_id, file.obtained.run.created, file.span.end)
        self._check(state.get("default"))
        return missing

    def _check(self, state: LaneState | None) -> None:
        """What lies before the cursor is stored, without a gap."""
        if state is None or state.cursor is None:
            return
        reached = START
        for key in sorted(self.stored):
            end = self.stored[key].interval_end
            assert end is not None
            reached = max(reached, end)
        assert reached >= state.cursor
        months = [key.rpartition("|")[2][:7] for key in sorted(self.stored)]
        first, last = months[0], months[-1]
        assert first == "2025-01"
        assert len(months) == (int(last[:4]) - 2025) * 12 + int(last[5:])

    def _file(self, cell: PlannedCell) -> FetchedFile:
        self.ticks += 1
        [offered] = self.offered
        self.read[f"frr_{self.ticks}"] = offered.available.end
        return FetchedFile(
            cell=cell,
            url="",
            refused=None,
            sha256="0" * 64,
            run_id=f"frr_{self.ticks}",
            run_created=text_of(offered.updated + timedelta(minutes=self.ticks)),
            interval_start=cell.interval_start,
            interval_end=cell.interval_end,
        )


STEPS = st.sampled_from(["advance", "plan", "fetch", "fetch some", "load", "load some"])


@settings(max_examples=300)
@given(st.data())
def test_whatever_is_fetched_and_loaded_there_is_no_gap_and_nothing_older(data: st.DataObject) -> None:
    desk = Desk()
    planned: list[PlannedCell] = []
    files: list[FetchedFile] = []
    for step in data.draw(st.lists(STEPS, min_size=5, max_size=20)):
        if step == "advance":
            desk.days += data.draw(st.integers(1, 40))
        elif step == "plan":
            planned += desk.plan()
        elif step.startswith("fetch"):
            files += desk.fetch(planned if step == "fetch" else _some(data, planned))
        else:
            desk.load(files if step == "load" else _some(data, files))
    last = desk.plan()
    assert desk.load(desk.fetch(last)) == []
    state = desk.pipeline.lanes.get("default")
    assert state is not None
    assert state.loaded == Span(START, START + timedelta(days=desk.days))
    assert state.cursor == state.complete_to == state.loaded.end
    assert {desk.read[desk.stored[cell.interval_key].run_id] for cell in last} <= {state.loaded.end}
    assert desk.plan() == []
    before = dict(desk.stored)
    assert desk.load(files) == []
    assert desk.stored == before


def _some(data: st.DataObject, things: list[Thing]) -> list[Thing]:
    """Some of them, in any order."""
    return data.draw(st.lists(st.sampled_from(things), unique=True)) if things else []


def test_what_was_missing_alone_is_enough() -> None:
    desk = Desk(days=80)
    files = desk.fetch(desk.plan())
    assert len(desk.load(files[:1])) == len(files) - 1
    assert desk.load(files[1:]) == []


def test_the_older_files_of_a_later_call_are_not_missing() -> None:
    """Also where Stripe has newer data again, of which nothing was given."""
    desk = Desk(days=80)
    old = desk.fetch(desk.plan())
    desk.days += 5
    assert desk.load(desk.fetch(desk.plan())) == []
    before = desk.pipeline.lanes.get("default")
    for _ in range(2):
        assert desk.load(old) == []
        assert desk.pipeline.lanes.get("default") == before
        desk.days += 5


def test_a_cell_whose_load_was_killed_is_loaded_again() -> None:
    """Its rows and its line in the ledger may be there; the load package is not."""
    desk = Desk(days=80)
    assert desk.load(desk.fetch(desk.plan())) == []
    first = min(desk.stored)
    desk.pipeline.listed[first] = replace(desk.pipeline.listed[first], load_ended=False)
    [planned] = desk.plan()
    assert planned.interval_key == first
    assert desk.load(desk.fetch([planned])) == []
    assert desk.plan() == []


def test_a_file_that_was_fetched_late_is_of_the_data_it_was_planned_for() -> None:
    """Its run is newer than that of a file which was planned later."""
    desk = Desk(days=80)
    early = desk.plan()
    desk.days += 5
    files = desk.fetch(desk.plan())
    files += desk.fetch(early)
    assert desk.load(files) == []
    assert desk.plan() == []


@pytest.mark.parametrize(
    ("complete", "end", "outdated"),
    [(0, 0, False), (1, 0, True), (None, 2, True), (None, 0, False), (0, 2, True)],
)
def test_a_lane_that_is_newer_than_files(complete: int | None, end: int, outdated: bool) -> None:
    """`complete` and `end` are days after the files' data."""
    [given_type] = offer(Span(START, START + timedelta(days=40)), PAYOUTS)
    [now] = offer(Span(START, START + timedelta(days=43)), PAYOUTS)
    until = given_type.available.end + timedelta(days=end)
    as_of = None if complete is None else given_type.updated + timedelta(days=complete)
    state = LaneState(Span(START, until), "", PAYOUTS, None, START, complete_as_of=as_of)
    assert is_outdated(state, given_type, now) is outdated
    assert not is_outdated(None, given_type, now)
