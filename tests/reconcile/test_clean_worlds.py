"""Where nothing is wrong, nothing is said to be wrong: grids, zones, accounts, reports, columns and filters."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from stripe_reports_source import Report
from tests.reconcile.worlds import NINE, SIX, Account, World, Worlds, looked, statuses, told

pytestmark = pytest.mark.long

ALL_TRAITS = {
    "traits": (
        *("reserves", "minimum_balance", "failed_payouts", "negative_payouts"),
        *("transit", "moving_arrivals", "slow_transit", "instant_payouts"),
    )
}
CONNECTED = [f"connected_account_{report}" for report in NINE if "ending" not in report]

YEAR = World(
    "year",
    (
        Account("shop", NINE),
        Account("store", SIX, {"timezone": "Europe/Berlin"}),
        Account("stall", SIX, {"timezone": "America/New_York"}),
    ),
    end=datetime(2025, 12, 20, 12, tzinfo=timezone.utc),
)
MARCH = datetime(2025, 3, 7, 12, tzinfo=timezone.utc)
CLEAN = (
    World("days", (Account(source={"interval": "day", "timezone": "Australia/Lord_Howe"}),), MARCH.replace(month=2)),
    World("weeks", (Account(source={"interval": "week", "timezone": "America/New_York"}),), MARCH),
    World("traits", (Account("all", NINE, {}, ALL_TRAITS), Account("none", SIX, {}, {"traits": ()})), MARCH),
    World("default_columns", (Account("default", [Report(name, columns="default") for name in NINE]),), MARCH),
    World("eur", (Account(reports=[Report(name, parameters={"currency": "eur"}) for name in NINE]),), MARCH),
)


@pytest.mark.parametrize("world", [YEAR, *CLEAN], ids=lambda world: world.name)
def test_a_clean_world_has_no_variance(world: World, worlds: Worlds, tmp_path: Path) -> None:
    statements = looked(worlds.copy(world, tmp_path))
    assert told(statements, "variance", "stale", "pending") == []
    assert statuses(statements)["tied"] > 100
    months = {statement.interval_day for statement in statements}
    assert len(months) >= (12 if world is YEAR else 3)


def test_rows_whose_time_is_not_loaded_are_no_variance_where_history_begins_later(
    worlds: Worlds, tmp_path: Path
) -> None:
    """Where a counterpart belongs that is not there is told by a time alone: it may be older, or still to come."""
    figures = ["balance_transaction_id", "currency", "reporting_category", "gross", "fee", "net"]
    few = [
        Report(name, columns=[*figures, "payout_id" if "payouts" in name else "automatic_payout_id"])
        if name.endswith("itemized")
        else name
        for name in NINE
    ]
    account = Account("shop", few, {"start_date": "2025-02-01"})
    statements = looked(worlds.copy(World("timeless", (account,), MARCH, scale=0.2), tmp_path))
    assert told(statements, "variance", "stale", "pending") == []
    timeless = {item.equation for item in statements if "no column of" in item.reason}
    assert {"payout_holds_what_names_it", "settled_row_equals_activity_row"} <= timeless
