"""Columns come, go, change meaning and are refused over the years; tables go on, and nothing changes its type."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import ConfigurationError, Report, SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.table_texts import table_texts
from tests.conftest import BOTH, FIRST_OF_BOTH, query, source_of

Make = Callable[..., Emulator]
UTC = timezone.utc
ACTIVITY = "balance_change_from_activity.itemized"
TABLE = "balance_change_from_activity_itemized"
SETTLED = "payout_reconciliation.itemized"


def advance(emulator: Emulator, days: int = 1) -> None:
    emulator.advance(emulator.service.available_end + timedelta(days=days))


def types_of(pipeline: Pipeline, table: str) -> dict[str, str]:
    rows = query(
        pipeline,
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND table_schema = %s",
        table,
        pipeline.dataset_name,
    )
    return dict(rows)


@FIRST_OF_BOTH
def test_a_metadata_key_comes_and_goes(emulator: Emulator, pipeline: Pipeline) -> None:
    def filled(column: str) -> list[tuple[Any, ...]]:
        return query(
            pipeline,
            f"SELECT _interval_key LIKE '%%-01-01', count({column}) > 0 FROM {TABLE} "
            "WHERE _interval_key LIKE '%%-01-01' OR _interval_key LIKE '%%-03-01' GROUP BY 1 ORDER BY 1",
        )

    load_reports(pipeline, source_of(emulator, [Report(ACTIVITY, metadata=["payment_metadata[order_id]"])]))
    advance(emulator)
    both = [Report(ACTIVITY, metadata=["payment_metadata[order_id]", "payment_metadata[orderId]"])]
    load_reports(pipeline, source_of(emulator, both))
    [new] = [name for name in types_of(pipeline, TABLE) if name.startswith("payment_metadata_order_id_")]
    assert filled("payment_metadata_order_id") == [(False, True), (True, True)]
    assert filled(new) == [(False, True), (True, False)]  # history is as it was
    load_reports(pipeline, source_of(emulator, both, start_date="2025-01-01", end_date="2025-03-01"))
    assert filled(new) == [(False, True), (True, True)]  # a backfill fills it
    advance(emulator)
    load_reports(pipeline, source_of(emulator, [Report(ACTIVITY, metadata=["payment_metadata[orderId]"])]))
    assert filled("payment_metadata_order_id") == [(False, False), (True, True)]
    assert filled(new) == [(False, True), (True, True)]


@pytest.mark.long
@FIRST_OF_BOTH
def test_versions_that_disagree_on_a_type_share_a_table(
    start_emulator: Make, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """In version 3 automatic_payout_effective_at is UTC, in version 5 it is in the report's zone."""
    old = start_emulator(offered=(f"{SETTLED}.3",))
    load_reports(pipeline, source_of(old, [SETTLED]))
    before = types_of(pipeline, "payout_reconciliation_itemized")
    new = start_emulator(offered=(f"{SETTLED}.3", f"{SETTLED}.5"))
    advance(new)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            load_reports(pipeline, source_of(new, [SETTLED]))
            advance(new)
    assert caplog.text.count(f"{SETTLED}.3: goes on as {SETTLED}.5 from here on") == 1
    after = types_of(pipeline, "payout_reconciliation_itemized")
    assert {name: after[name] for name in before} == before
    rows = query(
        pipeline,
        "SELECT _report_type, count(*) = count(automatic_payout_effective_at), count(*) = "
        "count(automatic_payout_effective_at_local) FROM payout_reconciliation_itemized GROUP BY 1 ORDER BY 1",
    )
    assert rows == [(f"{SETTLED}.3", True, False), (f"{SETTLED}.5", False, True)]
    headers = query(
        pipeline,
        "SELECT column_name FROM report_columns WHERE stripe_header = 'automatic_payout_effective_at' ORDER BY 1",
    )
    assert headers == [("automatic_payout_effective_at",), ("automatic_payout_effective_at_local",)]


def test_a_pinned_version_never_moves(start_emulator: Make, pipeline: Pipeline) -> None:
    emulator = start_emulator()
    load_reports(pipeline, source_of(emulator, [f"{ACTIVITY}.1"]))
    assert query(pipeline, f"SELECT DISTINCT _report_type FROM {TABLE}") == [(f"{ACTIVITY}.1",)]


def test_a_column_that_stripe_refuses(
    start_emulator: Make, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    emulator = start_emulator(refused_columns=("trace_id",))
    with caplog.at_level(logging.WARNING):
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert caplog.text.count("payouts.itemized.3: Stripe refuses the column 'trace_id'; it is left out") == 1
    columns = types_of(pipeline, "payouts_itemized")
    assert "trace_id" not in columns
    assert "trace_id_status" in columns
    asked = Report("payouts.itemized", columns=["payout_id", "trace_id"], table_name="asked")
    with pytest.raises(SyncFailed, match="Stripe refuses the column 'trace_id'; leave it out"):
        load_reports(pipeline, source_of(emulator, [asked]))


def test_columns_that_stripe_refuses_of_a_version_known_in_part(
    start_emulator: Make, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    emulator = start_emulator(all_types=True, refused_columns=("provider",))
    report = "tax.itemized_export"
    with caplog.at_level(logging.WARNING):
        load_reports(pipeline, source_of(emulator, [report]))
    said = f"{report}.1: Stripe refuses the column 'provider'; its default columns are loaded instead"
    assert caplog.text.count(said) == 1
    known_in_part = f"the catalogue does not know all columns of {report}.1: the 19 it knows are asked for"
    assert caplog.text.count(known_in_part) == 1
    assert all("columns" not in run.parameters for run in emulator.runs)
    columns = types_of(pipeline, "tax_itemized_export")
    assert "provider" not in columns
    assert columns["tax_rate"] == "DECIMAL(38,28)"


def test_columns_that_stripe_refuses_without_a_name(
    emulator: Emulator, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = {"message": "Too many columns.", "param": "parameters[columns]", "type": "invalid_request_error"}
    fault = Fault("status", method="POST", status=400, body=json.dumps({"error": refusal}))
    emulator.add_fault(replace(fault))
    with caplog.at_level(logging.WARNING):
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"], max_concurrent_runs=1))
    said = "payouts.itemized.3: Stripe refuses the columns asked for; its default columns are loaded instead"
    assert caplog.text.count(said) == 1
    emulator.add_fault(fault)
    asked = Report("payouts.itemized", columns=["payout_id"], table_name="asked")
    with pytest.raises(SyncFailed, match="Stripe refuses the columns asked for; name others: Too many columns"):
        load_reports(pipeline, source_of(emulator, [asked], max_concurrent_runs=1))


@pytest.mark.first(1)
@BOTH
def test_without_personal_data(emulator: Emulator, pipeline: Pipeline) -> None:
    """Neither where columns are asked for nor where Stripe's default ones come; metadata is the user's choice."""
    chosen = ["payment_metadata[order_id]"]
    reports = [
        Report(ACTIVITY, metadata=chosen, columns="default"),
        Report("payouts.itemized"),
        Report(ACTIVITY, columns="default", table_name="by_default"),
    ]
    load_reports(pipeline, source_of(emulator, reports, personal_data=False))
    for table in (TABLE, "payouts_itemized", "by_default"):
        columns = types_of(pipeline, table)
        assert {"net", "gross"} < set(columns)
        assert not load_catalog().personal & set(columns)
    assert "payment_metadata_order_id" in types_of(pipeline, TABLE)
    assert query(pipeline, "SELECT count(*) FROM report_columns WHERE stripe_header = 'customer_email'") == [(0,)]


def test_a_column_that_was_not_known(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    advance(emulator)
    real = emulator.service._start

    def start(*args: Any, **options: Any) -> Any:
        run = real(*args, **options)
        lines = run.file.read_text().splitlines(keepends=True)
        run.file.write_text(
            "".join(f'{line.rstrip()},"{"nova" if n == 0 else "0042"}"\n' for n, line in enumerate(lines))
        )
        return run

    emulator.service._start = start  # type: ignore[method-assign]
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert types_of(pipeline, "payouts_itemized")["nova"] == "VARCHAR"
    found = query(pipeline, "SELECT DISTINCT nova FROM payouts_itemized ORDER BY 1 NULLS FIRST")
    assert found == [(None,), ("0042",)]


@pytest.mark.long
def test_a_users_type_is_kept(emulator: Emulator, pipeline: Pipeline) -> None:
    seats = "payment_metadata[seats]"
    load_reports(pipeline, source_of(emulator, [Report(ACTIVITY, metadata=[seats], types={seats: "bigint"})]))
    assert types_of(pipeline, TABLE)["payment_metadata_seats"] == "BIGINT"
    advance(emulator)
    load_reports(pipeline, source_of(emulator, [Report(ACTIVITY, metadata=[seats])]))
    assert types_of(pipeline, TABLE)["payment_metadata_seats"] == "BIGINT"
    advance(emulator)
    with pytest.raises(ConfigurationError, match=r"is to be decimal\(38,9\), but its column 'payment_metadata_seats'"):
        load_reports(pipeline, source_of(emulator, [Report(ACTIVITY, metadata=[seats], types={seats: "decimal"})]))


@pytest.mark.long
def test_schema_contracts_take_no_new_columns(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    load_reports(pipeline, source_of(emulator, [Report("balance.summary", columns=["category", "net_amount"])]))
    for mode in ("discard_value", "freeze"):
        advance(emulator)
        source = source_of(emulator, ["balance.summary"])
        source.schema_contract = {"columns": mode}
        if mode == "freeze":
            with pytest.raises(ConfigurationError, match="contract columns='freeze' takes no new column"):
                load_reports(pipeline, source)
        else:
            load_reports(pipeline, source)
        assert "currency" not in types_of(pipeline, "balance_summary")


@BOTH
def test_comments_in_the_database(emulator: Emulator, pipeline: Pipeline, destination: str) -> None:
    odd = "payment_metadata[it's 100% \\ odd]"
    load_reports(pipeline, source_of(emulator, [Report(ACTIVITY, metadata=[odd])]))
    sql = {
        "duckdb": "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = %s AND schema_name = %s",
        "postgres": "SELECT column_name, col_description(format('%%I.%%I', table_schema, table_name)::regclass, "
        "ordinal_position) FROM information_schema.columns WHERE table_name = %s AND table_schema = %s",
    }
    comments = dict(query(pipeline, sql[destination], TABLE, pipeline.dataset_name))
    assert all(comments.values()), [name for name, comment in comments.items() if not comment]
    assert f"Stripe's column {odd}" in comments.values()
    of_tables = {
        "duckdb": "SELECT table_name, comment FROM duckdb_tables() WHERE schema_name = %s",
        "postgres": "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r'",
    }
    said = {name: text for name, text in query(pipeline, of_tables[destination], pipeline.dataset_name) if text}
    wanted = table_texts([Report(ACTIVITY)])
    del wanted["report_lanes"]  # which is made where there are connected accounts
    assert said == wanted
    of_verdicts = dict(query(pipeline, sql[destination], "tie_out", pipeline.dataset_name))
    assert all(of_verdicts.values())


@pytest.mark.first(1)
@pytest.mark.parametrize("separator", [",", "."])
def test_decimal_separator(emulator: Emulator, pipeline: Pipeline, separator: str) -> None:
    report = Report("payouts.itemized", parameters={"decimal_separator": separator})
    load_reports(pipeline, source_of(emulator, [report]))
    window = emulator.settings.first_available, emulator.settings.available_end
    truth = sum(Decimal(str(row[0])) for row in emulator.truth("payouts.itemized.3", *window, columns=["net"]))
    assert query(pipeline, "SELECT sum(net) FROM payouts_itemized") == [(truth,)]
