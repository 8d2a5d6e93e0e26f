"""What a load makes a look cover, and what is there to compare: parts of history, grids, tables, connected accounts."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from stripe_reports_source import Report, load_reports
from stripe_reports_source.emulator import Emulator, EmulatorSettings
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.proof import reconcile
from stripe_reports_source.reconcile.scope import Scope
from tests.conftest import query, source_of
from tests.reconcile.plants import TABLES, payout
from tests.reconcile.test_plants import PLANTED
from tests.reconcile.worlds import NINE, SIX, Account, World, Worlds, alarms, looked, spoil, statuses, told

pytestmark = pytest.mark.long

FEBRUARY = datetime(2025, 2, 12, 12, tzinfo=timezone.utc)
KNOWN = {known.id.rpartition(".")[0] for known in load_catalog()}
ITEMIZED = "balance_change_from_activity.itemized"
DAILY = World("daily", (Account("shop", NINE, {"interval": "day"}),), FEBRUARY.replace(month=1, day=20))


def test_a_look_after_a_load_says_what_a_look_at_all_says_of_its_cells(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(DAILY, tmp_path)
    spoil(
        pipeline,
        f"DELETE FROM {TABLES['A']} WHERE _interval_day = '2025-01-08'",
        f"DELETE FROM {TABLES['S']} WHERE automatic_payout_id = (SELECT automatic_payout_id FROM {TABLES['S']} "
        "WHERE _interval_day = '2025-01-15' GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1)",
    )
    whole = {_key(statement): (statement.status, statement.difference) for statement in looked(pipeline)}
    touched = Scope(touched=frozenset({"shop|day|UTC|2025-01-08", "shop|day|UTC|2025-01-15"}))
    part = {_key(statement): (statement.status, statement.difference) for statement in looked(pipeline, touched)}
    differing = {key: said for key, said in whole.items() if said[0] == "variance"}
    assert {key: said for key, said in part.items() if said[0] == "variance"} == differing
    assert {key[0] for key in differing} >= {"settled_row_equals_activity_row", "payout_holds_what_names_it"}
    assert all(whole[key] == said for key, said in part.items())
    assert len(part) < len(whole)


def _key(statement: object) -> tuple[object, ...]:
    return tuple(getattr(statement, name) for name in ("equation", "account", "interval_key", "currency", "item"))


def test_reports_by_grids_of_their_own_are_compared_row_by_row(worlds: Worlds, tmp_path: Path) -> None:
    by_day = [Report(name, interval="day") if name == ITEMIZED else name for name in SIX]
    world = World("grids", (Account("shop", by_day),), FEBRUARY.replace(month=1, day=20))
    pipeline = worlds.copy(world, tmp_path)
    statements = looked(pipeline)
    assert told(statements, "variance", "stale", "pending") == []
    assert statuses(statements)["not_comparable"] > 0
    assert any(item.equation == "settled_row_equals_activity_row" and item.status == "tied" for item in statements)
    spoil(pipeline, f"DELETE FROM {TABLES['A']} WHERE _interval_day = '2025-01-10'")
    assert "settled_row_equals_activity_row" in alarms(looked(pipeline))


def test_where_grids_differ_each_interval_is_compared_with_the_one_before_it(worlds: Worlds, tmp_path: Path) -> None:
    accounts = (Account("shop", SIX), Account("stall", SIX, {"interval": "day"}))
    pipeline = worlds.copy(World("two_grids", accounts, FEBRUARY), tmp_path)
    february = FEBRUARY.date().replace(day=1)
    for scope in (Scope(since=february), Scope(touched=frozenset({f"shop|month|UTC|{february}"}))):
        statements = looked(pipeline, scope)
        assert told(statements, "variance", "stale", "pending") == []
        assert {"opening_equals_closing_before", "clearing_rolls_forward"} <= {
            item.equation for item in statements if item.status == "tied" and item.account == "shop"
        }


def test_tables_with_names_of_the_users_own_are_compared(worlds: Worlds, tmp_path: Path) -> None:
    renamed = [Report(name, table_name=f"fin_{number}") for number, name in enumerate(NINE)]
    pipeline = worlds.copy(World("renamed", (Account("shop", renamed),), FEBRUARY), tmp_path)
    statements = looked(pipeline)
    assert told(statements, "variance", "stale", "pending", "not_comparable") == []
    spoil(pipeline, "UPDATE fin_1 SET net = net + 0.01 WHERE _interval_day = '2025-02-01'")
    assert alarms(looked(pipeline)) >= {"row_adds_up", "activity_rows_equal_balance"}


@pytest.mark.parametrize("named", [True, False])
def test_connected_accounts_have_equations_of_their_own(named: bool, worlds: Worlds, tmp_path: Path) -> None:
    names = [f"connected_account_{name}" for name in NINE if f"connected_account_{name}" in KNOWN]
    source = {"connected_accounts": ["acct_emulated1", "acct_emulated2"]} if named else {}
    platform = Account("platform", names, source, {"all_types": True})
    pipeline = worlds.copy(World(f"connected_{named}", (platform,), FEBRUARY), tmp_path)
    statements = looked(pipeline)
    assert told(statements, "variance", "stale", "pending") == []
    tied = {item.equation for item in statements if item.status == "tied"}
    assert tied >= {"itemized_equals_summary", "settled_row_equals_activity_row", "payout_equals_its_rows"}
    spoil(pipeline, f"DELETE FROM connected_account_{TABLES['A']} WHERE _interval_day = '2025-01-01'")
    assert alarms(looked(pipeline)) >= {"itemized_equals_summary", "settled_row_equals_activity_row"}


def test_payouts_that_were_run_one_by_one_equal_their_rows(worlds: Worlds, tmp_path: Path) -> None:
    by_id = "payout_reconciliation.by_id.itemized"
    account = Account("shop", ["payouts.itemized", by_id], {}, {"all_types": True})
    pipeline = worlds.copy(World("by_id", (account,), FEBRUARY.replace(month=1, day=12)), tmp_path)
    statements = looked(pipeline)
    assert told(statements, "variance", "stale", "pending") == []
    assert any(item.equation == "payout_equals_its_rows" and item.status == "tied" for item in statements)
    table = by_id.replace(".", "_")
    names = {
        key.replace(f"|{by_id}|", "|") for (key,) in query(pipeline, f"SELECT DISTINCT _interval_key FROM {table}")
    }
    touched = Scope(touched=frozenset({"shop|month|UTC|2025-01-01", *names}))
    part = {_key(item): item.status for item in looked(pipeline, touched)}
    assert part == {_key(item): item.status for item in statements}
    chosen = f"(SELECT MIN(balance_transaction_id) FROM {table})"
    spoil(pipeline, f"UPDATE {table} SET net = net + 0.01 WHERE balance_transaction_id = {chosen}")
    assert alarms(looked(pipeline)) >= {"payout_equals_its_rows", "rows_stored_equal_file"}


def test_a_report_that_is_loaded_to_another_instant_is_pending(tmp_path: Path) -> None:
    world = World("pending", (Account("shop", SIX),), FEBRUARY)
    pipeline = world.load(tmp_path)
    later = EmulatorSettings(
        seed=0,
        scale=world.scale,
        business_start=FEBRUARY.date().replace(month=1, day=1),
        available_end=FEBRUARY.replace(day=14),
    )
    with Emulator(later) as emulator:
        load_reports(pipeline, source_of(emulator, [ITEMIZED], account="shop"))
    statements = looked(pipeline)
    assert told(statements, "variance", "stale") == []
    pending = [item for item in statements if item.status == "pending"]
    assert {item.equation for item in pending} >= {"activity_rows_equal_balance", "itemized_equals_summary"}
    assert all("the next sync" in item.reason for item in pending)


def test_reports_that_are_not_loaded_are_not_comparable_and_never_tied(worlds: Worlds, tmp_path: Path) -> None:
    four = ["balance.summary", ITEMIZED, "payouts.itemized", "payout_reconciliation.itemized"]
    statements = looked(worlds.copy(World("four", (Account("shop", four),), FEBRUARY), tmp_path))
    assert told(statements, "variance", "stale", "pending") == []
    of_closing = {item.status for item in statements if item.equation in ("unsettled_rows_equal_closing",)}
    assert of_closing == {"not_comparable"}
    assert {item.status for item in statements if item.equation == "activity_rows_equal_balance"} == {"tied"}


def test_history_that_begins_later_and_payouts_without_rows_are_no_variance(worlds: Worlds, tmp_path: Path) -> None:
    traits = ("reserves", "minimum_balance", "failed_payouts", "transit", "instant_payouts")
    account = Account("shop", NINE, {"start_date": "2025-02-01"}, {"traits": traits})
    world = World("later", (account,), datetime(2025, 4, 5, 12, tzinfo=timezone.utc), scale=0.2)
    assert told(looked(worlds.copy(world, tmp_path)), "variance", "stale", "pending") == []


def test_columns_of_the_users_choice_make_statements_not_comparable(worlds: Worlds, tmp_path: Path) -> None:
    few = [
        Report(name, columns=["balance_transaction_id", "net", "currency"]) if name == ITEMIZED else name
        for name in SIX
    ]
    statements = looked(worlds.copy(World("few", (Account("shop", few),), FEBRUARY), tmp_path))
    assert told(statements, "variance", "stale", "pending") == []
    reasons = {item.reason for item in statements if item.equation == "activity_rows_equal_balance"}
    assert len(reasons) == 1
    assert "loaded without the column gross: load it with all columns" in reasons.pop()


def test_without_a_ledger_nothing_is_said(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    spoil(pipeline, "DROP TABLE report_cells")
    assert looked(pipeline) == []
    spoil(pipeline, "DROP TABLE report_runs", "DROP TABLE report_freshness", "DROP TABLE tie_out")
    assert looked(pipeline) == []


def test_without_control_totals_the_equations_still_see_a_lost_payout(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    spoil(pipeline, "UPDATE report_runs SET control_totals = NULL")
    statements = looked(pipeline)
    assert {item.status for item in statements if item.equation == "rows_stored_equal_file"} == {"not_comparable"}
    batch = payout("S").replace("FROM P", f"FROM {TABLES['P']}")
    spoil(pipeline, f"DELETE FROM {TABLES['S']} WHERE {batch}")
    assert "payout_holds_what_names_it" in alarms(looked(pipeline))


def test_a_dataset_that_is_looked_at_again_says_the_same(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    first, second = reconcile(pipeline), reconcile(pipeline)
    assert [(_key(item), item.status) for item in first.statements] == [
        (_key(item), item.status) for item in second.statements
    ]
