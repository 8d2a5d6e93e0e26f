"""What a sync is to do, planned without dlt: nothing is skipped, dropped or doubled, whatever came before."""

from __future__ import annotations

import logging
import re
import tracemalloc
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source import ConfigurationError, Report
from stripe_reports_source.errors import NotAvailable, NotOffered
from stripe_reports_source.plan.intervals import GRIDS, Grid, Span, cells
from stripe_reports_source.plan.lanes import BEGINNING
from stripe_reports_source.plan.settings import Settings
from stripe_reports_source.plan.state import LaneState
from stripe_reports_source.plan.stripe_objects import OfferedTypes
from tests.unit.planning import Planned, offer, settings, span, spans, utc

REPORT = Report("payouts.itemized")
CONNECTED = Report("connected_account_payouts.itemized")
PER_PAYOUT = Report("payout_reconciliation.by_id.itemized")
START = utc("2025-01-01")
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]
grids = st.sampled_from(GRIDS)
zones = st.sampled_from(ZONES)
lookbacks = st.integers(0, 40)
ends = st.integers(1, 4 * 120).map(lambda quarters: START + timedelta(hours=6 * quarters))
"""Ends of availability, on quarters of a day up to the end of April."""


def up_to(end: datetime | str) -> OfferedTypes:
    return offer(Span(START, utc(end) if isinstance(end, str) else end))


def paper(grid: Grid = "month", zone: str = "UTC", lookback_days: int = 0, report: Report = REPORT) -> Planned:
    return Planned(settings(report, grid=grid, zone=zone, lookback_days=lookback_days))


def assert_covered(planned: Planned, grid: Grid, window: Span, *, beyond: bool = False) -> None:
    """The stored cells hold every instant of a window once, each cell as far as it goes; `beyond` it may be more."""
    zone = planned.settings.defaults.zone
    stored = {stretch.start: stretch for stretch, _ in planned.stored.values()}
    for cell in cells(window, grid, zone):
        assert stored.pop(cell.span.start).covers(cell.span), f"{cell.span} is not loaded"
    assert beyond or all(start >= window.end for start in stored), "cells overlap"


@given(grids, zones, lookbacks, st.lists(st.tuples(ends, st.none() | st.integers(0, 3)), min_size=1, max_size=8))
def test_whatever_stripe_takes_back_every_cell_is_loaded_with_the_data_that_came_last(
    grid: Grid, zone: str, lookback: int, syncs: list[tuple[datetime, int | None]]
) -> None:
    """Syncs at which the availability goes on or back, some of which fail; then one at each of the last two ends."""
    planned = paper(grid, zone, lookback)
    read: dict[str, int] = {}
    last = syncs[-1][0]
    beyond = max(end for end, _ in syncs)
    plan = [*syncs, (last, None), (beyond, None)]
    for number, (end, at_most) in enumerate(plan):
        read |= {request.key: number for request in planned.sync(up_to(end), at_most=at_most)}
        if at_most is None:
            assert_covered(planned, grid, Span(START, end))
        for key, (stretch, _) in planned.stored.items():
            stale = any(later < stretch.end for later, _ in plan[read[key] : number + 1])
            assert not stale or at_most is not None or stretch.end > end, f"{key} holds what Stripe has taken back"
    state = planned.lanes.get("default")
    assert state is not None
    assert state.taken_back_to is None
    assert (state.loaded, state.cursor, state.complete_to) == (Span(START, beyond), beyond, beyond)


@given(grids, zones, lookbacks, st.lists(ends, min_size=1, max_size=6))
def test_nothing_is_dropped_and_nothing_is_run_twice(
    grid: Grid, zone: str, lookback: int, syncs: list[datetime]
) -> None:
    planned = paper(grid, zone, lookback)
    for end in syncs:
        before = {key: stretch for key, (stretch, _) in planned.stored.items()}
        planned.sync(up_to(end))
        for key, stretch in before.items():
            assert planned.stored[key][0].covers(stretch)
        [lane] = planned.plan(up_to(end))
        assert not lane.cells


@given(grids, zones, st.integers(0, 40), ends, ends)
def test_a_sync_reads_the_lookback_again_and_no_more(
    grid: Grid, zone: str, lookback: int, first: datetime, second: datetime
) -> None:
    first, second = sorted((first, second + timedelta(hours=1)))
    planned = paper(grid, zone, lookback)
    planned.sync(up_to(first))
    done = planned.sync(up_to(second))
    assert done[0].cell.span.start <= max(START, first - timedelta(days=lookback))
    whole = done[0].cell.whole
    assert whole.end > first - timedelta(days=lookback + 1, hours=2), "read again without need"


def test_a_sync_with_nothing_new_plans_nothing() -> None:
    planned = paper()
    assert spans(planned.sync(up_to("2025-02-10"))) == [
        span("2025-01-01", "2025-02-01"),
        span("2025-02-01", "2025-02-10"),
    ]
    assert planned.sync(up_to("2025-02-10")) == []
    assert spans(planned.sync(up_to("2025-02-11"))) == [span("2025-02-01", "2025-02-11")]


def test_the_users_first_day_counts_until_something_is_loaded() -> None:
    planned = Planned(settings(REPORT, start_date=date(2025, 2, 1)))
    assert spans(planned.sync(up_to("2025-02-10"))) == [span("2025-02-01", "2025-02-10")]
    later = planned.under(settings(REPORT, start_date=date(2025, 1, 1)))
    assert later.sync(up_to("2025-02-10")) == []
    later = planned.under(settings(REPORT, start_date=date(2025, 3, 1), lookback_days=3))
    assert spans(later.sync(up_to("2025-03-02"))) == [
        span("2025-02-01", "2025-03-01"),
        span("2025-03-01", "2025-03-02"),
    ]


def test_what_stripe_has_taken_back_is_said_and_stays(caplog: pytest.LogCaptureFixture) -> None:
    planned = paper()
    planned.sync(up_to("2025-03-10"))
    for end in ("2025-03-05", "2025-02-20"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert planned.sync(up_to(end)) == []
        assert (
            "payouts.itemized.3: Stripe has taken back data: [2025-01-01T00:00:00Z, 2025-03-10T00:00:00Z) is loaded"
            in (caplog.text)
        )
    assert spans(planned.sync(up_to("2025-03-10"))) == [
        span("2025-02-01", "2025-03-01"),
        span("2025-03-01", "2025-03-10"),
    ]
    assert planned.sync(up_to("2025-03-10")) == []


def test_data_that_is_taken_back_twice_is_loaded_again_after_each() -> None:
    planned = paper(lookback_days=20)
    planned.sync(up_to("2025-03-10"))
    assert spans(planned.sync(up_to("2025-03-05"))) == [span("2025-02-01", "2025-03-01")]
    assert planned.sync(up_to("2025-03-05")) == []
    planned.sync(up_to("2025-02-10"))
    assert span("2025-02-01", "2025-03-01") in spans(planned.sync(up_to("2025-03-05")))


def test_what_planning_finds_out_is_kept_once() -> None:
    planned = paper()
    planned.sync(up_to("2025-03-10"))
    assert [lane.noted for lane in planned.plan(up_to("2025-03-10"))] == [None]
    [lane] = planned.plan(up_to("2025-03-01"))
    assert lane.noted is not None
    assert lane.noted.taken_back_to == utc("2025-03-01")
    planned.sync(up_to("2025-03-01"))
    assert [lane.noted for lane in planned.plan(up_to("2025-03-01"))] == [None]


@pytest.mark.parametrize(
    ("first", "then", "backfill"),
    [
        ("2025-02-01", "2025-01-01", "2025-02-01 is not loaded, .* --start-date 2025-01-01 --end-date 2025-02-01$"),
        ("2025-02-10", "2025-02-01", "2025-02-10 is not loaded, .* --start-date 2025-02-01 --end-date 2025-03-01$"),
        ("2025-02-01", "2024-01-01", "2025-02-01 is not loaded, .* --start-date 2025-01-01 --end-date 2025-02-01$"),
        ("2025-03-05", "2025-02-01", "--start-date 2025-02-01 --end-date 2025-04-01 --allow-partial$"),
        ("2025-02-01", "2025-02-01", None),
        ("2025-02-01", "2025-02-20", None),
        ("2025-02-01", None, None),
        ("2024-01-01", "2023-01-01", None),
    ],
)
def test_a_first_day_before_what_is_loaded_is_said(first: str, then: str | None, backfill: str | None) -> None:
    """Whoever has loaded the days before: this pipeline, or another one. What is loaded is the same."""
    pipeline, offered = paper(), up_to("2025-03-10")
    pipeline.under(settings(REPORT, start_date=date.fromisoformat(first))).sync(offered)
    earlier = None if then is None else date.fromisoformat(then)
    later = pipeline.under(settings(REPORT, start_date=earlier))
    [lane] = later.plan(offered)
    assert lane.cells == ()
    if backfill is None:
        assert lane.earlier is None
        return
    assert lane.earlier is not None
    assert lane.earlier.startswith("payouts.itemized.3: history before ")
    assert re.search(backfill, lane.earlier)
    days = re.findall(r"--(?:start|end)-date (\S+)", lane.earlier)
    one_more = later.another() if first == "2025-02-01" else later
    one_more.under(settings(REPORT, allow_partial=True)).sync(offered, span(*days))
    assert [lane.earlier for lane in later.plan(offered)] == [None]


def test_a_last_second_that_stripe_does_not_give_is_not_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    """Stripe may want intervals a second short of its availability: that is how far they are loaded then."""
    planned = paper()
    planned.sync(up_to("2025-02-10"))
    state = planned.lanes.get("default")
    assert state is not None
    shorter = utc("2025-02-10") - timedelta(seconds=1)
    kept = {**state.to_state(), "cursor": shorter, "loaded_to": shorter}
    planned.lanes.put("default", LaneState.from_state(kept))
    with caplog.at_level(logging.WARNING):
        assert planned.sync(up_to("2025-02-10")) == []
    assert not caplog.records


def test_syncs_that_have_crossed_are_mended(caplog: pytest.LogCaptureFixture) -> None:
    planned = paper()
    planned.sync(up_to("2025-03-10"))
    with caplog.at_level(logging.WARNING):
        [lane] = planned.plan(up_to("2025-03-10"), replaced_since=utc("2025-02-03"))
    assert spans(lane.cells) == [span("2025-02-01", "2025-03-01"), span("2025-03-01", "2025-03-10")]
    assert "two syncs have crossed; loading again from 2025-02-03" in caplog.text


def test_a_backfill_within_what_stripe_has() -> None:
    planned = paper()
    [lane] = planned.plan(up_to("2025-03-10"), span("2025-01-01", "2025-02-01"))
    assert lane.backfill
    assert spans(lane.cells) == [span("2025-01-01", "2025-02-01")]
    [lane] = planned.plan(up_to("2025-03-10"), Span(BEGINNING, utc("2025-02-01")))  # without a first day
    assert spans(lane.cells) == [span("2025-01-01", "2025-02-01")]
    planned.sync(up_to("2025-03-10"))
    [lane] = planned.plan(up_to("2025-03-10"), span("2025-01-01", "2025-02-01"))  # as often as it is asked for
    assert spans(lane.cells) == [span("2025-01-01", "2025-02-01")]


@given(ends, ends, ends)
def test_a_window_is_loaded_whole_or_refused_with_both_ranges(first: datetime, second: datetime, end: datetime) -> None:
    first, second = sorted((first - timedelta(days=40), second + timedelta(hours=1)))
    available, window = Span(START, end), Span(first, second)
    there = window.clamp(available)
    if available.covers(window):
        [lane] = paper().plan(offer(available), window)
        assert (lane.cells[0].cell.span.start, lane.cells[-1].cell.span.end) == (window.start, window.end)
        return
    with pytest.raises(NotAvailable) as caught:
        paper().plan(offer(available), window)
    has = available if there.empty else there
    assert str(caught.value) == f"asked for {window}, of which Stripe has {has}."
    partly = Planned(settings(REPORT, allow_partial=True))
    if there.empty:
        with pytest.raises(NotAvailable):
            partly.plan(offer(available), window)
        return
    [lane] = partly.plan(offer(available), window)
    assert (lane.cells[0].cell.span.start, lane.cells[-1].cell.span.end) == (there.start, there.end)


def test_a_part_is_loaded_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    partly = Planned(settings(REPORT, allow_partial=True))
    with caplog.at_level(logging.WARNING):
        [lane] = partly.plan(up_to("2025-03-10"), span("2025-03-01", "2025-04-01"))
    assert spans(lane.cells) == [span("2025-03-01", "2025-03-10")]
    assert (
        "payouts.itemized.3: asked for [2025-03-01T00:00:00Z, 2025-04-01T00:00:00Z), of which Stripe has "
        "[2025-03-01T00:00:00Z, 2025-03-10T00:00:00Z)"
    ) in caplog.text


def test_a_backfill_would_not_cut_what_is_loaded() -> None:
    planned = paper()
    planned.sync(up_to("2025-03-10"))
    with pytest.raises(ConfigurationError, match="Let start_date and end_date be the first day of a month"):
        planned.plan(up_to("2025-03-10"), span("2025-01-10", "2025-02-01"))


def test_a_backfill_moves_no_cursor_and_remembers_no_retreat() -> None:
    planned = paper()
    planned.sync(up_to("2025-03-10"))
    before = planned.lanes.get("default")
    [lane] = planned.plan(up_to("2025-03-01"), span("2025-01-01", "2025-02-01"))
    assert lane.noted is None
    planned.sync(up_to("2025-03-01"), span("2025-01-01", "2025-02-01"))
    after = planned.lanes.get("default")
    assert before is not None
    assert after is not None
    assert (after.cursor, after.complete_to, after.taken_back_to) == (before.cursor, before.complete_to, None)


def test_data_that_stripe_no_longer_has_at_the_start_stays(caplog: pytest.LogCaptureFixture) -> None:
    planned = paper(lookback_days=60)
    planned.sync(up_to("2025-02-10"))
    later = offer(span("2025-01-15", "2025-02-11"))
    with caplog.at_level(logging.WARNING):
        assert spans(planned.sync(later)) == [span("2025-02-01", "2025-02-11")]
    assert "Stripe no longer has all of [2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z)" in caplog.text


@pytest.mark.parametrize(("grid", "intervals"), [("month", 1), ("day", 22)])
def test_what_stripe_has_withdrawn_before_it_was_loaded_is_said_at_once_and_from_then_on(
    grid: Grid, intervals: int, caplog: pytest.LogCaptureFixture
) -> None:
    planned = paper(grid)
    planned.sync(up_to("2025-03-10T12:00"))
    with caplog.at_level(logging.WARNING):
        assert planned.sync(offer(span("2025-04-01", "2025-04-05")))
    assert (
        "payouts.itemized.3 [default]: Stripe's data begins at 2025-04-01 00:00:00+00:00 now, and syncs have loaded up "
        "to 2025-03-10 12:00:00+00:00: what no backfill has loaded of [2025-03-10T12:00:00Z, 2025-04-01T00:00:00Z) is "
        "lost" in caplog.text
    )
    first = "2025-03-01T00:00:00Z" if grid == "month" else "2025-03-10T00:00:00Z"
    for end in ("2025-04-05", "2025-05-10"):  # with nothing new, and with new data
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            planned.sync(offer(span("2025-04-01", end)))
        assert (
            f"payouts.itemized.3 [default]: {intervals} intervals between loaded ones are not loaded whole, "
            f"from [{first}" in caplog.text
        )
        assert "Stripe does not have all of them any more" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        again = planned.sync(up_to("2025-05-10"))  # Stripe has it again
    assert again[0].cell.span.start == utc(first.removesuffix(":00Z"))
    assert again[-1].cell.span.end == utc("2025-04-01")
    assert "they are to be loaded now" in caplog.text
    assert_covered(planned, grid, span("2025-01-01", "2025-05-10"))
    assert planned.sync(up_to("2025-05-10")) == []


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize(
    ("grid", "start", "lost"),
    [
        ("month", "2025-04-01", 1),
        ("day", "2025-03-10", 0),
        ("day", "2025-03-20", 10),
        ("day", "2025-03-20T06:00", 10),
    ],
)
def test_what_stripe_has_withdrawn_is_lost_in_the_sync_that_passes_it(
    grid: Grid, start: str, lost: int, crossed: bool
) -> None:
    """And not a cell of which that sync loads what there is."""
    planned = paper(grid)
    planned.sync(up_to("2025-03-10T12:00"))
    offered = offer(span(start, "2025-04-05"))
    [lane] = planned.plan(offered, replaced_since=utc("2025-03-10T12:00") if crossed else None)
    assert len(lane.lost) == lost
    assert lane.lost_from == (utc("2025-03-10T12:00") if lost else None)
    planned.sync(offered)
    [following] = planned.plan(offered)
    assert (following.lost, following.lost_from) == (lane.lost, lane.lost_from)


@pytest.mark.parametrize("start", ["2025-03-05", "2025-03-20"])
def test_a_cell_whose_beginning_stripe_has_withdrawn_stays_and_the_sync_goes_on(
    start: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It was loaded in part, and a part would replace all of it."""
    planned = paper()
    planned.sync(up_to("2025-03-10T12:00"))
    for end, loaded in (("2025-03-25", []), ("2025-04-05", [span("2025-04-01", "2025-04-05")])):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert spans(planned.sync(offer(span(start, end)))) == loaded
        assert (
            f"Stripe no longer has all of [2025-03-01T00:00:00Z, 2025-04-01T00:00:00Z), its data begins at {start} "
            "00:00:00+00:00 now; the interval stays as it is loaded, up to 2025-03-10 12:00:00+00:00" in caplog.text
        )
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert planned.sync(offer(span(start, "2025-04-05"))) == []
    assert "1 intervals between loaded ones are not loaded whole, from [2025-03-01T00" in caplog.text
    [lane] = planned.plan(offer(span(start, "2025-04-05")))
    march = "default|payouts.itemized|month|UTC|2025-03-01"
    assert lane.lost == {march}
    assert lane.lost_from == utc("2025-03-10T12:00")
    assert "a start_date of 2025-04-01 or later asks for it no more" in caplog.text
    [lane] = planned.under(settings(REPORT, start_date=date(2025, 4, 1))).plan(offer(span(start, "2025-04-05")))
    assert not lane.lost
    assert planned.stored["default|payouts.itemized|month|UTC|2025-03-01"][0] == span("2025-03-01", "2025-03-10T12:00")


def test_a_connected_account_that_has_failed_makes_no_other_go_back() -> None:
    """dlt's one cursor is that of the slowest lane."""
    planned = Planned(settings(CONNECTED, connected_accounts=("acct_1", "acct_2")))
    offered = offer(span("2025-01-01", "2025-03-10"), "connected_account_payouts.itemized.1")
    planned.sync(offered)
    state = planned.lanes.get("default/acct_2")
    assert state is not None
    planned.lanes.put("default/acct_2", state.to_be_loaded_from(utc("2025-02-01")))
    [february] = [key for key in planned.listed if "acct_2" in key and key.endswith("2025-02-01")]
    del planned.listed[february]
    behind, other = planned.plan(offered)
    assert not other.cells
    assert spans(behind.cells) == [span("2025-02-01", "2025-03-01")]


def test_the_accounts_that_are_furthest_behind_come_first() -> None:
    accounts = tuple(f"acct_{number}" for number in range(1, 5))
    planned = Planned(settings(CONNECTED, connected_accounts=accounts))
    planned.sync(offer(span("2025-01-01", "2025-03-10"), "connected_account_payouts.itemized.1"))
    for account, day in (("acct_3", "2025-02-01"), ("acct_2", "2025-02-10")):
        state = planned.lanes.get(f"default/{account}")
        assert state is not None
        planned.lanes.put(f"default/{account}", state.to_be_loaded_from(utc(day)))
    lanes = planned.plan(offer(span("2025-01-01", "2025-03-11"), "connected_account_payouts.itemized.1"))
    assert [lane.key.removeprefix("default/acct_") for lane in lanes] == ["3", "2", "1", "4"]


def test_an_account_takes_little_memory() -> None:
    accounts = tuple(f"acct_{number:06}" for number in range(500))
    planned = Planned(settings(CONNECTED, connected_accounts=accounts))
    offered = offer(span("2025-03-01", "2025-03-10"), "connected_account_payouts.itemized.1")
    tracemalloc.start()
    lanes = planned.plan(offered)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(lanes) == 500
    assert taken / 500 < 1500, taken / 500


def test_connected_accounts_have_lanes_and_cells_of_their_own() -> None:
    planned = Planned(settings(CONNECTED, connected_accounts=("acct_1", "acct_2")))
    offered = offer(span("2025-01-01", "2025-02-01"), "connected_account_payouts.itemized.1")
    assert [lane.key for lane in planned.plan(offered)] == ["default/acct_1", "default/acct_2"]
    done = planned.sync(offered)
    assert len({request.key for request in done}) == 2
    assert {request.label for request in done} == {"default"}
    more = planned.under(settings(CONNECTED, connected_accounts=("acct_1", "acct_2", "acct_3")))
    assert [len(lane.cells) for lane in more.plan(offered)] == [1, 0, 0]


def test_one_run_per_account_is_not_mixed_with_one_for_all() -> None:
    offered = offer(span("2025-01-01", "2025-02-01"), "connected_account_payouts.itemized.1")
    each = Planned(settings(CONNECTED, connected_accounts=("acct_1",)))
    each.sync(offered)
    with pytest.raises(ConfigurationError, match="holds one run per account; connected_accounts now asks for all"):
        each.under(settings(CONNECTED)).plan(offered)
    together = Planned(settings(CONNECTED))
    together.sync(offered)
    with pytest.raises(ConfigurationError, match="holds all accounts in one run; connected_accounts now asks for one"):
        together.under(settings(CONNECTED, connected_accounts=("acct_1",))).plan(offered)


def test_a_report_per_payout_has_a_cell_for_each() -> None:
    planned = Planned(settings(PER_PAYOUT))
    offered = offer(span("2025-01-01", "2025-02-10"), "payout_reconciliation.by_id.itemized.4")
    payouts = [{"payout": "po_1"}, {"payout": "po_2"}]
    [lane] = planned.plan(offered, payouts=payouts)
    assert [request.title for request in lane.cells] == ['{"payout":"po_1"}', '{"payout":"po_2"}']
    assert len({request.key for request in lane.cells}) == 2
    assert spans(lane.cells) == [offered.types[0].available] * 2
    [lane] = planned.plan(offered, span("2030-01-01", "2031-01-01"), payouts=[])  # a window of payouts, not of data
    assert not lane.cells


def test_another_version_of_a_report_goes_on_in_the_same_cells(caplog: pytest.LogCaptureFixture) -> None:
    planned = paper(report=Report("balance_change_from_activity.itemized.2"))
    names = ("balance_change_from_activity.itemized.2", "balance_change_from_activity.itemized.3")
    planned.sync(offer(span("2025-01-01", "2025-02-10"), *names))
    newer = planned.under(settings(Report("balance_change_from_activity.itemized")))
    with caplog.at_level(logging.WARNING):
        done = newer.sync(offer(span("2025-01-01", "2025-02-11"), *names))
    assert "balance_change_from_activity.itemized.2: goes on as balance_change_from_activity.itemized.3" in caplog.text
    assert spans(done) == [span("2025-02-01", "2025-02-11")]
    assert len(newer.stored) == 2
    state = newer.lanes.get("default")
    assert state is not None
    assert state.report_type == "balance_change_from_activity.itemized.3"


@pytest.mark.parametrize(
    "other",
    [
        settings(REPORT, grid="day"),
        settings(REPORT, zone="Europe/Berlin"),
        settings(Report("payouts.itemized", parameters={"currency": "eur"})),
    ],
)
def test_another_grid_zone_or_filter_is_refused(other: Settings) -> None:
    planned = paper()
    planned.sync(up_to("2025-02-10"))
    with pytest.raises(ConfigurationError, match=r"holds cells of 'payouts\.itemized\|month\|UTC', and cells of"):
        planned.under(other).plan(up_to("2025-02-11"))


def test_test_data_beside_live_data_is_refused() -> None:
    planned = paper()
    planned.sync(up_to("2025-02-10"))
    with pytest.raises(ConfigurationError, match=r"holds live data of account 'default', and api_key is a test key\."):
        planned.plan(offer(span("2025-01-01", "2025-02-11"), livemode=False))


def test_a_report_that_is_not_offered() -> None:
    with pytest.raises(NotOffered, match=r"report 'payouts\.itemized' is not offered"):
        paper().plan(offer(span("2025-01-01", "2025-02-11"), "balance.summary.1"))


@given(grids, zones, ends, ends, st.data())
def test_exactly_the_cells_that_are_named_are_loaded_again_each_as_far_as_it_was(
    grid: Grid, zone: str, first: datetime, then: datetime, data: st.DataObject
) -> None:
    """Also with data that has come since; no cursor is moved, so the next sync is as if nothing had been."""
    planned = paper(grid, zone)
    before = {request.key: request.cell.span for request in planned.sync(up_to(first))}
    named = data.draw(st.sets(st.sampled_from(sorted(before))))
    kept = planned.lanes.get("default")
    later = up_to(max(first, then))
    again = planned.sync(later, exact={*named, "default|payouts.itemized|month|UTC|1999-01-01"})
    assert {request.key: request.cell.span for request in again} == {key: before[key] for key in named}
    now = planned.lanes.get("default")
    assert kept is not None
    assert now is not None
    assert (now.cursor, now.loaded, now.complete_to) == (kept.cursor, kept.loaded, kept.complete_to)
    planned.sync(later)
    assert_covered(planned, grid, later.types[0].available)


def test_a_cell_that_stripe_no_longer_has_whole_stays_as_it_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    planned = paper()
    keys = [request.key for request in planned.sync(up_to("2025-04-01"))]
    shorter = offer(span("2025-01-15", "2025-03-20"))
    assert [request.key for request in planned.sync(shorter, exact=keys)] == [keys[1]]
    assert "it stays as it is loaded" in caplog.text


def test_cells_are_only_loaded_again_where_they_were() -> None:
    planned = paper()
    assert planned.sync(up_to("2025-04-01"), exact=["default|payouts.itemized|month|UTC|2025-01-01"]) == []
    offered = offer(span("2025-01-01", "2025-02-10"), "payout_reconciliation.by_id.itemized.4")
    [lane] = paper(report=PER_PAYOUT).plan(offered, payouts=[{"payout": "po_1"}], exact=[])
    assert lane.cells == ()
