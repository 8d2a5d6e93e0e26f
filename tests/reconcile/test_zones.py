"""Reports of one account by days of different zones: what is loaded is not said to be missing, nor to differ."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from stripe_reports_source.page.make import make_record
from tests.reconcile.worlds import ZONES, Worlds, looked

ACTIVITY = "balance_change_from_activity.itemized"


def test_a_report_in_another_zone_is_loaded(worlds: Worlds, tmp_path: Path) -> None:
    found = [each for each in looked(worlds.copy(ZONES, tmp_path)) if each.equation == "activity_rows_equal_balance"]
    assert {statement.status for statement in found} == {"not_comparable"}
    assert {statement.reason for statement in found} == {
        f"{ACTIVITY} is loaded in the zone America/New_York, not UTC: give all reports one timezone.",
        "balance.summary is loaded in the zone UTC, not America/New_York: give all reports one timezone.",
    }


def test_a_record_of_a_month_is_of_one_zone(worlds: Worlds, tmp_path: Path) -> None:
    refusal = make_record(worlds.copy(ZONES, tmp_path), date(2025, 1, 1)).refusal
    assert refusal.differing == ()
    assert refusal.incomplete == (
        f"{ACTIVITY} [shop] is in the zone America/New_York, the balance in UTC: give all reports one timezone.",
    )
