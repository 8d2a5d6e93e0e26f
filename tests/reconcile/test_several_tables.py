"""A report in several tables, with another filter or by another grid: each is looked at by itself, none twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest

from stripe_reports_source import Report
from stripe_reports_source.reconcile.coverage import Coverage, CoveredCell
from stripe_reports_source.reconcile.scope import Scope
from tests.reconcile.plants import TABLES
from tests.reconcile.statements import covered, instant
from tests.reconcile.worlds import SIX, Account, World, Worlds, alarms, looked, spoil, told

A, S = TABLES["A"], TABLES["S"]
BESIDE = (
    Report("balance_change_from_activity.itemized", parameters={"currency": "eur"}, table_name="activity_eur"),
    Report("payout_reconciliation.itemized", interval="week", table_name="settled_week"),
)
SEVERAL = World(
    "several_tables",
    (Account("shop", SIX), *(Account("shop", [report], business={"seed": 0}) for report in BESIDE)),
    datetime(2025, 3, 1, tzinfo=timezone.utc),
)
LAST = "(SELECT MAX(balance_transaction_id) FROM {} WHERE _interval_day = '2025-02-01' AND currency = 'eur')"
OF_ONE = {
    "a copy in the table of a filter": (
        f"INSERT INTO activity_eur SELECT * FROM activity_eur WHERE balance_transaction_id = {LAST.format(A)}",
        {"rows_stored_equal_file", "transaction_once"},
    ),
    "a cent in the table of another grid": (
        "UPDATE settled_week SET gross = gross + 0.01, net = net + 0.01 "
        f"WHERE balance_transaction_id = {LAST.format(S)}",
        {"rows_stored_equal_file", "settled_row_equals_activity_row"},
    ),
    "a row that the table of another grid still has": (
        f"DELETE FROM {S} WHERE balance_transaction_id = {LAST.format(S)}",
        {"rows_stored_equal_file", "clearing_rolls_forward", "payout_equals_its_rows", "payout_holds_what_names_it"},
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("since", [None, "2025-02-01"])
def test_tables_beside_those_of_the_report_make_no_variance(since: str | None, worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(SEVERAL, tmp_path)
    scope = Scope() if since is None else Scope(frozenset({f"shop|month|UTC|{since}"}))
    statements = looked(pipeline, scope)
    assert told(statements, "variance", "stale", "pending") == []
    tied = {(item.equation, item.interval_key.rpartition("|")[0]) for item in statements if item.status == "tied"}
    assert ("settled_row_equals_activity_row", f"shop|{SIX[4]}|month|UTC") in tied
    if since is None:
        assert ("settled_row_equals_activity_row", f"shop|{SIX[4]}|week|UTC") in tied
        assert ("transaction_once", f'shop|{SIX[1]}|{{"currency":"eur"}}|month|UTC') in tied


@pytest.mark.parametrize("planted", OF_ONE)
def test_what_is_wrong_in_one_table_is_seen_though_another_holds_the_rows(
    planted: str, worlds: Worlds, tmp_path: Path
) -> None:
    pipeline = worlds.copy(SEVERAL, tmp_path)
    sql, caught = OF_ONE[planted]
    assert spoil(pipeline, sql) == 1
    assert alarms(looked(pipeline)) == caught


def _weeks(first_day: int, table: str = "settled_week") -> Sequence[CoveredCell]:
    return [
        covered(
            SIX[4],
            2,
            table=table,
            key=f"shop|{SIX[4]}|week|UTC|2025-02-{day:02}",
            day=instant(2, day).date(),
            start=instant(2, day),
            end=instant(2, day + 7),
        )
        for day in range(first_day, 22, 7)
    ]


def test_cells_that_another_table_holds_too_stand_beside_it_and_those_after_it_do_not() -> None:
    month = covered(SIX[4], 2, end=instant(2, 10), complete=False)
    weeks = _weeks(3)
    coverage = Coverage([*weeks, month])
    assert [cell.key for cell in coverage.beside.values()] == [weeks[0].key]
    assert coverage.spans(SIX[4], SIX[4])["shop|month|UTC"] == [(month.start, weeks[-1].end)]
    assert not Coverage(weeks).beside
    assert not Coverage([month, covered(SIX[4], 2, table="eur", lane='{"currency":"eur"}|week|UTC')]).beside
