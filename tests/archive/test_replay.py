"""A dataset made again from its archive, without Stripe: equal to the first."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import (
    ArchiveError,
    ConfigurationError,
    Loaded,
    Report,
    SyncFailed,
    archived_reports,
    load_reports,
)
from stripe_reports_source.emulator import Emulator, late_charge
from stripe_reports_source.plan.state import LaneState, lanes_in
from tests.archive.test_archive import manifests_of
from tests.conftest import BOTH, query, source_of
from tests.pipeline.truth import assert_true

pytestmark = pytest.mark.long

Make = Callable[..., Emulator]
Pipelines = Callable[..., Pipeline]
REPORTS = ("balance.summary", "payouts.itemized", "ending_balance_reconciliation.itemized")
WHEN = {"_dlt_load_id", "pipeline_name", "package", "package_from", "listed_package"}
"""Columns that say when something was loaded, and by which load."""


def tables_of(pipeline: Pipeline) -> list[str]:
    found = query(
        pipeline,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY table_name",
        pipeline.dataset_name,
    )
    other = {"report_types", "report_freshness", "tie_out"}  # as of when one looked
    return [table for (table,) in found if not table.startswith("_dlt") and table not in other]


def rows_of(
    pipeline: Pipeline, table: str, without: Collection[str] = WHEN
) -> tuple[list[str], Counter[tuple[Any, ...]]]:
    described = query(
        pipeline,
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
        "ORDER BY column_name",
        pipeline.dataset_name,
        table,
    )
    columns = [name for (name,) in described if name not in without]
    listed = ", ".join(f'"{name}"' for name in columns)
    return columns, Counter(query(pipeline, f"SELECT {listed} FROM {table}"))


def assert_equal(
    first: Pipeline, second: Pipeline, more_tables: Iterable[str] = (), without: Collection[str] = WHEN
) -> None:
    """Every table of both holds the same rows, but for what says when they were loaded."""
    assert tables_of(first) == tables_of(second)
    for table in (*tables_of(first), *more_tables):
        (columns, wanted), (others, found) = rows_of(first, table, without), rows_of(second, table, without)
        assert columns == others, table
        assert wanted, f"{table} is empty, so this says nothing"
        assert found == wanted, f"{table}: {next(iter((wanted - found) or (found - wanted)))}"


def lanes_of(pipeline: Pipeline) -> dict[tuple[str, str], LaneState]:
    """What the next sync knows, but for the package that has loaded it."""
    pipeline.sync_destination()
    return {
        (table, key): replace(lane, package=None, package_from=lane.loaded.start)
        for table, lanes in lanes_in(pipeline.state, "stripe_reports").items()
        for key, lane in lanes.items()
    }


def replay(make_pipeline: Pipelines, archive: Path, dataset: str = "again") -> tuple[Pipeline, Loaded]:
    pipeline = make_pipeline(name="again", folder="again")
    pipeline.dataset_name = f"{pipeline.dataset_name}_{dataset}"
    return pipeline, load_reports(pipeline, archived_reports(str(archive)))


def sync(pipeline: Pipeline, emulator: Emulator, archive: Path, reports: Iterable[str | Report], **how: Any) -> None:
    load_reports(pipeline, source_of(emulator, list(reports), archive_url=str(archive), **how))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"interval": "week", "timezone": "America/New_York"},
        {"interval": "day", "start_date": "2025-03-01", "timezone": "Australia/Lord_Howe"},
        {"stripe_account": "acct_1A"},
    ],
    ids=str,
)
def test_a_replay_is_equal_to_the_first(
    emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path, how: dict[str, Any]
) -> None:
    """Two syncs, so that a partial cell was replaced; without Stripe, as the emulator has not been asked."""
    first = make_pipeline()
    sync(first, emulator, tmp_path / "kept", REPORTS, **how)
    emulator.advance(emulator.settings.available_end + timedelta(days=2, hours=5))
    sync(first, emulator, tmp_path / "kept", REPORTS, **how)
    asked = len(emulator.requests)
    second, loaded = replay(make_pipeline, tmp_path / "kept")
    assert len(emulator.requests) == asked
    assert_equal(first, second)
    [(cells, rows)] = query(second, "SELECT count(*), sum(rows) FROM report_cells")
    assert (loaded.cells, loaded.rows) == (cells, rows)
    assert len(query(second, "SELECT run_id FROM report_runs")) > cells  # the runs that were replaced are there too
    assert lanes_of(first) == lanes_of(second)


@BOTH
def test_metadata_columns_names_and_types(emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path) -> None:
    report = Report(
        "payout_reconciliation.itemized",
        metadata={f"payment_metadata[{key}]": f"m_{key.lower()}" for key in ("order_id", "orderId", "seats", "note")},
        types={"payment_metadata[seats]": "bigint"},
        table_name="settled",
    )
    first = make_pipeline()
    sync(first, emulator, tmp_path / "kept", [report], personal_data=False)
    second, _ = replay(make_pipeline, tmp_path / "kept")
    assert_equal(first, second)


def test_restated_cells(emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path) -> None:
    """The newest run of a cell counts, and a backfill moves no cursor."""
    first, reports = make_pipeline(), ["balance.summary", "balance_change_from_activity.itemized"]
    sync(first, emulator, tmp_path / "kept", reports)
    created = datetime(2025, 1, 10, 12, tzinfo=timezone.utc)
    emulator.add_transaction(late_charge("late", created, emulator.service.now, "eur", 4200, 152, "late", {}))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    sync(first, emulator, tmp_path / "kept", reports, start_date="2025-01-01", end_date="2025-02-01")
    second, _ = replay(make_pipeline, tmp_path / "kept")
    assert_equal(first, second)
    assert lanes_of(first) == lanes_of(second)


def test_a_backfill_by_the_runs_of_a_sync(emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path) -> None:
    first, reports = make_pipeline(), ["payouts.itemized"]
    emulator.set_availability("payouts.itemized.3", end=datetime(2025, 3, 1, tzinfo=timezone.utc))
    sync(first, emulator, tmp_path / "kept", reports)
    runs = len(emulator.runs)
    sync(first, emulator, tmp_path / "kept", reports, start_date="2025-01-01", end_date="2025-03-01")
    assert len(emulator.runs) == runs
    second, _ = replay(make_pipeline, tmp_path / "kept")
    assert lanes_of(first) == lanes_of(second)


def test_several_accounts_in_one_archive(start_emulator: Make, make_pipeline: Pipelines, tmp_path: Path) -> None:
    emulator = start_emulator(live_keys=("rk_live_a", "rk_live_b"), accounts={"rk_live_b": "acct_b"})
    first, reports = make_pipeline(), ["payouts.itemized", "balance.summary"]
    for key, label in (("rk_live_a", "us"), ("rk_live_b", "eu")):
        sync(first, emulator, tmp_path / "kept", reports, api_key=key, account=label)
    second, _ = replay(make_pipeline, tmp_path / "kept")
    assert_equal(first, second)
    assert query(second, "SELECT DISTINCT _account FROM payouts_itemized ORDER BY 1") == [("eu",), ("us",)]
    assert query(second, "SELECT DISTINCT account FROM report_types ORDER BY 1") == [("eu",), ("us",)]
    assert lanes_of(first) == lanes_of(second)


START, END = datetime(2025, 3, 1, tzinfo=timezone.utc), datetime(2025, 3, 5, 12, tzinfo=timezone.utc)
PLATFORM: dict[str, Any] = {"all_types": True, "available_start": START, "available_end": END}


def test_a_run_per_connected_account(start_emulator: Make, make_pipeline: Pipelines, tmp_path: Path) -> None:
    emulator = start_emulator(**PLATFORM)
    accounts = emulator.settings.connected_accounts
    first = make_pipeline()
    report = "connected_account_payouts.itemized"
    sync(first, emulator, tmp_path / "kept", [report], connected_accounts=accounts, interval="day")
    second, _ = replay(make_pipeline, tmp_path / "kept")
    assert_equal(first, second)
    assert lanes_of(first) == lanes_of(second)


def test_a_report_for_each_payout(start_emulator: Make, make_pipeline: Pipelines, tmp_path: Path) -> None:
    emulator = start_emulator(**PLATFORM, business_start=START.date() - timedelta(days=9))
    first, reports = make_pipeline(), ["payouts.itemized", "payout_reconciliation.by_id.itemized"]
    sync(first, emulator, tmp_path / "kept", reports)
    second, _ = replay(make_pipeline, tmp_path / "kept")
    assert_equal(first, second)
    runs = len(emulator.runs)
    sync(second, emulator, tmp_path / "kept", reports)
    assert len(emulator.runs) == runs


def test_a_sync_goes_on_where_a_replay_ended(emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path) -> None:
    sync(make_pipeline(), emulator, tmp_path / "kept", REPORTS)
    second, _ = replay(make_pipeline, tmp_path / "kept")
    runs = len(emulator.runs)
    sync(second, emulator, tmp_path / "kept", REPORTS)
    assert len(emulator.runs) == runs  # nothing new
    end = emulator.settings.available_end + timedelta(days=2)
    emulator.advance(end)
    sync(second, emulator, tmp_path / "kept", REPORTS)
    assert len(emulator.runs) == runs + len(REPORTS)
    assert_true(emulator, second, REPORTS, end=end)


def test_a_replay_does_not_say_that_stripe_was_asked(
    emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path
) -> None:
    sync(make_pipeline(), emulator, tmp_path / "kept", REPORTS)
    for _ in range(2):
        second, _ = replay(make_pipeline, tmp_path / "kept")
        asked = "(SELECT max(r.created) FROM report_runs r WHERE r.table_name = f.table_name)"
        found = query(second, f"SELECT f.table_name, f.checked_at = {asked} FROM report_freshness f ORDER BY 1")
        assert found == [(report.replace(".", "_"), True) for report in sorted(REPORTS)]


def test_a_replay_says_of_each_account_when_stripe_was_asked(
    start_emulator: Make, make_pipeline: Pipelines, tmp_path: Path
) -> None:
    emulator = start_emulator(live_keys=("rk_live_a", "rk_live_b"), accounts={"rk_live_b": "acct_b"})
    first = make_pipeline()
    for key, label in (("rk_live_a", "us"), ("rk_live_b", "eu")):
        sync(first, emulator, tmp_path / "kept", ["payouts.itemized"], api_key=key, account=label)
        emulator.advance(emulator.settings.available_end + timedelta(days=20))
    second, _ = replay(make_pipeline, tmp_path / "kept")
    asked = "(SELECT max(r.created) FROM report_runs r WHERE r.account = f.account)"
    found = query(second, f"SELECT f.account, f.checked_at = {asked} FROM report_freshness f ORDER BY 1")
    assert found == [("eu", True), ("us", True)]


def test_a_replay_that_is_done_twice_or_was_stopped(
    emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path
) -> None:
    first = make_pipeline()
    sync(first, emulator, tmp_path / "kept", REPORTS)
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    sync(first, emulator, tmp_path / "kept", REPORTS)
    second = make_pipeline(name="again")
    second.dataset_name = "again"
    second.run(archived_reports(str(tmp_path / "kept")).add_limit(2))
    load_reports(second, archived_reports(str(tmp_path / "kept")), max_cells=2)
    assert_equal(first, second)
    load_reports(second, archived_reports(str(tmp_path / "kept")))
    assert_equal(first, second)


def test_an_archive_that_was_moved(emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path) -> None:
    first = make_pipeline()
    sync(first, emulator, tmp_path / "kept", ["balance.summary"])
    shutil.move(tmp_path / "kept", tmp_path / "elsewhere")
    second, _ = replay(make_pipeline, tmp_path / "elsewhere")
    assert_equal(first, second)


def test_a_table_that_was_made_anew_on_another_grid(
    emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = make_pipeline()
    sync(first, emulator, tmp_path / "kept", ["balance.summary"])
    settings = {"archive_url": str(tmp_path / "kept"), "interval": "week"}
    first.run(source_of(emulator, ["balance.summary"], **settings), refresh="drop_resources")
    second, _ = replay(make_pipeline, tmp_path / "kept")
    assert_equal(first, second)
    assert "3 of 14 archived files are of another grid, zone, filter or mode" in caplog.text


def test_a_dataset_with_other_runs_is_left_alone(emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path) -> None:
    """A replay would put older rows in the place of newer ones."""
    first = make_pipeline()
    sync(first, emulator, tmp_path / "kept", ["balance.summary"])
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    load_reports(first, source_of(emulator, ["balance.summary"]))
    before = rows_of(first, "balance_summary")
    with pytest.raises(ConfigurationError, match=r"'balance_summary' holds the report run frr_\w+, which is not in"):
        load_reports(first, archived_reports(str(tmp_path / "kept")))
    assert rows_of(first, "balance_summary") == before


@pytest.mark.parametrize("damage", ["other bytes", "gone"])
def test_a_file_that_is_not_what_it_was_refuses_its_cell(
    emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path, damage: str
) -> None:
    sync(make_pipeline(), emulator, tmp_path / "kept", ["balance.summary", "payouts.itemized"])
    manifests = manifests_of(tmp_path / "kept")
    [february] = [
        manifest
        for manifest in manifests
        if manifest["cell"]["first_day"] == "2025-02-01" and manifest["cell"]["table"] == "payouts_itemized"
    ]
    file = tmp_path / "kept" / february["file"]["path"]
    content = file.read_bytes()
    file.unlink()
    if damage == "other bytes":
        file.write_bytes(content.replace(b"0", b"1", 1))
    with pytest.raises(SyncFailed) as caught:
        replay(make_pipeline, tmp_path / "kept")
    [failure] = caught.value.failures
    assert isinstance(failure.error, ArchiveError)
    assert (failure.report, failure.run_id) == ("payouts.itemized.3", february["run_id"])
    assert failure.interval == "[2025-02-01T00:00:00Z, 2025-03-01T00:00:00Z)"
    assert february["file"]["path"] in str(failure)
    second = make_pipeline(name="again", folder="again")
    tables: Sequence[tuple[Any, ...]] = query(
        second, "SELECT table_name, count(*) FROM stripe_again.report_cells GROUP BY 1 ORDER BY 1"
    )
    assert tables == [("balance_summary", 3), ("payouts_itemized", 1)]  # the good cells are loaded


def test_a_file_that_was_refused_stays_refused(emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path) -> None:
    """A run whose file did not fit is in the ledger with its error; the run that came after it is loaded."""
    created, gift = datetime(2025, 2, 20, 23, tzinfo=timezone.utc), {"gift": "not a number"}
    emulator.add_transaction(late_charge("gift", created, emulator.service.now, "usd", 4200, 152, "Gift", gift))
    first, header = make_pipeline(), "payment_metadata[gift]"
    report = Report("balance_change_from_activity.itemized", metadata=[header], types={header: "bigint"})
    with pytest.raises(SyncFailed, match="is not a bigint"):
        sync(first, emulator, tmp_path / "kept", [report])
    emulator.withdraw_transaction("txn_gift")
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    sync(first, emulator, tmp_path / "kept", [report])
    assert query(first, "SELECT count(*) FROM report_runs WHERE error IS NOT NULL") == [(1,)]
    second, _ = replay(make_pipeline, tmp_path / "kept")
    assert_equal(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:100], r"manifests/frr_\w+-\w+\.json cannot be read"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "has the format 2, which is not known"),
        (lambda text: text.replace('"path": "files/', '"path": "../files/'), "does not name a run"),
        (lambda text: text.replace('"grid": "month"', '"grid": "week"'), "contradicts itself"),
    ],
    ids=["cut", "later format", "path", "grid"],
)
def test_a_manifest_that_is_not_what_it_was(
    emulator: Emulator, make_pipeline: Pipelines, tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    sync(make_pipeline(), emulator, tmp_path / "kept", ["balance.summary"])
    manifest = next((tmp_path / "kept" / "manifests").iterdir())
    manifest.write_text(change(manifest.read_text("utf-8")), "utf-8")
    with pytest.raises(ArchiveError, match=message) as caught:
        archived_reports(str(tmp_path / "kept"))
    assert f"It is {manifest}: put back the file as it was, or move it out of the folder" in str(caught.value)


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere has no manifests; there is nothing to load"):
        archived_reports(str(tmp_path / "nowhere"))


def test_two_archives_in_one_run(start_emulator: Make, make_pipeline: Pipelines, tmp_path: Path) -> None:
    """Under one label they may be of two accounts, and no one can be asked."""
    emulator = start_emulator(live_keys=("rk_live_a", "rk_live_b"), accounts={"rk_live_b": "acct_b"})
    for name, key, label in (("a", "rk_live_a", "us"), ("b", "rk_live_b", "us"), ("c", "rk_live_b", "eu")):
        pipeline = make_pipeline(name=name, folder=name)
        pipeline.dataset_name = f"{pipeline.dataset_name}_{name}"
        sync(pipeline, emulator, tmp_path / name, ["payouts.itemized"], api_key=key, account=label)
    together = make_pipeline(name="together", folder="together")
    together.dataset_name = "together"
    with pytest.raises(Exception, match=r"account 'us': the report run frr_\w+ .* may be another Stripe account's"):
        together.run([archived_reports(str(tmp_path / name)) for name in ("a", "b")])
    together.run([archived_reports(str(tmp_path / name)) for name in ("a", "c", "a")])
    once = "count(*) = count(DISTINCT balance_transaction_id)"
    found = query(together, f"SELECT _account, {once} FROM payouts_itemized GROUP BY 1")
    assert sorted(found) == [("eu", True), ("us", True)]
