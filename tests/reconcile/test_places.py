"""Rows that the ledger does not have, rows that say another place than their cell, and rows without a name."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from stripe_reports_source.plan.system_tables import Statement
from tests.reconcile.plants import STORED, TABLES
from tests.reconcile.worlds import SIX, Account, World, Worlds, looked, spoil

PLACES = World("places", (Account("shop", SIX),), datetime(2025, 3, 11, 12, tzinfo=timezone.utc))
ACTIVITY, PAYOUTS, BALANCE = TABLES["A"], TABLES["P"], TABLES["B"]
FEBRUARY = "_interval_day = '2025-02-01'"


def found(worlds: Worlds, folder: Path, *statements: str) -> list[Statement]:
    """What differs in a copy that was changed."""
    pipeline = worlds.copy(PLACES, folder)
    assert spoil(pipeline, *statements) > 0
    return [statement for statement in looked(pipeline) if statement.status == "variance"]


@pytest.mark.parametrize(("table", "days"), [(ACTIVITY, ["2025-01-01"]), (PAYOUTS, []), (BALANCE, ["2025-01-01"])])
def test_rows_of_intervals_that_the_ledger_has_lost_are_named(
    worlds: Worlds, tmp_path: Path, table: str, days: list[str]
) -> None:
    """Also those before all that it has, and those of a table that it does not know any more."""
    lost = f" AND interval_day IN ('{days[0]}')" if days else ""
    wrong = found(worlds, tmp_path, f"DELETE FROM report_cells WHERE table_name = '{table}'{lost}")
    unlisted = [it for it in wrong if it.equation == STORED]
    assert [str(it.interval_day) for it in unlisted] == (days or ["2025-01-01", "2025-02-01", "2025-03-01"])
    assert {it.account for it in unlisted} == {"shop"}
    assert all("of an interval that the ledger does not have" in it.reason for it in unlisted)


@pytest.mark.parametrize("table", [ACTIVITY, BALANCE])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("_account", "store"),
        ("_interval_day", "2025-03-01"),
        ("_interval_start", "2025-02-02"),
        ("_interval_end", "2025-02-27"),
    ],
)
def test_a_row_that_says_another_place_than_its_cell_differs(
    worlds: Worlds, tmp_path: Path, table: str, column: str, value: str
) -> None:
    row = f"SELECT max(rowid) FROM {table} WHERE {FEBRUARY} AND currency = 'usd'"
    wrong = found(worlds, tmp_path, f"UPDATE {table} SET {column} = '{value}' WHERE rowid = ({row})")
    [said] = [it for it in wrong if it.equation == STORED]
    assert (said.item, str(said.interval_day)) == (column, "2025-02-01")
    assert said.reason.endswith(f"another {column} than the ledger has of their interval: load it again.")


def test_a_row_without_a_category_is_seen_beside_those_that_tie(worlds: Worlds, tmp_path: Path) -> None:
    """Its item is empty, as that of the statement about all that tie."""
    row = (
        f"SELECT * REPLACE (NULL AS reporting_category, 'txn_new' AS balance_transaction_id, 0 AS gross, 0 AS fee, "
        f"0 AS net, NULL AS automatic_payout_id) FROM {ACTIVITY} WHERE {FEBRUARY} AND currency = 'usd' LIMIT 1"
    )
    wrong = found(worlds, tmp_path, "UPDATE report_runs SET control_totals = NULL", f"INSERT INTO {ACTIVITY} {row}")
    assert [(it.equation, it.item, it.count_difference) for it in wrong] == [("itemized_equals_summary", "", 1)]
