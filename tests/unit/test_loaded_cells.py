"""What is loaded is known from the ledger, whoever has loaded it: on paper, without dlt or a database."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source import Report
from stripe_reports_source.plan.intervals import Grid, Span, cells
from stripe_reports_source.plan.loaded_cells import HeldRun, ListedCell
from stripe_reports_source.plan.stripe_objects import OfferedTypes
from tests.unit.planning import Planned, offer, settings, span, spans, utc
from tests.unit.test_lanes import CONNECTED, REPORT, START, assert_covered, grids, lookbacks, paper, up_to, zones

JANUARY, FEBRUARY = span("2025-01-01", "2025-02-01"), span("2025-02-01", "2025-03-01")
MARCH = span("2025-03-01", "2025-03-10")


def months(first: int, last: int) -> Span:
    return Span(utc(f"2025-{first:02}-01"), utc(f"2025-{last:02}-01"))


@given(
    grids,
    zones,
    lookbacks,
    st.lists(
        st.tuples(
            st.sampled_from(["first", "second"]),
            st.sampled_from(["sync", "part", "backfill", "advance", "forget"]),
            st.integers(0, 30),
        ),
        max_size=12,
    ),
)
def test_two_pipelines_of_a_dataset_leave_no_gap_and_run_nothing_twice(
    grid: Grid, zone: str, lookback: int, steps: list[tuple[str, str, int]]
) -> None:
    first = paper(grid, zone, lookback)
    pipelines = {"first": first, "second": first.another()}
    end = START + timedelta(days=40)
    for name, what, number in steps:
        planned, offered = pipelines[name], up_to(end)
        if what == "advance":
            end += timedelta(hours=6 * number + 6)
        elif what == "forget":
            for key in sorted(first.listed)[:number]:
                del first.listed[key]
        elif what == "backfill":
            grown = [cell.span for cell in cells(Span(START, end), grid, first.settings.defaults.zone)]
            planned.sync(offered, Span(START, grown[number % len(grown)].end))
        else:
            planned.sync(offered, at_most=number if what == "part" else None)
        for each in pipelines.values():
            state = each.lanes.get("default")
            if state is not None and state.cursor is not None:
                assert_covered(each, grid, Span(START, min(state.cursor, end)), beyond=True)
    for planned in pipelines.values():
        planned.sync(up_to(end))
        assert_covered(planned, grid, Span(START, end))
        for each in pipelines.values():
            assert not spans(each.sync(up_to(end)))
        state = planned.lanes.get("default")
        assert state is not None
        assert (state.cursor, state.complete_to) == (end, end)


def test_a_backfill_counts_and_the_cursor_goes_past_it() -> None:
    planned = paper()
    planned.sync(up_to("2025-03-10"), JANUARY)
    [lane] = planned.plan(up_to("2025-03-10"))
    assert spans(lane.cells) == [FEBRUARY, MARCH]
    assert lane.noted is not None
    assert lane.noted.cursor == utc("2025-02-01")
    assert spans(planned.sync(up_to("2025-03-10"), at_most=0)) == []
    assert spans(planned.sync(up_to("2025-03-10"))) == [FEBRUARY, MARCH]


def test_a_backfill_of_all_leaves_a_sync_nothing_to_run() -> None:
    planned = paper()
    planned.sync(up_to("2025-03-10"), span("2025-01-01", "2025-03-10"))
    for pipeline in (planned.another(), planned):
        [lane] = pipeline.plan(up_to("2025-03-10"))
        assert not lane.cells
        assert lane.noted is not None
        assert lane.noted.loaded == span("2025-01-01", "2025-03-10")
        assert lane.noted.cursor == lane.noted.complete_to == utc("2025-03-10")
        assert pipeline.sync(up_to("2025-03-10")) == []
    assert spans(planned.sync(up_to("2025-03-11"))) == [span("2025-03-01", "2025-03-11")]


def test_the_cursor_goes_past_a_backfill_with_the_cell_before_it() -> None:
    planned = paper()
    planned.another().sync(up_to("2025-03-10"), FEBRUARY)
    assert spans(planned.sync(up_to("2025-03-10"), at_most=1)) == [JANUARY]
    state = planned.lanes.get("default")
    assert state is not None
    assert (state.loaded, state.cursor) == (months(1, 3), utc("2025-03-01"))
    assert spans(planned.sync(up_to("2025-03-10"))) == [MARCH]


def test_what_the_lookback_asks_for_is_loaded_again() -> None:
    planned = paper("day", lookback_days=3)
    planned.another().sync(up_to("2025-01-10"), span("2025-01-01", "2025-01-10"))
    [lane] = planned.plan(up_to("2025-01-12"))
    assert spans(lane.cells)[0].start in (utc("2025-01-06"), utc("2025-01-07"))
    assert not planned.plan(up_to("2025-01-10"))[0].cells, "Stripe has nothing newer"


def test_the_end_of_a_backfill_that_was_in_progress_is_loaded() -> None:
    planned = paper()
    planned.another().sync(up_to("2025-01-20T12:00"), span("2025-01-01", "2025-01-20T12:00"))
    assert spans(planned.sync(up_to("2025-03-10"))) == [JANUARY, FEBRUARY, MARCH]


def test_a_second_that_is_lacking_at_the_end_is_loaded() -> None:
    """Where Stripe wants a second less than its availability, the last cell is in progress still."""
    planned = paper()
    planned.another().sync(up_to("2025-02-01"), JANUARY)
    planned.listed = {
        key: replace(cell, interval_end=utc("2025-01-31T23:59:59")) for key, cell in planned.listed.items()
    }
    assert not planned.plan(up_to("2025-02-01"))[0].cells
    change_cell(available_end=utc("2025-03-09"))(planned)
    assert spans(planned.sync(up_to("2025-03-10"))) == [JANUARY, FEBRUARY, MARCH]


def change_cell(**changes: object) -> Callable[[Planned], None]:
    def change(planned: Planned) -> None:
        listed: dict[str, ListedCell] = {key: replace(cell, **changes) for key, cell in planned.listed.items()}  # type: ignore[arg-type]
        planned.listed.update(listed)

    return change


def change_run(**changes: object) -> Callable[[Planned], None]:
    def change(planned: Planned) -> None:
        held: dict[str, HeldRun] = {key: replace(run, **changes) for key, run in planned.held.items()}  # type: ignore[arg-type]
        planned.held.update(held)

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda planned: planned.listed.clear(), id="an emptied ledger"),
        pytest.param(lambda planned: planned.held.clear(), id="rows that are gone"),
        pytest.param(change_cell(report_type="payouts.itemized.2"), id="another version"),
        pytest.param(change_cell(load_ended=False), id="a load that has not ended"),
        pytest.param(change_cell(load_ended=None), id="a load that nothing tells of"),
        pytest.param(change_cell(interval_end=utc("2025-01-31")), id="not to its end"),
        pytest.param(change_cell(interval_start=utc("2025-01-02")), id="not from its start"),
        pytest.param(change_cell(available_end=None), id="of data that nothing tells of"),
        pytest.param(change_cell(available_end=utc("2025-03-11")), id="of data that Stripe has taken back"),
        pytest.param(change_run(parameters='{"columns": ["payout_id"]}'), id="other columns"),
        pytest.param(change_run(livemode=False), id="test data"),
        pytest.param(change_run(livemode=None), id="a mode that nothing tells of"),
    ],
)
def test_what_the_ledger_does_not_vouch_for_is_loaded(spoil: Callable[[Planned], None]) -> None:
    planned = paper()
    planned.another().sync(up_to("2025-03-10"), JANUARY)
    assert spans(planned.plan(up_to("2025-03-10"))[0].cells) == [FEBRUARY, MARCH]
    spoil(planned)
    assert spans(planned.plan(up_to("2025-03-10"))[0].cells) == [JANUARY, FEBRUARY, MARCH]


def test_columns_that_may_be_personal_are_not_counted() -> None:
    """Of a report whose columns are not listed in its run, nothing tells which were loaded."""
    planned = paper(report=Report("payouts.itemized", columns="default"))
    offered = up_to("2025-03-10")
    planned.another().sync(offered, JANUARY)
    assert len(planned.plan(offered)[0].cells) == 2
    without = planned.under(replace(planned.settings, personal_data=False))
    assert len(without.plan(offered)[0].cells) == 3


@pytest.mark.parametrize("end", ["2025-05-10", "2025-05-20"])
def test_what_is_lacking_before_the_cursor_is_loaded_and_said(end: str, caplog: pytest.LogCaptureFixture) -> None:
    """With new data at Stripe or without; the cursor stays."""
    planned = paper()
    planned.sync(up_to("2025-05-10"))
    for key in [key for key in planned.listed if key[-5:] in ("02-01", "04-01")]:
        del planned.listed[key]
    before = planned.lanes.get("default")
    with caplog.at_level(logging.WARNING):
        [lane] = planned.plan(up_to(end))
    assert spans(lane.cells)[:2] == [months(2, 3), months(4, 5)]
    assert (
        "payouts.itemized.3 [default]: 2 intervals between loaded ones are not loaded whole, from [2025-02-01T"
        in caplog.text
    )
    assert spans(planned.sync(up_to(end), at_most=1)) == [months(2, 3)]
    assert planned.lanes.get("default") == replace(before, package="package 2", package_from=utc("2025-02-01"))  # type: ignore[type-var]
    assert spans(planned.sync(up_to(end)))[0] == months(4, 5)
    assert planned.sync(up_to(end)) == []
    state = planned.lanes.get("default")
    assert state is not None
    assert state.cursor == state.complete_to == utc(end)


@pytest.mark.parametrize(("ended", "cells"), [(False, 3), (None, 0), (True, 0)])
def test_what_a_load_that_has_not_ended_lists_is_lacking(ended: bool | None, cells: int) -> None:
    """A machine that is gone may have written the ledger and not the rows."""
    planned = paper()
    planned.sync(up_to("2025-03-10"))
    change_cell(load_ended=ended)(planned)
    assert len(planned.plan(up_to("2025-03-10"))[0].cells) == cells


def test_a_stretch_between_a_backfill_and_what_syncs_have_loaded_is_lacking() -> None:
    begins_late = settings(REPORT, start_date=date(2025, 4, 1))
    planned = Planned(begins_late)
    planned.sync(up_to("2025-05-10"))
    planned.sync(up_to("2025-05-10"), months(1, 2))
    assert planned.sync(up_to("2025-05-10")) == [], "the user's first day is later"
    whole = planned.under(settings(REPORT))
    assert spans(whole.sync(up_to("2025-05-10"))) == [months(2, 3), months(3, 4)]
    assert whole.sync(up_to("2025-05-10")) == []


def test_a_ledger_that_lists_another_state_of_a_lane_tells_no_gap() -> None:
    """It is compared with what is stored first."""
    planned = paper()
    planned.sync(up_to("2025-03-10"))
    state = planned.lanes.get("default")
    assert state is not None
    listed = planned.ledger
    planned.listed.clear()
    assert len(planned.plan(up_to("2025-03-10"))[0].cells) == 3
    planned.lanes.put("default", replace(state, package="of a version without the table"))
    planned.kept_packages = listed.packages
    assert not planned.plan(up_to("2025-03-10"))[0].cells


def test_what_stripe_has_no_more_is_said_and_left(caplog: pytest.LogCaptureFixture) -> None:
    planned = paper()
    planned.sync(up_to("2025-03-10"))
    january = min(planned.listed)
    del planned.listed[january]
    with caplog.at_level(logging.WARNING):
        [lane] = planned.plan(offer(span("2025-01-15", "2025-03-10")))
    assert not lane.cells
    assert "loaded whole, from [2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z) on; Stripe does not have all" in caplog.text


@pytest.mark.parametrize("crossed", [None, "2025-01-10"])
def test_what_two_crossed_syncs_have_loaded_is_not_counted(crossed: str | None) -> None:
    planned = paper()
    planned.sync(up_to("2025-03-10"), at_most=1)
    planned.another().sync(up_to("2025-03-10"), FEBRUARY)
    [lane] = planned.plan(up_to("2025-03-10"), replaced_since=utc(crossed) if crossed else None)
    assert spans(lane.cells) == ([JANUARY, FEBRUARY, MARCH] if crossed else [MARCH])


def test_connected_accounts_count_each_for_itself() -> None:
    planned = Planned(settings(CONNECTED, connected_accounts=("acct_1",)))
    offered: OfferedTypes = offer(span("2025-01-01", "2025-03-10"), "connected_account_payouts.itemized.1")
    planned.sync(offered, JANUARY)
    both = planned.another().under(settings(CONNECTED, connected_accounts=("acct_1", "acct_2")))
    assert [len(lane.cells) for lane in both.plan(offered)] == [2, 3]
