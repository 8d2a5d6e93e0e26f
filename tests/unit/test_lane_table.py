"""Lanes of connected accounts as rows, and as what dlt's state keeps of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from stripe_reports_source.plan.intervals import Span
from stripe_reports_source.plan.lane_table import KeptLane, LaneTable, kept_lane, lane_row
from stripe_reports_source.plan.state import LaneState, LaneStates, since_of

UTC = timezone.utc
STATE = LaneState(
    loaded=Span(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)),
    grid="connected_account_payouts.itemized|month|UTC",
    report_type="connected_account_payouts.itemized.1",
    package="1740000000.5",
    package_from=datetime(2025, 2, 1, tzinfo=UTC),
    cursor=datetime(2025, 3, 1, tzinfo=UTC),
    forks=("4x2",),
    complete_to=datetime(2025, 3, 1, tzinfo=UTC),
    complete_as_of=datetime(2025, 3, 1, 8, tzinfo=UTC),
    livemode=True,
    taken_back_to=datetime(2025, 2, 20, tzinfo=UTC),
)


def test_a_row_holds_all_of_a_state() -> None:
    row = lane_row("reports", "payouts", "default/acct_1", STATE, "1740000000.5")
    assert kept_lane(row) == KeptLane(STATE, "1740000000.5")
    bare = LaneState(STATE.loaded, STATE.grid, STATE.report_type, None, STATE.package_from)
    assert kept_lane(lane_row("reports", "payouts", "default/acct_1", bare, None)) == KeptLane(bare, None)


def test_only_lanes_that_have_changed_are_written() -> None:
    table = LaneTable({f"default/acct_{number}": KeptLane(STATE, "1") for number in range(5)})
    assert table.take_rows("reports", "payouts") == []
    table.put("default/acct_3", replace(STATE, package="2"))
    table.listed["default/acct_4"] = "2"
    table.listed["default/acct_0"] = "1"  # as it was
    table.listed["default/acct_9"] = "2"  # of which nothing is loaded
    rows = table.take_rows("reports", "payouts")
    assert [(row.account, row.package, row.listed_package) for row in rows] == [
        ("default/acct_3", "2", "1"),
        ("default/acct_4", STATE.package, "2"),
    ]
    assert table.take_rows("reports", "payouts") == []


def test_lanes_of_accounts_move_from_dlts_state_to_the_table() -> None:
    kept: dict[str, Any] = {"lanes": {"default": STATE.to_state(), "default/acct_1": STATE.to_state()}}
    table = LaneTable({})
    states = LaneStates(kept, table, "2.5", "default")
    assert list(kept["lanes"]) == ["default"]
    assert list(states) == ["default", "default/acct_1"]
    assert states.get("default/acct_1") == STATE == states.get("default")
    assert [row.account for row in table.take_rows("reports", "payouts")] == ["default/acct_1"]
    assert since_of(kept) == "2.5"
    LaneStates(kept, table, "3.5", "default").put("default/acct_2", STATE)
    assert since_of(kept) == "2.5"  # the rows of the first package count


def test_without_the_table_dlts_state_keeps_them_and_comes_first() -> None:
    kept: dict[str, Any] = {}
    table = LaneTable({"default/acct_1": KeptLane(STATE, None)})
    states = LaneStates(kept, table, None, "default")
    assert states.get("default/acct_1") == STATE
    newer = replace(STATE, package="9")
    states.put("default/acct_1", newer)
    assert states.get("default/acct_1") == newer
    assert list(states) == ["default/acct_1"]


def test_an_account_of_an_organisation_is_not_a_connected_one() -> None:
    kept: dict[str, Any] = {}
    states = LaneStates(kept, LaneTable({}), "2.5", "acct_1/acct_2")
    states.put("acct_1/acct_2", STATE)
    assert list(kept["lanes"]) == ["acct_1/acct_2"]
