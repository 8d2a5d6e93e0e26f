"""Datasets of other shapes, built as they are read: days and weeks, zones, old versions, renamed tables, platforms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest

from stripe_reports_source import Report
from stripe_reports_source.marts.catalog import MARTS
from stripe_reports_source.marts.reading import read_mart
from stripe_reports_source.plan.catalog import load_catalog
from tests.reconcile.worlds import SIX, Account, World

from .project import Project, needs_dbt
from .rows import in_order, rows_in_file

pytestmark = [needs_dbt, pytest.mark.timeout(600)]
TENTH = datetime(2025, 1, 10, 12, tzinfo=timezone.utc)
ACTIVITY, BALANCE, PAYOUTS = "balance_change_from_activity.itemized", "balance.summary", "payouts.itemized"
SETTLED, UNSETTLED = "payout_reconciliation.itemized", "ending_balance_reconciliation.itemized"
_AMOUNTS = ["balance_transaction_id", "currency", "gross", "fee", "net", "reporting_category"]
UTC_ONLY: Sequence[str | Report] = (
    BALANCE,
    Report(ACTIVITY, columns=[*_AMOUNTS, "created_utc", "automatic_payout_id"]),
    Report(PAYOUTS, columns=[*_AMOUNTS, "payout_id", "effective_at_utc"]),
    Report(SETTLED, columns=[*_AMOUNTS, "created_utc", "automatic_payout_id", "automatic_payout_effective_at_utc"]),
    Report(UNSETTLED, columns=[*_AMOUNTS, "created_utc"]),
)
CONNECTED = [f"connected_account_{report}" for report in (BALANCE, ACTIVITY, PAYOUTS, SETTLED, UNSETTLED)]
MIXED = World(
    "dbt-mixed",
    (
        Account("days", SIX, {"interval": "day", "timezone": "Australia/Lord_Howe"}),
        Account("utc only", UTC_ONLY, {"timezone": "Asia/Kolkata", "interval": "week"}),
        Account(
            "platform",
            [*SIX, *CONNECTED],
            {"connected_accounts": ["acct_emulated1", "acct_emulated2"]},
            {"all_types": True},
        ),
    ),
    TENTH,
    0.1,
)
OLD_VERSIONS = ((ACTIVITY, 1), (PAYOUTS, 1), (SETTLED, 2), (UNSETTLED, 1))
RENAMED = {Report(report).table: f"old_{number}" for number, (report, _) in enumerate(OLD_VERSIONS)}
OLD = World(
    "dbt-old",
    (
        Account(
            reports=(
                BALANCE,
                *(
                    Report(f"{report}.{version}", table_name=RENAMED[Report(report).table])
                    for report, version in OLD_VERSIONS
                ),
            )
        ),
    ),
    TENTH,
    0.1,
)


@pytest.mark.long
@pytest.mark.parametrize("world", [MIXED, OLD], ids=lambda world: world.name)
def test_any_dataset_is_built_as_it_is_read(world: World, project: Project, tmp_path: Path) -> None:
    pipeline = world.load(tmp_path)
    read = {name: in_order([tuple(row) for row in read_mart(pipeline, name).rows]) for name in MARTS}
    shaped = project.with_duckdb("shaped", tmp_path / "world.duckdb")
    settings = {"stripe_reports": list(load_catalog().bases()), "stripe_tables": RENAMED if world == OLD else {}}
    outcome = shaped.dbt("build", "--vars", json.dumps(settings), target="shaped")
    assert outcome.code == 0, outcome.text
    for name in MARTS:
        found = rows_in_file(tmp_path / "world.duckdb", name)
        assert found == read[name], name
        assert found or name == "stripe_open_items"
