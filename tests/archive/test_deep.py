"""The deep check: every value of a cell against its file; what is planted is named by column, never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import Report, load_reports
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.plan.settings import Settings
from stripe_reports_source.source import settings_of
from stripe_reports_source.stripe_api.api import StripeApi
from stripe_reports_source.stripe_api.archive import Archive
from stripe_reports_source.stripe_api.client import stripe_client
from stripe_reports_source.sync.deep import DeepFinding, StoredCell, check_cells, some_cells, stored_cells
from tests.conftest import BOTH, query, source_of

pytestmark = pytest.mark.long

TABLE = "balance_change_from_activity_itemized"
HEADER = "payment_metadata[order_id]"
REPORT = Report("balance_change_from_activity.itemized", metadata=[HEADER])


def loaded(emulator: Emulator, pipeline: Pipeline, archive: Path | None, *reports: str | Report) -> Settings:
    source = source_of(emulator, list(reports), archive_url=None if archive is None else str(archive))
    load_reports(pipeline, source)
    return settings_of(source)


def february(pipeline: Pipeline) -> StoredCell:
    [cell] = [cell for cell in stored_cells(pipeline) if cell.interval_key.endswith("|2025-02-01")]
    return cell


def change(pipeline: Pipeline, sql: str) -> None:
    """A statement about the rows of the February cell's table, `{t}`; `{first}` and `{second}` are two of them."""
    first, second = [
        row[0]
        for row in query(
            pipeline,
            f"SELECT balance_transaction_id FROM {TABLE} WHERE _interval_key LIKE '%2025-02-01' "
            "AND reporting_category = 'charge' ORDER BY 1 LIMIT 2",
        )
    ]
    with pipeline.sql_client() as client:
        client.execute_sql(sql.format(t=TABLE, first=f"'{first}'", second=f"'{second}'"))


def finding(pipeline: Pipeline, archive: Path) -> DeepFinding:
    [found] = check_cells(pipeline, [february(pipeline)], archive=Archive(str(archive)))
    return found


@BOTH
def test_all_cells_of_many_reports_are_equal(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    reports: list[str | Report] = [
        REPORT,
        "balance.summary",
        "ending_balance_reconciliation.itemized",
        "tax.transactions.itemized",
        Report("payouts.itemized", types={"net": "decimal(38,18)"}, columns=["payout_id", "net"]),
    ]
    loaded(emulator, pipeline, tmp_path / "kept", *reports)
    cells = stored_cells(pipeline)
    assert len(cells) == 15
    found = list(check_cells(pipeline, cells, archive=Archive(str(tmp_path / "kept"))))
    assert {(each.verdict, each.missing, each.extra) for each in found} == {("equal", 0, 0)}, found
    [(rows,)] = query(pipeline, "SELECT sum(rows) FROM report_cells")
    assert sum(each.rows for each in found) == rows > 0


WHERE = "WHERE balance_transaction_id = {first}"
PLANTS: dict[str, tuple[str, int, int, tuple[str, ...]]] = {
    "text": (f"UPDATE {{t}} SET description = 'of the planter' {WHERE}", 1, 1, ("description",)),
    "metadata": (f"UPDATE {{t}} SET payment_metadata_order_id = 'x' {WHERE}", 1, 1, ("payment_metadata_order_id",)),
    "null to empty": (f"UPDATE {{t}} SET invoice_id = '' {WHERE}", 1, 1, ("invoice_id",)),
    "time inside the cell": (
        f"UPDATE {{t}} SET created_utc = created_utc + INTERVAL '1 second' {WHERE}",
        1,
        1,
        ("created_utc",),
    ),
    "cents": (f"UPDATE {{t}} SET gross = gross + 0.01, net = net + 0.01 {WHERE}", 1, 1, ("gross", "net")),
    "a row doubled": (f"INSERT INTO {{t}} SELECT * FROM {{t}} {WHERE}", 0, 1, ()),
    "a row lost": (f"DELETE FROM {{t}} {WHERE}", 1, 0, ()),
    "cents that cancel": (
        "UPDATE {t} SET net = net + CASE WHEN balance_transaction_id = {first} THEN 0.01 ELSE -0.01 END "
        "WHERE balance_transaction_id IN ({first}, {second})",
        2,
        2,
        ("net",),
    ),
    "swapped texts": (
        "UPDATE {t} SET charge_id = (SELECT o.charge_id FROM {t} o WHERE o.balance_transaction_id = CASE WHEN "
        "{t}.balance_transaction_id = {first} THEN {second} ELSE {first} END) "
        "WHERE balance_transaction_id IN ({first}, {second})",
        2,
        2,
        ("charge_id",),
    ),
    "a key": (
        f"UPDATE {{t}} SET balance_transaction_id = 'txn_made_up' {WHERE}",
        1,
        1,
        ("balance_transaction_id",),
    ),
    "a run": (f"UPDATE {{t}} SET _report_run_id = 'frr_other' {WHERE}", 1, 1, ("_report_run_id",)),
    "a day": (f"UPDATE {{t}} SET _interval_day = DATE '2025-02-02' {WHERE}", 1, 1, ("_interval_day",)),
}


@BOTH
@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_planted_is_named(emulator: Emulator, pipeline: Pipeline, tmp_path: Path, plant: str) -> None:
    loaded(emulator, pipeline, tmp_path / "kept", REPORT)
    rows = finding(pipeline, tmp_path / "kept").rows
    sql, missing, extra, columns = PLANTS[plant]
    change(pipeline, sql)
    found = finding(pipeline, tmp_path / "kept")
    assert (found.verdict, found.rows) == ("differs", rows)
    assert (found.missing, found.extra, found.columns) == (missing, extra, columns)
    assert "planter" not in repr(found)
    assert not list(Path(pipeline.working_dir).rglob("compare.duckdb*"))


def test_stripes_own_copy_is_read_where_nothing_is_archived(emulator: Emulator, pipeline: Pipeline) -> None:
    settings = loaded(emulator, pipeline, None, REPORT)
    api: StripeApi = stripe_client(settings, lambda seconds: None)
    runs = len(emulator.runs)
    [found] = check_cells(pipeline, [february(pipeline)], api=api)
    assert (found.verdict, len(emulator.runs)) == ("equal", runs)
    change(pipeline, f"UPDATE {{t}} SET description = 'x' {WHERE}")
    [found] = check_cells(pipeline, [february(pipeline)], api=api)
    assert (found.verdict, found.columns) == ("differs", ("description",))


def test_a_file_that_is_gone_is_said(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    settings = loaded(emulator, pipeline, None, REPORT)
    body = '{"error": {"type": "invalid_request_error", "message": "No such file"}}'
    emulator.add_fault(Fault("status", address="files", status=404, body=body, times=None))
    cell = february(pipeline)
    checks: list[dict[str, Any]] = [
        {"api": stripe_client(settings, lambda seconds: None)},
        {"archive": Archive(str(tmp_path / "empty"))},
    ]
    for where in checks:
        [found] = check_cells(pipeline, [cell], **where)
        assert (found.verdict, cell.run_id in found.reason) == ("gone", True)


def test_a_file_that_is_another_one_is_said(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    settings = loaded(emulator, pipeline, tmp_path / "kept", REPORT)
    cell = february(pipeline)
    kept = tmp_path / "kept" / "files" / f"{cell.sha256}.csv"
    kept.write_bytes(kept.read_bytes().replace(b"charge", b"CHARGE"))
    assert finding(pipeline, tmp_path / "kept").verdict == "not_the_file"
    with pipeline.sql_client() as client:
        client.execute_sql("UPDATE report_runs SET sha256 = %s", "0" * 64)
    [found] = check_cells(pipeline, [february(pipeline)], api=stripe_client(settings, lambda seconds: None))
    assert (found.verdict, "another SHA-256" in found.reason) == ("not_the_file", True)


def test_cells_by_chance(emulator: Emulator, pipeline: Pipeline) -> None:
    loaded(emulator, pipeline, None, "balance.summary", "payouts.itemized")
    cells = stored_cells(pipeline)
    assert some_cells(cells, 3, 7) == some_cells(cells, 3, 7)
    assert len(some_cells(cells, 3, 7)) == 3
    assert some_cells(cells, 99, 7) == cells
    assert len({tuple(cell.interval_key for cell in some_cells(cells, 2, seed)) for seed in range(20)}) > 1
