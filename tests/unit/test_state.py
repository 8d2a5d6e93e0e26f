"""What the next sync knows of a lane: kept and read alike, also as an older version has written it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source import Report
from stripe_reports_source.plan.cells import CellRequest
from stripe_reports_source.plan.intervals import Cell, Span, day_of
from stripe_reports_source.plan.state import VERSION, LaneState, LaneStates, Synced, lanes_in, with_loaded_cell
from tests.unit.planning import offer, resolved, span, utc

AVAILABLE = span("2025-01-01", "2025-04-10T12:00")
REPORT = resolved(Report("payouts.itemized"), AVAILABLE)
OLD: dict[str, Any] = {
    "loaded_from": utc("2025-01-01"),
    "loaded_to": utc("2025-03-10"),
    "grid": "payouts.itemized|month|UTC",
    "report_type": "payouts.itemized.3",
    "package": "1741600000.1",
    "package_from": utc("2025-02-01"),
    "cursor": utc("2025-03-10"),
    "forks": ["3x2"],
    "complete_to": utc("2025-03-10"),
}
instants = st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)).map(
    lambda naive: naive.replace(tzinfo=timezone.utc)
)
hulls = st.builds(
    lambda start, length: Span(start, start + length), instants, st.timedeltas(timedelta(1), timedelta(900))
)
states = st.builds(
    LaneState,
    loaded=hulls,
    grid=st.text(),
    report_type=st.text(),
    package=st.none() | st.text(),
    package_from=instants,
    cursor=st.none() | instants,
    forks=st.lists(st.text()).map(tuple),
    complete_to=st.none() | instants,
    livemode=st.none() | st.booleans(),
    taken_back_to=st.none() | instants,
)


def load(known: LaneState | None, asked: Span, *, synced: Synced | None = None, package: str | None = "p") -> LaneState:
    cell = Cell(day_of(asked.start, REPORT.zone), asked, asked)
    return with_loaded_cell(known, CellRequest(REPORT, "default", None, cell), asked, package, synced)


@given(states)
def test_what_is_kept_is_what_is_read(state: LaneState) -> None:
    kept = state.to_state()
    assert LaneState.from_state(kept) == state
    assert kept["version"] == VERSION
    assert None not in [kept.get(name, "absent") for name in ("cursor", "complete_to", "livemode", "taken_back_to")]


def test_the_form_that_is_kept() -> None:
    """Other machines and later versions read it: a change needs another VERSION and a test like the one below."""
    state = LaneState.from_state({**OLD, "livemode": False, "taken_back_to": utc("2025-03-01")})
    assert state.to_state() == {**OLD, "version": 2, "livemode": False, "taken_back_to": utc("2025-03-01")}
    assert state.loaded == span("2025-01-01", "2025-03-10")


def test_the_first_versions_state_is_read() -> None:
    state = LaneState.from_state(OLD)
    assert state == LaneState(
        loaded=span("2025-01-01", "2025-03-10"),
        grid="payouts.itemized|month|UTC",
        report_type="payouts.itemized.3",
        package="1741600000.1",
        package_from=utc("2025-02-01"),
        cursor=utc("2025-03-10"),
        forks=("3x2",),
        complete_to=utc("2025-03-10"),
        livemode=None,
        taken_back_to=None,
    )


def test_a_state_from_before_packages_were_kept_is_read() -> None:
    names = ("loaded_from", "loaded_to", "grid", "report_type")
    state = LaneState.from_state({name: OLD[name] for name in names})
    assert (state.package, state.package_from) == (None, utc("2025-01-01"))
    assert (state.forks, state.cursor, state.complete_to) == ((), None, None)


def test_a_first_cell() -> None:
    state = load(None, span("2025-01-01", "2025-02-01"), synced=Synced({"4x2", "3x2"}, last=False))
    assert state == LaneState(
        loaded=span("2025-01-01", "2025-02-01"),
        grid=REPORT.grid_identity,
        report_type=REPORT.offered.id,
        package="p",
        package_from=utc("2025-01-01"),
        cursor=utc("2025-02-01"),
        forks=("3x2", "4x2"),
        complete_to=None,
        livemode=True,
    )


def test_a_lane_is_complete_once_its_last_cell_is_loaded() -> None:
    state = load(None, span("2025-01-01", "2025-02-01"), synced=Synced((), last=False))
    assert state.complete_to is None
    state = load(state, span("2025-02-01", "2025-03-01"), synced=Synced((), last=True))
    assert (state.cursor, state.complete_to) == (utc("2025-03-01"), AVAILABLE.end)


@given(states, hulls)
def test_a_backfill_moves_no_cursor(known: LaneState, asked: Span) -> None:
    state = load(known, asked)
    assert (state.cursor, state.complete_to, state.forks) == (known.cursor, known.complete_to, known.forks)
    assert state.loaded == asked.hull(known.loaded)
    assert (state.grid, state.report_type, state.livemode) == (REPORT.grid_identity, REPORT.offered.id, True)


@given(st.lists(hulls, min_size=1))
def test_the_hull_holds_every_cell_and_no_more(loaded: list[Span]) -> None:
    state = None
    for asked in loaded:
        state = load(state, asked)
    assert state is not None
    assert state.loaded.start == min(asked.start for asked in loaded)
    assert state.loaded.end == max(asked.end for asked in loaded)


@given(st.lists(st.tuples(hulls, st.sampled_from(["a", "b", None])), min_size=1))
def test_a_package_is_kept_with_its_earliest_cell(loaded: list[tuple[Span, str | None]]) -> None:
    state = None
    of_package: list[datetime] = []
    before: str | None = None
    for asked, package in loaded:
        of_package = [*of_package, asked.start] if package == before and state else [asked.start]
        state, before = load(state, asked, package=package), package
        assert (state.package, state.package_from) == (package, min(of_package))


def test_data_that_is_taken_back_is_remembered_until_it_is_loaded_again() -> None:
    state = LaneState.from_state(OLD)
    assert state.without_data_from(utc("2025-03-10")) is state
    assert state.without_data_from(utc("2025-03-11")) is state
    state = state.without_data_from(utc("2025-02-15"))
    assert (state.taken_back_to, state.complete_to) == (utc("2025-02-15"), None)
    assert state.without_data_from(utc("2025-02-20")).taken_back_to == utc("2025-02-15")  # back in part only
    assert state.without_data_from(utc("2025-02-10")).taken_back_to == utc("2025-02-10")
    assert state.loaded == LaneState.from_state(OLD).loaded  # what is loaded stays
    later = load(state, span("2025-03-01", "2025-03-10"), synced=Synced((), last=False))
    assert later.taken_back_to == utc("2025-02-15")  # says nothing of what lies between
    state = load(state, span("2025-02-01", "2025-03-01"), synced=Synced((), last=False))
    assert state.taken_back_to == utc("2025-03-01")
    state = load(state, span("2025-01-01", "2025-02-01"), synced=Synced((), last=False))
    assert state.taken_back_to == utc("2025-03-01")
    state = load(state, span("2025-03-01", "2025-03-12"), synced=Synced((), last=True))
    assert state.taken_back_to is None


def test_cells_that_have_to_be_loaded_again() -> None:
    state = LaneState.from_state(OLD)
    again = state.to_be_loaded_from(utc("2025-02-01"))
    assert (again.cursor, again.complete_to) == (utc("2025-02-01"), None)
    assert again.to_be_loaded_from(utc("2025-03-01")).cursor == utc("2025-02-01")
    assert replace(again, cursor=state.cursor, complete_to=state.complete_to) == state
    assert replace(state, cursor=None).to_be_loaded_from(utc("2025-02-01")).cursor == utc("2025-02-01")


def test_lanes_are_kept_in_the_resources_state() -> None:
    kept: dict[str, Any] = {}
    lanes = LaneStates(kept)
    assert lanes.get("default") is None
    state = LaneState.from_state(OLD)
    lanes.put("default", state)
    assert kept == {"lanes": {"default": state.to_state()}}
    assert list(LaneStates(kept)) == ["default"]
    assert LaneStates(kept).get("default") == state
    assert LaneStates({"lanes": {"default": {}}}).get("default") is None
    unkept = LaneStates()  # outside a pipeline
    unkept.put("default", state)
    assert unkept.get("default") == state


def test_the_common_cursor_is_that_of_the_slowest_lane() -> None:
    lanes = LaneStates()
    slow = LaneState.from_state({**OLD, "cursor": utc("2025-02-01")})
    lanes.put("default/acct_1", slow)
    lanes.put("default/acct_2", LaneState.from_state(OLD))
    lanes.put("default/acct_3", replace(slow, cursor=None))
    assert lanes.cursors(["default/acct_1", "default/acct_2"]).common == utc("2025-02-01")
    assert lanes.cursors(["default/acct_2"]).common == utc("2025-03-10")
    assert lanes.cursors(["default/acct_2", "default/acct_3"]).common is None  # only backfilled
    assert lanes.cursors(["default/acct_2", "default/acct_4"]).common is None  # nothing loaded
    assert lanes.cursors([]).common is None


def test_lanes_of_a_whole_pipeline() -> None:
    kept = {"resources": {"payouts_itemized": {"lanes": {"default": OLD}, "incremental": {}}, "report_types": {}}}
    state = {"sources": {"stripe_reports": kept}}
    assert lanes_in(state, "stripe_reports") == {"payouts_itemized": {"default": LaneState.from_state(OLD)}}
    assert lanes_in(state, "another") == lanes_in({}, "stripe_reports") == {}


def test_a_lane_holds_all_only_as_of_the_same_refresh() -> None:
    asked = span("2025-01-01", "2025-02-01")
    [offered] = offer(asked, "payouts.itemized.3")
    kept = LaneState(asked, "grid", "payouts.itemized.3", "p", asked.start, complete_to=asked.end)
    assert kept.holds_all_of(offered)  # an older version did not keep the refresh
    assert replace(kept, complete_as_of=offered.updated).holds_all_of(offered)
    later = replace(offered, updated=offered.updated + timedelta(hours=1))
    assert not replace(kept, complete_as_of=offered.updated).holds_all_of(later)
    assert not replace(kept, complete_to=asked.start).holds_all_of(offered)
