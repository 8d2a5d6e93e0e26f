"""Datasets of every shape: the marts say the truth, or nothing, of days, weeks, zones, versions, filters, tables."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt import Pipeline

from stripe_reports_source import Report, load_reports
from stripe_reports_source.emulator import Emulator, EmulatorSettings
from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.marts import MARTS, create_views, open_marts, read_mart
from stripe_reports_source.marts.inputs import REPORT_INPUTS
from stripe_reports_source.warehouse.stored_schemas import restore_schemas, stored_columns
from tests.conftest import query, source_of
from tests.marts.test_truth import (
    AMOUNTS,
    BY_CATEGORY,
    DAILY,
    ROLLFORWARD,
    assert_equal,
    assert_true,
    chosen,
    differing,
)
from tests.marts.truth import Truth
from tests.reconcile.worlds import SIX, VERSIONS, ZONES, Account, World, Worlds, spoil

TENTH = datetime(2025, 1, 10, 12, tzinfo=timezone.utc)
FEBRUARY = datetime(2025, 2, 12, 12, tzinfo=timezone.utc)
ACTIVITY, BALANCE, PAYOUTS = "balance_change_from_activity.itemized", "balance.summary", "payouts.itemized"
BY_ID = "payout_reconciliation.by_id.itemized"
SETTLED, UNSETTLED = "payout_reconciliation.itemized", "ending_balance_reconciliation.itemized"
_AMOUNTS = ["balance_transaction_id", "currency", "gross", "fee", "net", "reporting_category"]
UTC_ONLY = (
    BALANCE,
    Report(ACTIVITY, columns=[*_AMOUNTS, "created_utc", "automatic_payout_id"], table_name="moves"),
    Report(PAYOUTS, columns=[*_AMOUNTS, "payout_id", "effective_at_utc"], table_name="paid_out"),
    Report(
        SETTLED,
        columns=[*_AMOUNTS, "created_utc", "automatic_payout_id", "automatic_payout_effective_at_utc"],
        table_name="batches",
    ),
    Report(UNSETTLED, columns=[*_AMOUNTS, "created_utc"], table_name="not_paid"),
)
OLD = (BALANCE, f"{ACTIVITY}.1", f"{PAYOUTS}.1", f"{SETTLED}.2", f"{UNSETTLED}.1")
SHAPES = (
    World("marts-days", (Account(source={"interval": "day", "timezone": "Australia/Lord_Howe"}),), TENTH, 0.2),
    World("marts-weeks-grid", (Account(source={"interval": "week", "timezone": "Europe/Berlin"}),), FEBRUARY, 0.1),
    World("marts-utc-only", (Account(reports=UTC_ONLY, source={"timezone": "Asia/Kolkata"}),), FEBRUARY, 0.1),
    World("marts-old", (Account(reports=OLD),), FEBRUARY, 0.1),
)


@pytest.mark.first(1)
@pytest.mark.parametrize(
    "world",
    [*(pytest.param(world, marks=pytest.mark.long) for world in SHAPES[:2]), *SHAPES[2:]],
    ids=lambda world: world.name,
)
def test_days_weeks_zones_renamed_tables_and_old_versions(world: World, worlds: Worlds, tmp_path: Path) -> None:
    with open_marts(worlds.copy(world, tmp_path)) as marts:
        assert_true(marts, world)
        assert [marts.notes(name) for name in MARTS if marts.notes(name)] == []


@pytest.fixture
def weeks(worlds: Worlds, tmp_path: Path) -> Pipeline:
    """A copy of a small dataset, which a test may spoil."""
    return worlds.copy(SHAPES[3], tmp_path)


def not_loaded(pipeline: Pipeline, *tables: str) -> None:
    """Make it a dataset into which these tables were never loaded."""
    for table in tables:
        spoil(pipeline, f"DELETE FROM report_cells WHERE table_name = '{table}'", f"DROP TABLE {table}")


@pytest.mark.long
def test_without_the_balance_there_are_movements_but_no_balance(weeks: Pipeline) -> None:
    truth = Truth.of(SHAPES[3], 0)
    not_loaded(weeks, "balance_summary")
    found = read_mart(weeks, "stripe_balance_rollforward")
    assert found.notes == ("balance.summary is not loaded.",)
    known = [row for row in found.dicts() if not row["category"].endswith("_balance")]
    wanted = {row for row in truth.rollforward() if not row[3].endswith("_balance")}
    assert differing(Counter(tuple(row[name] for name in ROLLFORWARD) for row in known), wanted) == []
    for row in found.dicts():
        if row["category"] == "closing_balance":
            assert (row["closing"], row["difference"]) == (None, None)
        assert not row["is_complete"]
        assert row["up_to"] is None
    daily = read_mart(weeks, "stripe_daily_balance").dicts()
    assert {(row["opening"], row["closing"], row["difference"]) for row in daily} == {(None, None, None)}
    assert sum(row["net"] for row in daily) == sum(move.net for move in truth.movements if not move.payout)


def test_without_activity_only_what_stripe_states_is_a_balance(weeks: Pipeline) -> None:
    truth = Truth.of(SHAPES[3], 0)
    not_loaded(weeks, "balance_change_from_activity_itemized")
    found = read_mart(weeks, "stripe_balance_rollforward")
    assert found.notes == ("balance_change_from_activity.itemized is not loaded.",)
    wanted = {row[:4]: row[9] for row in truth.rollforward() if row[3] == "closing_balance"}
    closing = {
        tuple(row[name] for name in ROLLFORWARD[:4]): row for row in found.dicts() if "closing" in row["category"]
    }
    assert {key: row["closing"] for key, row in closing.items()} == wanted
    assert {row["difference"] for row in closing.values()} == {None}
    known = [row for row in read_mart(weeks, "stripe_daily_balance").dicts() if row["closing"] is not None]
    assert {row["day"] for row in known} == {date(2025, 1, 31), date(2025, 2, 12)}


def test_without_payout_reconciliation_a_payout_has_no_number_of_rows(weeks: Pipeline) -> None:
    not_loaded(weeks, "payout_reconciliation_itemized")
    found = read_mart(weeks, "stripe_payouts")
    assert found.rows
    assert found.notes == ("payout_reconciliation.itemized is not loaded.",)
    assert {(row["row_count"], row["rows_net"], row["difference"]) for row in found.dicts()} == {(None, None, None)}
    assert read_mart(weeks, "stripe_payout_transactions").rows == []


def test_reports_that_end_at_different_instants_are_not_compared(weeks: Pipeline) -> None:
    before = read_mart(weeks, "stripe_balance_rollforward", since=date(2025, 2, 1)).dicts()
    spoil(
        weeks,
        "UPDATE report_cells SET interval_end = interval_end - INTERVAL 1 HOUR "
        "WHERE table_name = 'balance_change_from_activity_itemized' AND NOT complete",
    )
    after = read_mart(weeks, "stripe_balance_rollforward", since=date(2025, 2, 1)).dicts()
    assert [row["closing"] for row in before] == [row["closing"] for row in after]
    assert {row["difference"] for row in before if row["category"] == "closing_balance"} == {0}
    assert {row["difference"] for row in after if row["category"] == "closing_balance"} == {None}


def test_a_cent_is_a_difference_in_its_month_and_no_other(weeks: Pipeline) -> None:
    changed = spoil(
        weeks,
        "UPDATE balance_change_from_activity_itemized SET net = net + 0.01, gross = gross + 0.01 "
        "WHERE balance_transaction_id = (SELECT MIN(balance_transaction_id) "
        "FROM balance_change_from_activity_itemized WHERE _interval_day = '2025-01-01' AND currency = 'eur')",
    )
    assert changed == 1
    for mart, grain in (("stripe_balance_rollforward", "month"), ("stripe_daily_balance", "day")):
        rows = read_mart(weeks, mart).dicts()
        found = {(row[grain], row["currency"]): row["difference"] for row in rows if row["difference"]}
        day = date(2025, 1, 1 if grain == "month" else 31)
        assert found == {(day, "eur"): Decimal("-0.01")}


@pytest.mark.long
def test_a_gap_has_no_rows_and_the_balance_opens_again_after_it(worlds: Worlds, tmp_path: Path) -> None:
    world = SHAPES[0]
    pipeline, truth = worlds.copy(world, tmp_path), Truth.of(world, 0)
    days = "BETWEEN DATE '2025-01-05' AND DATE '2025-01-06'"
    for report in SIX:
        table = report.replace(".", "_")
        spoil(pipeline, f"DELETE FROM {table} WHERE _interval_day {days}")
    spoil(pipeline, f"DELETE FROM report_cells WHERE interval_day {days}")
    gap = (date(2025, 1, 5), date(2025, 1, 6))
    with open_marts(pipeline) as marts:
        wanted = {row for row in truth.daily() if row[1] not in gap}
        assert differing(chosen(marts, "stripe_daily_balance", DAILY), wanted) == []


@pytest.mark.long
def test_reports_of_different_grids_give_the_balance_of_each_day(worlds: Worlds, tmp_path: Path) -> None:
    reports = (BALANCE, Report(ACTIVITY, interval="day"), Report(PAYOUTS, interval="week"), SETTLED, UNSETTLED)
    world = World("marts-grids", (Account(reports=reports),), TENTH, 0.1)
    with open_marts(worlds.copy(world, tmp_path)) as marts:
        assert_true(marts, world)


@pytest.mark.long
def test_of_two_tables_with_a_report_one_counts(worlds: Worlds, tmp_path: Path) -> None:
    twice = (
        *SIX,
        Report(BALANCE, interval="day", table_name="balance_daily"),
        Report(ACTIVITY, interval="day", table_name="activity_daily"),
        Report(ACTIVITY, parameters={"reporting_category": "refund"}, table_name="refunds"),
        Report(PAYOUTS, parameters={"currency": "eur"}, table_name="euros"),
    )
    world = World("marts-twice", (Account(reports=twice),), TENTH, 0.1)
    with open_marts(worlds.copy(world, tmp_path)) as marts:
        assert_true(marts, world)
        assert marts.notes("stripe_activity_by_category") == (
            "Table refunds is not read: it holds only rows of {'reporting_category': 'refund'}.",
            "Table activity_daily is not read for account 'default': "
            "balance_change_from_activity_itemized has its rows.",
            "Table euros is not read: it holds only rows of {'currency': 'eur'}.",
        )


def test_tables_with_a_filter_do_not_count(worlds: Worlds, tmp_path: Path) -> None:
    euros = [Report(report, parameters={"currency": "eur"}) for report in (ACTIVITY, BALANCE)]
    with open_marts(worlds.copy(World("marts-euros", (Account(reports=euros),), TENTH, 0.1), tmp_path)) as marts:
        found = marts.rows("stripe_balance_rollforward")
        assert found.rows == []
        assert "Table balance_summary is not read: it holds only rows of {'currency': 'eur'}." in found.notes


@pytest.mark.long
def test_a_dataset_is_read_under_another_pipelines_name(weeks: Pipeline, tmp_path: Path) -> None:
    wanted = {name: read_mart(weeks, name).rows for name in MARTS}
    destination = dlt.destinations.duckdb(str(tmp_path / "world.duckdb"))
    other = dlt.pipeline("other", str(tmp_path / "elsewhere"), destination=destination, dataset_name="stripe")
    assert {name: read_mart(other, name).rows for name in MARTS} == wanted


@pytest.mark.long
def test_a_report_per_payout_fills_in_what_is_in_payouts(worlds: Worlds, tmp_path: Path) -> None:
    world = World("marts-by-id", (Account(reports=[PAYOUTS, BY_ID], business={"all_types": True}),), TENTH, 0.2)
    with open_marts(worlds.copy(world, tmp_path)) as marts:
        truth = Truth.of(world, 0)
        columns = ("account", "payout_id", *AMOUNTS)
        found = chosen(marts, "stripe_payout_transactions", columns)
        assert differing(found, truth.payout_transactions()) == []
        payouts = marts.rows("stripe_payouts").dicts()
        assert {row["payout_id"]: row["row_count"] for row in payouts} == {
            payout.id: len(payout.settles) for payout in truth.payouts
        }
        assert {row["difference"] for row in payouts} == {0}


def test_what_the_chart_does_not_name_goes_to_the_suspense_account(weeks: Pipeline, tmp_path: Path) -> None:
    spoil(weeks, "UPDATE balance_change_from_activity_itemized SET reporting_category = 'new' WHERE currency = 'eur'")
    lines = read_mart(weeks, "stripe_journal_lines").dicts()
    suspense = {(line["ledger_account"], line["currency"]) for line in lines if line["source"] == "new"}
    assert suspense == {("Stripe suspense", "eur"), ("Stripe balance", "eur")}
    chart = tmp_path / "chart.csv"
    chart.write_text("category,entry,ledger_account\nnew,gross,4711\n")
    booked = read_mart(weeks, "stripe_journal_lines", ledger_accounts=chart).dicts()
    assert {line["ledger_account"] for line in booked if line["source"] == "new"} == {"4711", "Stripe balance"}
    for rows in (lines, booked):
        assert sum(line["debit"] - line["credit"] for line in rows) == 0


def test_an_empty_dataset_has_no_rows_and_says_so(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = World("marts-empty", (), TENTH).pipeline(tmp_path)
    with open_marts(pipeline) as marts:
        for name in MARTS:
            found = marts.rows(name)
            assert found.rows == []
            assert found.notes


@pytest.mark.long
def test_rows_are_chosen_by_day_and_account(weeks: Pipeline) -> None:
    for mart in MARTS.values():
        rows = read_mart(weeks, mart.name).dicts()
        since, until = date(2025, 1, 20), date(2025, 2, 1)
        wanted = [row for row in rows if since <= row[mart.day] < until]
        assert read_mart(weeks, mart.name, since=since, until=until, accounts=["default", "it's"]).dicts() == wanted
        assert (
            read_mart(weeks, mart.name, accounts=[]).rows == read_mart(weeks, mart.name, accounts=["it's"]).rows == []
        )


def test_the_sql_of_a_mart_runs_as_it_stands_in_whatever_zone_the_reader_sits(weeks: Pipeline, tmp_path: Path) -> None:
    found = {name: read_mart(weeks, name) for name in MARTS}
    with duckdb.connect(str(tmp_path / "world.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        for name, mart in found.items():
            assert connection.execute(mart.sql).fetchall() == mart.rows, name


def test_a_query_over_marts_may_have_parts_of_its_own(weeks: Pipeline) -> None:
    with open_marts(weeks) as marts:
        fees = marts.answer("SELECT currency, SUM(fee) FROM {stripe_fees} GROUP BY currency ORDER BY currency")
        parts = marts.answer(
            "\nwith fees AS (SELECT currency, fee FROM {stripe_fees}) "
            "SELECT currency, SUM(fee) FROM fees GROUP BY currency ORDER BY currency"
        )
    assert fees == parts
    assert len(fees) > 1


def test_the_views_have_the_rows_of_the_marts(weeks: Pipeline) -> None:
    create_views(weeks)
    views = create_views(weeks)  # in place of the first ones
    assert len(views) == len(MARTS)
    for view, name in zip(views, MARTS, strict=True):
        assert Counter(query(weeks, f"SELECT * FROM {view}")) == Counter(read_mart(weeks, name).rows)


CONNECTED = ("acct_emulated1", "acct_emulated2", "acct_emulated3")


def platform(name: str, *reports: Any, **source: Any) -> World:
    """A platform whose reports over connected accounts are loaded."""
    of_connected = [f"connected_account_{report}" for report in (BALANCE, ACTIVITY, PAYOUTS, SETTLED, UNSETTLED)]
    return World(name, (Account("platform", [*reports, *of_connected], source, {"all_types": True}),), TENTH, 0.1)


@pytest.mark.long
def test_a_platforms_runs_for_each_account_are_whole_accounts(worlds: Worlds, tmp_path: Path) -> None:
    world = platform("marts-each", *SIX, connected_accounts=CONNECTED[:2])
    truths = [Truth.of(world, 0), *(Truth.of(world, 0, account) for account in CONNECTED[:2])]
    with open_marts(worlds.copy(world, tmp_path)) as marts:
        assert_equal(marts, truths)


@pytest.mark.long
def test_a_platforms_runs_over_all_accounts_have_movements_and_no_balances(worlds: Worlds, tmp_path: Path) -> None:
    world = platform("marts-all", BALANCE)
    truths = [Truth.of(world, 0, account) for account in CONNECTED]
    with open_marts(worlds.copy(world, tmp_path)) as marts:
        wanted = set().union(*(truth.by_category() for truth in truths))
        assert differing(chosen(marts, "stripe_activity_by_category", BY_CATEGORY), wanted) == []
        rows = marts.rows("stripe_balance_rollforward")
        assert {row["account"] for row in rows.dicts() if row["category"].endswith("_balance")} == {"platform"}
        assert any("connected_account_balance_summary is not read" in note for note in rows.notes)
        of_payouts = set().union(*(truth.payout_transactions() for truth in truths))
        columns = ("account", "payout_id", *AMOUNTS)
        assert differing(chosen(marts, "stripe_payout_transactions", columns), of_payouts) == []


@pytest.mark.long
def test_accounts_in_one_table_may_differ_in_how_connected_accounts_are_run(worlds: Worlds, tmp_path: Path) -> None:
    of_connected = (f"connected_account_{ACTIVITY}", f"connected_account_{PAYOUTS}")
    ids = ("acct_eu1", "acct_eu2"), CONNECTED
    accounts = (
        Account("eu", of_connected, {}, {"all_types": True, "connected_accounts": ids[0]}),
        Account("us", of_connected, {"connected_accounts": CONNECTED}, {"all_types": True}),
    )
    world = World("marts-mixed", accounts, TENTH, 0.1)
    truths = [Truth.of(world, place, account) for place in range(2) for account in ids[place]]
    with open_marts(worlds.copy(world, tmp_path)) as marts:
        wanted = set().union(*(truth.by_category() for truth in truths))
        assert differing(chosen(marts, "stripe_activity_by_category", BY_CATEGORY), wanted) == []


@pytest.mark.long
def test_a_working_folder_that_is_behind_reads_what_is_there_now(tmp_path: Path) -> None:
    """Another machine has loaded more columns, then fewer; each folder has its own schema of dlt's."""
    destination = dlt.destinations.duckdb(str(tmp_path / "world.duckdb"))
    behind, ahead, reader = (
        dlt.pipeline(name, str(tmp_path / folder), destination=destination, dataset_name="stripe")
        for name, folder in (("world", "behind"), ("world", "ahead"), ("reader", "reads"))
    )
    settings = EmulatorSettings(business_start=date(2025, 1, 1), available_end=FEBRUARY, scale=0.1, pending_polls=0)
    with Emulator(settings) as emulator:
        without_fee = Report(ACTIVITY, columns=[name for name in _AMOUNTS if name != "fee"] + ["created_utc"])
        load_reports(behind, source_of(emulator, [without_fee], end_date="2025-02-01"))
        restore_schemas(reader)
        assert "fee" not in stored_columns(reader)["balance_change_from_activity_itemized"]
        load_reports(ahead, source_of(emulator, [ACTIVITY], start_date="2025-02-01"))
        restore_schemas(reader)
        whole = read_mart(ahead, "stripe_fees")
        assert whole.rows
        assert any(row["card_brand"] for row in whole.dicts())
        for pipeline in (behind, reader):
            assert read_mart(pipeline, "stripe_fees") == whole
        for schema in reader.schemas.values():
            assert "card_brand" in schema.tables["balance_change_from_activity_itemized"]["columns"]
        create_views(behind)
        assert query(ahead, "SELECT COUNT(*) FROM stripe_marts.stripe_fees") == [(len(whole.rows),)]
    spoil(ahead, "ALTER TABLE balance_change_from_activity_itemized DROP COLUMN fee")
    assert read_mart(behind, "stripe_fees").notes == (
        "Table balance_change_from_activity_itemized is not read: "
        "it is loaded without the column fee, or not as its type.",
    )
    spoil(ahead, "DROP TABLE balance_change_from_activity_itemized CASCADE")
    assert read_mart(behind, "stripe_fees").notes == (
        "Table balance_change_from_activity_itemized is not read: it is not in the database.",
    )


@pytest.mark.long
def test_rows_of_an_older_version_have_their_payout_day_beside_those_of_a_newer_one(
    worlds: Worlds, tmp_path: Path
) -> None:
    with open_marts(worlds.copy(VERSIONS, tmp_path)) as marts:
        found = chosen(marts, "stripe_payout_transactions", ("account", "payout_id", *AMOUNTS))
        assert differing(found, Truth.of(VERSIONS, 0).payout_transactions()) == []
        rows = marts.rows("stripe_payout_transactions", since=date(2025, 1, 1), until=date(2026, 1, 1))
        assert len(rows.rows) == sum(found.values())
        for row in rows.dicts():
            assert row["payout_day"] == row["payout_effective_at_utc"].date()
            assert row["payout_effective_at"] in (None, row["payout_effective_at_utc"].replace(tzinfo=None))
        local = {row["payout_effective_at"] is not None for row in rows.dicts() if row["payout_day"].month == 2}
        assert local == {True}


def test_a_balance_is_not_compared_with_rows_of_another_zone(worlds: Worlds, tmp_path: Path) -> None:
    with open_marts(worlds.copy(ZONES, tmp_path)) as marts:
        for name in ("stripe_balance_rollforward", "stripe_daily_balance"):
            found = marts.rows(name)
            assert found.notes == (
                f"Table {ACTIVITY.replace('.', '_')} of account 'shop' has days of America/New_York, its balance those "
                "of UTC: they are not compared; load all reports with one timezone.",
            )
            stated = [row for row in found.dicts() if row.get("category", "closing_balance") == "closing_balance"]
            assert stated
            assert {row["difference"] for row in stated} == {None}
        days = marts.rows("stripe_daily_balance").dicts()
        assert {row["day"] for row in days if row["closing"] is not None} == {date(2025, 1, 31), date(2025, 2, 12)}
        assert marts.notes("stripe_activity_by_category") == ()


def test_a_query_may_ask_an_input_for_any_column(weeks: Pipeline) -> None:
    with open_marts(weeks) as marts:
        [(count, net)] = marts.answer("SELECT COUNT(*), SUM(NET) FROM {activity}")
        assert [(count, net)] == query(weeks, "SELECT COUNT(*), SUM(net) FROM balance_change_from_activity_itemized")
        assert marts.answer("SELECT COUNT(*) FROM {activity}") == [(count,)]
        [first, *_] = marts.answer("SELECT * FROM {activity} LIMIT 1")
        assert len(first) == len(REPORT_INPUTS["activity"].names)


def test_what_cannot_be_asked_for_is_refused_in_a_sentence(weeks: Pipeline, tmp_path: Path) -> None:
    wrong: Any = "2025-02-01"
    with open_marts(weeks) as marts:
        for asked in ("SELECT 1", "SELECT * FROM {stripe_feez}"):
            with pytest.raises(ConfigurationError, match=r"the query names .*; there are stripe_balance_rollforward, "):
                marts.answer(asked)
        with pytest.raises(ConfigurationError, match=r"accounts 'default' must be a list, such as \['default'\]"):
            marts.rows("stripe_fees", accounts="default")
        for name in ("since", "until"):
            with pytest.raises(ConfigurationError, match=f"{name} '2025-02-01' must be a date, such as"):
                marts.rows("stripe_fees", **{name: wrong})
    chart = tmp_path / "chart.csv"
    chart.write_text("category,entry,ledger_account\ncharge,gross,4711\n")
    lines = read_mart(weeks, "stripe_journal_lines", ledger_accounts=str(chart)).dicts()
    assert "4711" in {line["ledger_account"] for line in lines}
