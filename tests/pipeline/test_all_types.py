"""Every report type that Stripe has, once; reports per payout; types that the catalogue does not know; Connect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import ConfigurationError, Event, Report, SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.emulator.generic import columns_of
from stripe_reports_source.emulator.validation import default_columns
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.columns import column_name
from stripe_reports_source.warehouse.status import report_status
from tests.conftest import BOTH, query, source_of

pytestmark = pytest.mark.long

Make = Callable[..., Emulator]
UTC = timezone.utc
START, END = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 5, 12, tzinfo=UTC)
BY_ID = "payout_reconciliation.by_id.itemized"


@pytest.fixture
def platform(start_emulator: Make) -> Emulator:
    """An account that is offered everything, with four and a half days of data."""
    return start_emulator(all_types=True, available_start=START, available_end=END, business_start=date(2025, 2, 20))


def test_every_catalogued_type_loads(platform: Emulator, pipeline: Pipeline) -> None:
    payout = next(paid.id for paid in platform.ledger.payouts if START <= paid.effective < END)
    known_keys = {"payout": payout, "connected_account": "acct_emulated2"}
    catalog = list(load_catalog())
    assert len(catalog) == 101
    reports, keys = [], {}
    for number, known in enumerate(catalog):
        keys[known.id] = {name: value for name, value in known_keys.items() if name in known.required}
        reports.append(Report(known.id, table_name=f"t{number}", parameters=keys[known.id]))
    load_reports(pipeline, source_of(platform, reports, max_concurrent_runs=8))
    empty = []
    for number, known in enumerate(catalog):
        choice = {"columns": columns_of(known)} if known.columns and known.accepts("columns") else {}
        names = choice.get("columns", default_columns(known))
        listed = ", ".join(f'"{column_name(name, known=True)}"' for name in names)
        start = START if known.accepts("interval_start") else None
        end = END if known.accepts("interval_end") else None
        truth = platform.truth(known.id, start, end, **keys[known.id], **choice)
        # columns that are not documented are text
        wanted = Counter(truth if known.columns else [tuple(map(_as_text, row)) for row in truth])
        assert Counter(query(pipeline, f"SELECT {listed} FROM t{number}")) == wanted, known.id
        empty += [] if truth else [known.id]
    assert not empty, "without rows this says nothing"
    assert query(pipeline, "SELECT count(*) FROM report_runs") == [(101,)]


def _as_text(value: Any) -> Any:
    return value if value is None else str(value)


@BOTH
def test_a_report_for_each_payout_that_is_loaded(platform: Emulator, pipeline: Pipeline) -> None:
    def truth() -> dict[str, int]:
        end = platform.service.available_end
        payouts = [paid for paid in platform.ledger.payouts if START <= paid.effective < end]
        return {paid.id: len(paid.settles) for paid in payouts if paid.settles}

    def loaded() -> dict[str, int]:
        rows = query(
            pipeline, "SELECT automatic_payout_id, count(*) FROM payout_reconciliation_by_id_itemized GROUP BY 1"
        )
        return {str(payout): count for payout, count in rows}

    reports = [BY_ID, "payouts.itemized"]
    load_reports(pipeline, source_of(platform, reports))
    assert loaded() == truth()
    runs = len(platform.runs)
    load_reports(pipeline, source_of(platform, reports))
    assert len(platform.runs) == runs
    platform.advance(END + timedelta(days=2))
    load_reports(pipeline, source_of(platform, reports))
    assert loaded() == truth()
    new = [run for run in platform.runs[runs:] if run.report_type.startswith(BY_ID)]
    assert len(new) == len({run.parameters["payout"] for run in new}) > 0
    keys = query(
        pipeline,
        "SELECT count(*) FROM payout_reconciliation_by_id_itemized WHERE _interval_start IS NOT NULL "
        "OR _interval_day IS NOT NULL OR _interval_end IS NULL OR _interval_key <> concat(%s, automatic_payout_id, %s)",
        f'default|{BY_ID}|{{"payout":"',
        '"}',
    )
    assert keys == [(0,)]


def test_named_payouts_and_what_has_no_report(platform: Emulator, pipeline: Pipeline) -> None:
    payouts = [paid for paid in platform.ledger.payouts if START <= paid.effective < END][:2]
    events: list[Event] = []
    asked = [*(paid.id for paid in payouts), "po_manual"]
    report = Report(BY_ID, parameters={"payout": asked})
    load_reports(pipeline, source_of(platform, [report]), on_event=events.append)
    assert [event.message for event in events if event.kind == "skipped"] != []
    count = query(pipeline, "SELECT count(DISTINCT automatic_payout_id) FROM payout_reconciliation_by_id_itemized")
    assert count == [(2,)]


def test_a_report_per_payout_needs_payouts(platform: Emulator, pipeline: Pipeline) -> None:
    with pytest.raises(ConfigurationError, match=r"is run per payout: name them.*load 'payouts\.itemized'"):
        load_reports(pipeline, source_of(platform, [BY_ID]))
    assert list(platform.runs) == []


def test_a_type_that_the_catalogue_does_not_know(
    platform: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe offers a report of next year."""
    real = platform.service.list_types

    def list_types(live: bool) -> list[dict[str, Any]]:
        return [
            {**offer, "id": offer["id"].replace("payouts.itemized.3", "moonshot.itemized.9")} for offer in real(live)
        ]

    create = platform.service.create_run
    monkeypatch.setattr(platform.service, "list_types", list_types)
    monkeypatch.setattr(
        platform.service,
        "create_run",
        lambda name, *args, **options: create(
            name.replace("moonshot.itemized.9", "payouts.itemized.3"), *args, **options
        ),
    )
    load_reports(pipeline, source_of(platform, [Report("moonshot.itemized", types={"net": "decimal"})]))
    rows = query(pipeline, "SELECT net, typeof(gross), _report_type FROM moonshot_itemized")
    truth = platform.truth("payouts.itemized.3", START, END, columns=["net"])
    assert sorted(rows) == sorted((net, "VARCHAR", "moonshot.itemized.9") for (net,) in truth)


def test_one_revoked_account_does_not_stop_the_rest(start_emulator: Make, pipeline: Pipeline) -> None:
    accounts = tuple(f"acct_{number:03d}" for number in range(12))
    settings = {"all_types": True, "available_start": START, "available_end": END, "connected_accounts": accounts}
    emulator = start_emulator(revoked_accounts=accounts[5:6], **settings)
    report = "connected_account_balance_change_from_activity.itemized"
    source = source_of(emulator, [report], connected_accounts=iter(accounts), interval="day")
    with pytest.raises(SyncFailed) as caught:
        load_reports(pipeline, source)
    assert {failure.account for failure in caught.value.failures} == {f"default/{accounts[5]}"}
    assert "has been revoked" in str(caught.value)
    found = query(
        pipeline,
        "SELECT connected_account, count(*) FROM connected_account_balance_change_from_activity_itemized GROUP BY 1",
    )
    wanted = {
        account: len(
            emulator.truth(f"{report}.3", START, END, connected_account=account, columns=["connected_account"])
        )
        for account in accounts
        if account != accounts[5]
    }
    assert dict(found) == wanted
    runs = len(emulator.runs)
    with pytest.raises(SyncFailed):
        load_reports(pipeline, source_of(emulator, [report], connected_accounts=accounts, interval="day"))
    assert len(emulator.runs) == runs  # the others have nothing new


def test_a_test_key_is_told_what_it_lacks(start_emulator: Make, pipeline: Pipeline) -> None:
    emulator = start_emulator(live_only=("payouts.itemized.3", "payouts.itemized.2", "payouts.itemized.1"))
    with pytest.raises(ConfigurationError, match=r"not offered to this account or key.*need a live key"):
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"], api_key=emulator.settings.test_keys[0]))
    assert list(emulator.runs) == []


def test_on_behalf_of_an_account(emulator: Emulator, pipeline: Pipeline) -> None:
    for account in ("acct_a", "acct_b", "acct_a"):
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"], stripe_account=account))
    assert {request.headers.get("stripe-account") for request in emulator.requests} == {"acct_a", "acct_b"}
    window = emulator.settings.first_available, emulator.settings.available_end
    columns = ["payout_id", "balance_transaction_id", "net"]
    wanted = {
        (account, *row)
        for account in ("acct_a", "acct_b")
        for row in emulator.truth("payouts.itemized.3", *window, stripe_account=account, columns=columns)
    }
    assert len({row[1] for row in wanted if row[0] == "acct_a"} & {row[1] for row in wanted if row[0] == "acct_b"}) == 0
    found = query(pipeline, "SELECT _account, payout_id, balance_transaction_id, net FROM payouts_itemized")
    assert set(found) == wanted
    assert len(found) == len(wanted) > 0
    assert len(emulator.runs) == 2 * 3
    keys = query(pipeline, "SELECT DISTINCT split_part(_interval_key, '|', 1) FROM payouts_itemized ORDER BY 1")
    assert keys == [("acct_a",), ("acct_b",)]


def test_each_type_is_loaded_as_far_as_its_own_data_reaches(emulator: Emulator, pipeline: Pipeline) -> None:
    end = emulator.settings.available_end
    emulator.service.set_availability("payouts.itemized.3", end=end + timedelta(hours=12))
    emulator.service.set_availability("tax.transactions.itemized.2", end=end - timedelta(days=2))
    load_reports(pipeline, source_of(emulator, ["payouts.itemized", "tax.transactions.itemized"]))
    offered = query(pipeline, "SELECT id, data_available_end FROM report_types")
    found = report_status(pipeline, dict(offered))
    assert {(report.table, report.loaded_to, report.behind) for report in found} == {
        ("payouts_itemized", end + timedelta(hours=12), timedelta(0)),
        ("tax_transactions_itemized", end - timedelta(days=2), timedelta(0)),
    }


def test_all_accounts_and_one_by_one_do_not_mix(platform: Emulator, pipeline: Pipeline) -> None:
    report = "connected_account_payouts.itemized"
    accounts = platform.settings.connected_accounts
    load_reports(pipeline, source_of(platform, [report], connected_accounts=accounts[:2]))
    load_reports(pipeline, source_of(platform, [report], connected_accounts=accounts))  # one more is fine
    runs = len(platform.runs)
    with pytest.raises(ConfigurationError, match="holds one run per account; connected_accounts now asks for all"):
        load_reports(pipeline, source_of(platform, [report]))
    load_reports(pipeline, source_of(platform, [Report(report, table_name="together")]))
    with pytest.raises(ConfigurationError, match="holds all accounts in one run"):
        load_reports(
            pipeline, source_of(platform, [Report(report, table_name="together")], connected_accounts=accounts)
        )
    assert len(platform.runs) == runs + 1
    counts = query(pipeline, "SELECT (SELECT count(*) FROM connected_account_payouts_itemized), count(*) FROM together")
    assert counts[0][0] == counts[0][1] > 0
