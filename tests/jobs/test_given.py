"""Which files are loaded, whatever was planned, fetched and loaded before: no gap, nothing older, and an end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stripe_reports_source import FetchedFile, PlannedCell, Report
from stripe_reports_source.plan.given import StoredRun, given_lanes, is_outdated
from stripe_reports_source.plan.intervals import Span, next_on_grid
from stripe_reports_source.plan.lanes import LoadedBefore
from stripe_reports_source.plan.manifest import text_of
from stripe_reports_source.plan.planned import planned_cell
from stripe_reports_source.plan.state import LaneState, Synced, with_loaded_cell
from stripe_reports_source.plan.stripe_objects import OfferedTypes
from tests.unit.planning import PAYOUTS, Planned, offer, span
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
    crossed: datetime | None = None
    """From where on two syncs have crossed."""
    read: dict[str, datetime] = field(default_factory=dict)
    """Up to when Stripe had data when each run was made."""

    @property
    def offered(self) -> OfferedTypes:
        """What Stripe offers now."""
        return offer(Span(START, START + timedelta(days=self.days)), PAYOUTS)

    def plan(self) -> list[PlannedCell]:
        """What is to be loaded now."""
        lanes = self.pipeline.plan(self.offered, replaced_since=self.crossed)
        return [planned_cell(request, lane, again=False) for lane in lanes for request in lane.cells]

    def fetch(self, cells: Iterable[PlannedCell]) -> list[FetchedFile]:
        """Fetch cells, whenever they were planned."""
        return [self._file(cell) for cell in cells]

    def plan_days(self, window: Span) -> list[PlannedCell]:
        """The cells of a window."""
        lanes = self.another_window.plan(self.offered, window)
        return [planned_cell(request, lane, again=False) for lane in lanes for request in lane.cells]

    @property
    def another_window(self) -> Planned:
        """The pipeline with a source that takes what Stripe has of a window."""
        return self.pipeline.under(replace(self.pipeline.settings, allow_partial=True))

    def load(self, files: Iterable[FetchedFile], window: Span | None = None) -> list[str]:
        """Load files, of a window where one is given. Returns the keys of cells that are missing."""
        state = self.pipeline.lanes
        loaded = LoadedBefore(
            lanes=state,
            columns={},
            cursor=state.cursors(list(state)).common,
            replaced_since=lambda lane, forks: self.crossed,
            payouts=lambda report, label, window: (),
            ledger=self.pipeline.ledger,
        )
        own = self.another_window.settings
        missing = []
        for each in given_lanes(REPORT, own, self.offered, loaded, window, None, files, self.stored):
            lane, found = each.lane, each.files
            if lane.noted is not None:
                assert lane.noted.taken_back_to is None
                state.put(lane.key, lane.noted)
            for number, request in enumerate(lane.cells, 1):
                if request.key not in found:
                    missing += [each.key for each in lane.cells[number - 1 :]]
                    break
                file = found[request.key]
                reach = lane.reaches.get(request.key)
                last = number == len(lane.cells)
                synced = None
                if window is None and request.key not in lane.gaps:
                    synced = Synced((), last=last, reach=reach)
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
        reached, month = START, date(2025, 1, 1)
        while reached < state.cursor:
            [end] = [run.interval_end for key, run in self.stored.items() if key.endswith(month.isoformat())]
            assert end is not None
            reached, month = end, next_on_grid(month, "month")

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


STEPS = st.sampled_from(["advance", "plan", "plan days", "fetch", "fetch some", "load", "load some", "load days"])
MONTHS = st.sampled_from([span(f"2025-{month:02}-01", f"2025-{month + 1:02}-01") for month in range(1, 9)])


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
        elif step == "plan days":
            planned += _plan_days(desk, data.draw(MONTHS))
        elif step == "load days":
            _load_days(desk, data.draw(MONTHS), _some(data, files))
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


def _plan_days(desk: Desk, month: Span) -> list[PlannedCell]:
    """The cell of a month, if Stripe has anything of it."""
    return [] if month.start >= START + timedelta(days=desk.days) else desk.plan_days(month)


def _load_days(desk: Desk, month: Span, files: Iterable[FetchedFile]) -> None:
    """Load the files of a month alone: it is stored then, or missing."""
    of_month = [file for file in files if month.covers(file.span)]
    if of_month:
        missing = desk.load(of_month, month)
        assert {file.cell.interval_key for file in of_month} <= {*missing, *desk.stored}


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


JANUARY, MARCH, APRIL = (span(f"2025-0{month}-01", f"2025-0{month + 1}-01") for month in (1, 3, 4))


def test_a_month_whose_file_is_older_than_another_month_is_loaded() -> None:
    """Stripe has refreshed its data between the two; neither hides the other."""
    desk = Desk(days=60)
    january = desk.fetch(desk.plan_days(JANUARY))
    desk.days += 1
    assert desk.load(desk.fetch(desk.plan_days(MARCH)), MARCH) == []
    assert desk.load(january, JANUARY) == []
    assert {key[-10:] for key in desk.stored} == {"2025-01-01", "2025-03-01"}


def test_older_files_of_a_sync_are_loaded_beside_days_of_newer_data() -> None:
    desk = Desk(days=60)
    old = desk.fetch(desk.plan())
    desk.days += 1
    assert desk.load(desk.fetch(desk.plan_days(MARCH)), MARCH) == []
    newer = dict(desk.stored)
    assert desk.load(old) == []
    assert len(desk.stored) == 3
    assert newer.items() <= desk.stored.items()
    assert desk.plan() == []


def test_an_older_file_that_lacks_the_end_of_its_month_is_refused() -> None:
    """March is not stored, and what is stored after it says that it is over."""
    desk = Desk(days=60)
    march = desk.fetch(desk.plan_days(MARCH))
    desk.days += 40
    february = span("2025-02-01", "2025-03-01")
    for month in (APRIL, february):
        assert desk.load(desk.fetch(desk.plan_days(month)), month) == []
    assert desk.load(march, MARCH) == [march[0].cell.interval_key]
    assert desk.load(desk.fetch(desk.plan_days(MARCH)), MARCH) == []


@pytest.mark.parametrize("crossed", [False, True])
def test_an_older_file_does_not_replace_what_another_pipeline_has_loaded(crossed: bool) -> None:
    """Whether this one knows nothing of the lane, or has to load it again as two syncs have crossed."""
    desk = Desk(days=60)
    old = desk.fetch(desk.plan())
    desk.days += 1
    assert desk.load(desk.fetch(desk.plan())) == []
    before = dict(desk.stored)
    if crossed:
        desk.crossed = START
        assert desk.load(old) == [file.cell.interval_key for file in old]
        assert desk.load(desk.fetch(desk.plan())) == []
        return
    desk.pipeline = desk.pipeline.another()
    assert desk.load(old[:1], JANUARY) == []
    assert desk.load(old) == []
    assert desk.stored == before


def test_an_older_file_is_loaded_where_the_table_has_lost_the_newer_rows() -> None:
    desk = Desk(days=60)
    old = desk.fetch(desk.plan())
    desk.days += 1
    assert desk.load(desk.fetch(desk.plan())) == []
    desk.pipeline = replace(desk.pipeline.another(), listed={}, held={})
    desk.stored.clear()
    assert desk.load(old) == []
    assert len(desk.stored) == 3


def test_files_are_outdated_once_stripe_has_newer_data_or_offers_the_report_no_more() -> None:
    older, newer = (offer(Span(START, START + timedelta(days=days)), PAYOUTS) for days in (40, 43))
    [given_type] = older
    assert not is_outdated(given_type, older)
    assert is_outdated(given_type, newer)
    assert is_outdated(given_type, OfferedTypes(()))
