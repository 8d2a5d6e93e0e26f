"""Rows that the ledger does not have, rows that say another place than their cell, and rows without a name.

Also what holds no rows of reports: tables that the user's own steps have made.
"""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from stripe_reports_source import reconcile
from stripe_reports_source.page.gather import gather
from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.reconcile.kept import kept_by_table, tables_of_no_cell
from stripe_reports_source.sync.verdicts import write_statements
from tests.reconcile.plants import STORED, TABLES
from tests.reconcile.worlds import SIX, Account, World, Worlds, looked, spoil

PLACES = World("places", (Account("shop", SIX),), datetime(2025, 3, 11, 12, tzinfo=timezone.utc))
ACTIVITY, PAYOUTS, BALANCE = TABLES["A"], TABLES["P"], TABLES["B"]
JANUARY, FEBRUARY = "interval_day = '2025-01-01'", "_interval_day = '2025-02-01'"


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
    assert {(it.account, it.item) for it in unlisted} == {("shop", table)}
    assert all("of an interval that the ledger does not have" in it.reason for it in unlisted)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        pytest.param(
            BALANCE, "DELETE FROM report_cells WHERE {} AND interval_day = '2025-01-01'", id="ledger row lost"
        ),
        pytest.param(
            PAYOUTS,
            "INSERT INTO payouts_itemized SELECT * REPLACE (DATE '2024-12-01' AS _interval_day, "
            "replace(_interval_key, '2025-01', '2024-12') AS _interval_key, "
            f"balance_transaction_id || '_' AS balance_transaction_id) FROM payouts_itemized WHERE _{JANUARY}",
            id="rows beside",
        ),
        pytest.param(BALANCE, "DELETE FROM report_cells WHERE {}", id="all lost", marks=pytest.mark.long),
    ],
)
def test_rows_that_the_ledger_has_lost_are_open_in_what_is_said_of_their_table(
    worlds: Worlds, tmp_path: Path, table: str, change: str
) -> None:
    """By `status`, and on the page."""
    pipeline = worlds.copy(PLACES, tmp_path)
    spoil(pipeline, change.format(f"table_name = '{table}'"))
    assert not reconcile(pipeline).ok
    assert " open" in kept_by_table(pipeline)[table, "shop"]
    said = {row["report"]: str(row["tie_out"]) for row in gather(pipeline).freshness}
    assert " open" in said[table]
    assert " open" not in said[ACTIVITY]


def test_payouts_that_differ_from_a_report_per_payout_are_open_in_what_is_said_of_it() -> None:
    """Its cells have keys of their own; the statement has the interval of the payouts."""
    base = "payout_reconciliation.by_id.itemized"
    key = f"a|b|{base}|month|UTC|2025-01-01"
    held = {base: {"by_id"}, "payouts.itemized": {"payouts"}}
    assert tables_of_no_cell("payout_equals_its_rows", "a|b", key, "po_1", held) == {"by_id"}
    assert tables_of_no_cell(STORED, "a|b", key, "second", held) == ("second",)
    assert tables_of_no_cell("cells_join", "a|b", "a|b|tax.itemized|month|UTC|2025-01-01", "", held) == ()


def test_rows_that_the_ledger_has_lost_stay_open_where_only_later_days_are_looked_at(
    worlds: Worlds, tmp_path: Path
) -> None:
    pipeline = worlds.copy(PLACES, tmp_path)
    spoil(pipeline, f"DELETE FROM report_cells WHERE table_name = '{BALANCE}' AND interval_day = '2025-02-01'")
    for since in (None, date(2025, 2, 1)):
        unlisted = [it for it in reconcile(pipeline, since=since).statements if it.item == BALANCE]
        assert [it.status for it in unlisted] == ["variance"]


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


KEYS = ["my-own-key", "default|payouts.itemized|day|UTC|2019-01-08"]


@pytest.mark.parametrize("more", [pytest.param({}, id="a key alone"), pytest.param({"_account": "shop"}, id="account")])
def test_a_table_of_the_users_own_with_some_columns_of_reports_is_not_looked_at(
    worlds: Worlds, tmp_path: Path, more: dict[str, str]
) -> None:
    """Such as a transformer's, which keeps the key that it replaces rows by."""
    pipeline = worlds.copy(PLACES, tmp_path)
    before = looked(pipeline)
    pipeline.run([{"_interval_key": key, **more} for key in KEYS], table_name="notes")
    assert looked(pipeline) == before


def test_rows_of_a_key_of_another_form_are_named(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLACES, tmp_path)
    row = f"SELECT * REPLACE ('{KEYS[0]}' AS _interval_key) FROM {PAYOUTS} LIMIT 1"
    assert spoil(pipeline, f"INSERT INTO {PAYOUTS} {row}") == 1
    for _ in range(2):  # what is kept of it is no hindrance to the next look
        statements = looked(pipeline)
        [said] = [statement for statement in statements if statement.interval_key == KEYS[0]]
        assert (said.account, said.interval_day, said.count_difference) == ("shop", None, 1)
        write_statements(pipeline, "stripe_reports", statements)
