"""`status`: what it says, its exit codes, and that it leaves nothing behind."""

from __future__ import annotations

import csv
import io
import json
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from stripe_reports_source import SyncFailed, load_reports
from stripe_reports_source.cli import cli
from stripe_reports_source.cli.console import show_table
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.warehouse.status import report_status
from stripe_reports_source.warehouse.status_runs import ShownRun, open_runs
from tests.conftest import query, source_of

Run = Callable[..., Result]
KEY = "SOURCES__STRIPE_REPORTS__API_KEY"
API = "SOURCES__STRIPE_REPORTS__API_BASE_URL"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def run(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv(KEY, emulator.settings.live_keys[0])
    monkeypatch.setenv(API, emulator.api_url)
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__FILES_BASE_URL", emulator.files_url)
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__RETRY_POLICY", '{"first_delay": 0.001}')
    monkeypatch.setenv("COLUMNS", "220")
    return lambda *arguments: CliRunner().invoke(cli, arguments, catch_exceptions=False)


def files_in(folder: Path) -> set[tuple[str, bytes]]:
    """All files below a folder, with what they hold."""
    return {(str(path), path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")}


def load(emulator: Emulator, **settings: Any) -> None:
    """Load payouts into the database of the present folder."""
    database = dlt.destinations.duckdb("stripe_reports.duckdb")
    pipeline = dlt.pipeline("stripe_reports", destination=database, dataset_name="stripe")
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"], **settings))


def reports(result: Result) -> dict[str, dict[str, Any]]:
    return {row["report"]: row for row in json.loads(result.stdout)["rows"]}


def test_all_loaded_is_exit_code_0_and_no_file_is_made(run: Run, tmp_path: Path, emulator: Emulator) -> None:
    assert run("sync", "balance.summary", "payouts.itemized").exit_code == 0
    before, asked = files_in(tmp_path), len(emulator.requests)
    result = run("status", "--offline", "--format", "json", "--max-behind", "2d")
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'stripe_reports.duckdb'}, dataset stripe" in result.stderr
    assert files_in(tmp_path) == before
    assert len(emulator.requests) == asked
    found = json.loads(result.stdout)
    assert (found["ok"], found["asked_stripe"], found["problems"]) == (True, False, [])
    balance = reports(result)["balance_summary"]
    assert (balance["behind_seconds"], balance["failures"], balance["pending"]) == (0, [], [])
    assert balance["loaded_to"] == balance["available_to"] == "2025-03-10T12:00:00+00:00"
    assert balance["behind_now_seconds"] > 86400
    assert balance["last_sync"] is not None


def test_what_was_loaded_after_the_last_look_is_not_said_to_tie(run: Run, tmp_path: Path, emulator: Emulator) -> None:
    both = ["balance.summary", "payouts.itemized"]
    assert run("sync", *both).exit_code == 0
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    destination = dlt.destinations.duckdb(str(tmp_path / "stripe_reports.duckdb"))
    pipeline = dlt.pipeline("stripe_reports", destination=destination, dataset_name="stripe")
    pipeline.run(source_of(emulator, ["balance.summary"]))  # it compares nothing
    found = reports(run("status", "--format", "json"))
    assert found["balance_summary"]["tie_out"].endswith("tied, 1 loaded since")
    assert found["payouts_itemized"]["tie_out"].startswith("tied, ")
    assert "since" not in found["payouts_itemized"]["tie_out"]
    assert run("sync", *both).exit_code == 0
    assert "since" not in str([row["tie_out"] for row in reports(run("status", "--format", "json")).values()])


def test_another_folder_of_dlt_and_a_database_that_cannot_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is all it takes."""
    run("sync", "balance.summary")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "other"))
    monkeypatch.delenv(KEY)
    file = tmp_path / "stripe_reports.duckdb"
    file.chmod(stat.S_IRUSR)
    result = run("status")
    assert result.exit_code == 0
    assert "Stripe was not asked (there is no API key); what it has is as of the last sync." in result.stdout
    assert not (tmp_path / "other").exists()


def test_no_network_is_said_in_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("sync", "balance.summary")
    monkeypatch.setenv(API, NOWHERE)
    result = run("status")
    assert result.exit_code == 0
    assert "Stripe was not asked (Stripe cannot be reached)" in result.stdout


@pytest.mark.long
def test_a_report_whose_every_run_fails_is_there(run: Run, emulator: Emulator) -> None:
    run("sync", "balance.summary")
    emulator.add_fault(Fault("replace", address="files", times=None, body='"nonsense"\n'))
    assert run("sync", "payouts.itemized").exit_code != 0
    result = run("status")
    assert result.exit_code == 3
    assert "not loaded: payouts_itemized [default] frr_" in result.stdout
    assert "failed and not loaded since" in result.stdout
    row = reports(run("status", "--format", "json"))["payouts_itemized"]
    assert (row["loaded_to"], row["rows"], len(row["failures"]) > 0) == (None, 0, True)


@pytest.mark.long
def test_what_could_not_even_be_planned_is_a_failure(run: Run) -> None:
    run("sync", "balance.summary")
    assert run("backfill", "balance.summary", "--start-date", "2025-02-01", "--end-date", "2026-02-01").exit_code != 0
    result = run("status", "--offline")
    assert result.exit_code == 3
    assert "not loaded: balance_summary [default] no run could be made for it" in result.stdout
    run("sync", "balance.summary")
    assert run("status", "--offline").exit_code == 0


@pytest.mark.long
def test_a_pending_run(run: Run, start_emulator: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch) -> None:
    slow = start_emulator(run_delay=3600.0)
    run("sync", "balance.summary")
    monkeypatch.setenv(API, slow.api_url)
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__FILES_BASE_URL", slow.files_url)
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__RUN_TIMEOUT", "0.2")
    assert run("sync", "payouts.itemized").exit_code != 0
    result = run("status", "--offline")
    assert result.exit_code == 3
    assert "pending: payouts_itemized [default] frr_" in result.stdout
    assert "not loaded: payouts" not in result.stdout


@pytest.mark.long
def test_a_failed_run_of_a_snapshot_is_not_open_once_a_later_sync_has_loaded_it(
    start_emulator: Callable[..., Emulator], pipeline: dlt.Pipeline
) -> None:
    """A snapshot of the month in progress has no start, and another end at each sync."""
    begin = datetime(2025, 3, 1, tzinfo=timezone.utc)
    stripe = start_emulator(scale=0.02, business_start=begin.date(), available_end=begin, pending_polls=0)

    def sync(days: int) -> None:
        stripe.advance(begin + timedelta(days=days))
        load_reports(
            pipeline, source_of(stripe, ["ending_balance_reconciliation.itemized"], run_policy={"attempts": 1})
        )

    sync(2)
    stripe.add_fault(Fault("run_failed", method="POST", times=None))
    with pytest.raises(SyncFailed):
        sync(4)
    [found] = report_status(pipeline)
    assert len(found.failures) == 1
    stripe.clear_faults()
    sync(6)
    [found] = report_status(pipeline)
    assert (found.failures, found.pending) == ((), ())


@pytest.mark.long
def test_a_failure_that_a_machine_with_a_clock_ahead_has_noted_is_mended_by_one_without(
    start_emulator: Callable[..., Emulator], pipeline: dlt.Pipeline
) -> None:
    """A load package is named by its machine's clock; when a run was made is told by Stripe's."""
    begin = datetime(2025, 3, 1, tzinfo=timezone.utc)
    stripe = start_emulator(scale=0.02, business_start=begin.date(), available_end=begin, pending_polls=0)
    stripe.advance(begin + timedelta(days=2))
    load_reports(pipeline, source_of(stripe, ["payouts.itemized"]))
    stripe.add_fault(Fault("run_failed", method="POST", times=None))
    stripe.advance(begin + timedelta(days=4))
    with pytest.raises(SyncFailed):
        load_reports(pipeline, source_of(stripe, ["payouts.itemized"], run_policy={"attempts": 1}))
    [found] = report_status(pipeline)
    assert len(found.failures) == 1
    with pipeline.sql_client() as client:
        client.execute_sql("UPDATE report_runs SET _dlt_load_id = '9999999999.9' WHERE error IS NOT NULL")
    stripe.clear_faults()
    for days in (6, 8):
        stripe.advance(begin + timedelta(days=days))
        load_reports(pipeline, source_of(stripe, ["payouts.itemized"]))
        [found] = report_status(pipeline)
        assert found.failures == ()
        assert query(pipeline, "SELECT open_failures FROM report_freshness") == [(0,)]


def a_run(end: int, start: int | None = None, *, key: str | None = "key", error: str | None = None) -> ShownRun:
    """A run of March 2025, up to one of its days."""
    ends = datetime(2025, 3, end, tzinfo=timezone.utc)
    begins = None if start is None else ends.replace(day=start)
    return ShownRun(f"frr_{end}", "report.1", "default", "report", begins, ends, "any", ends, error, key, None)


@pytest.mark.parametrize("status", ["failed", "pending"])
@pytest.mark.parametrize("start", [None, 1])
@pytest.mark.parametrize("key", ["key", None])
def test_a_run_that_has_failed_is_open_until_one_of_the_same_interval_is_loaded(
    status: str, start: int | None, key: str | None
) -> None:
    """By its key, which a snapshot keeps while it grows; by its start, as far as an older ledger has no keys."""
    bad = replace(a_run(3, start, key=key, error="No."), status=status)
    known = key is not None or start is not None
    assert open_runs([a_run(4, start), bad, a_run(2, start)]) == ([] if known else [bad])
    assert open_runs([a_run(4, 4, key="another"), bad]) == [bad]
    assert open_runs([bad, a_run(2, start)]) == [bad]


def test_max_behind_compares_with_what_stripe_has(run: Run, emulator: Emulator) -> None:
    run("sync", "balance.summary")
    emulator.advance(emulator.settings.available_end + timedelta(days=1, hours=12))
    assert run("status").exit_code == 0
    assert run("status", "--max-behind", "36h").exit_code == 0
    result = run("status", "--max-behind", "2159m")
    assert result.exit_code == 3
    assert "behind by more than --max-behind: balance_summary [default]" in result.stdout
    assert run("status", "--max-behind", "1d").exit_code == 3
    assert run("status", "--max-behind", "soon").exit_code == 2


@pytest.mark.long
def test_what_stripe_has_of_one_account_says_nothing_of_another(
    run: Run, emulator: Emulator, start_emulator: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each account has a key of its own: of an account that is not configured, the last sync's word counts."""
    load(emulator, account="shop_a")
    load(start_emulator(seed=2), account="shop_b")
    emulator.advance(emulator.settings.available_end + timedelta(days=70))

    def behind(account: str) -> tuple[int, dict[str, int], str]:
        monkeypatch.setenv("SOURCES__STRIPE_REPORTS__ACCOUNT", account)
        result = run("status", "--max-behind", "1d", "--format", "json")
        rows = json.loads(result.stdout)["rows"]
        return result.exit_code, {row["account"]: row["behind_seconds"] // 86400 for row in rows}, result.stderr

    for account, other in (("shop_a", "shop_b"), ("shop_b", "shop_a")):
        code, found, said = behind(account)
        assert (code, found) == (3, {account: 70, other: 0})
        assert f"Stripe was asked of the account '{account}' alone; of {other} it is as of the last sync." in said
    assert behind("default")[:2] == (0, {"shop_a": 0, "shop_b": 0})
    with duckdb.connect("stripe_reports.duckdb") as connection:
        connection.execute(
            "UPDATE stripe.report_freshness SET checked_at = checked_at - INTERVAL 2 DAY WHERE account = 'shop_b'"
        )
    assert behind("default")[:2] == (3, {"shop_a": 0, "shop_b": 0})


def test_the_only_account_is_that_of_a_key_without_a_label(run: Run, emulator: Emulator) -> None:
    load(emulator, account="shop")
    emulator.advance(emulator.settings.available_end + timedelta(days=2))
    assert run("status", "--max-behind", "1d").exit_code == 3


def test_offline_a_last_sync_of_long_ago_is_behind(run: Run) -> None:
    run("sync", "balance.summary")
    with duckdb.connect("stripe_reports.duckdb") as connection:
        connection.execute("UPDATE stripe.report_freshness SET checked_at = checked_at - INTERVAL 5 DAY")
    assert run("status", "--offline", "--max-behind", "6d").exit_code == 0
    assert run("status", "--offline", "--max-behind", "4d").exit_code == 3
    assert run("status", "--max-behind", "4d").exit_code == 0


def test_no_database_is_a_sentence_and_no_file(run: Run, tmp_path: Path) -> None:
    result = run("status")
    assert result.exit_code == 4
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert f"there is no database {tmp_path / 'stripe_reports.duckdb'}" in result.stderr
    assert files_in(tmp_path) == set()


def test_an_empty_database_has_nothing_loaded(run: Run) -> None:
    duckdb.connect("stripe_reports.duckdb").close()
    result = run("status", "--offline")
    assert result.exit_code == 3
    assert "Nothing is loaded yet" in result.stdout


def test_an_account_that_is_not_there_is_not_an_empty_database(run: Run) -> None:
    run("sync", "payouts.itemized")
    result = run("status", "--offline", "--account", "typo")
    assert result.exit_code == 4
    assert "account 'typo' is not loaded into 'stripe'; set --account to one that is there: default." in result.stderr
    assert "Nothing is loaded" not in result.output
    assert run("status", "--offline", "--account", "default").exit_code == 0


def test_a_wrong_key_is_exit_code_4(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("sync", "balance.summary")
    monkeypatch.setenv(KEY, "rk_live_wrong")
    result = run("status")
    assert (result.exit_code, "Invalid API Key" in result.stderr) == (4, True)


def test_a_database_that_another_process_writes(run: Run, tmp_path: Path) -> None:
    run("sync", "balance.summary")
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    file = tmp_path / "stripe_reports.duckdb"
    command = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        result = run("status", "--offline")
        assert result.exit_code == 75
        assert f"the DuckDB file {file} is open in " in result.stderr
        holder.communicate()


def test_it_reads_beside_others_who_read(run: Run, tmp_path: Path) -> None:
    """Which DuckDB allows to those alone who open the file to read."""
    run("sync", "balance.summary")
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True)"
    command = [sys.executable, "-c", f"{code}; sys.stdin.read()", str(tmp_path / "stripe_reports.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        assert run("status", "--offline").exit_code == 0
        reader.communicate()


def test_postgres(run: Run, postgres: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres)
    place = ("--destination", "postgres", "--dataset", f"stripe_{uuid.uuid4().hex[:12]}")
    empty = run("status", "--offline", *place)
    assert empty.exit_code == 3
    assert files_in(tmp_path) == set()
    assert run("sync", "balance.summary", *place).exit_code == 0
    result = run("status", "--offline", "--format", "json", *place)
    assert result.exit_code == 0
    assert reports(result)["balance_summary"]["rows"] > 0


@pytest.mark.parametrize("width", [60, 80, 200])
def test_ids_never_break_on_a_terminal(width: int) -> None:
    values = ["balance_change_from_activity_itemized", "payout_reconciliation.itemized.5", "frr_" + "1a" * 12, 12345]
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    show_table(console, "Reports", ["report", "type", "last run", "rows"], [values, values])
    text = out.getvalue()
    for value in (*values[:3], "12,345"):
        assert text.count(str(value)) == 2
    assert ("last run  frr_" in text) == (width < 200)


@pytest.mark.first(1)
@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_piped_a_row_is_a_line_whatever_the_width(run: Run, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    run("sync", "balance_change_from_activity.itemized")
    monkeypatch.setenv("COLUMNS", width)
    status = run("status", "--offline").stdout
    assert "\x1b" not in status
    [line] = [line for line in status.splitlines() if "balance_change_from_activity_itemized" in line]
    [row] = csv.DictReader(io.StringIO(run("status", "--offline", "--format", "csv").stdout))
    assert row["report"] in line
    assert row["last_run"] in line
    types = run("types").stdout
    assert [line for line in types.splitlines() if "payout_reconciliation.itemized.5" in line and " live" in line]


def test_types_as_data(run: Run) -> None:
    found = json.loads(run("types", "--format", "json").stdout)
    [payouts] = [row for row in found["rows"] if row["report_type"] == "payouts.itemized.3"]
    assert (payouts["mode"], payouts["data_to"]) == ("live", "2025-03-10T12:00:00+00:00")
    assert found["not_offered"]
    known = list(csv.DictReader(io.StringIO(run("types", "--all", "--format", "csv").stdout)))
    assert {row["report"] for row in known} > {"payouts.itemized", "balance.summary"}


def test_types_without_a_network(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API, NOWHERE)
    assert run("types").exit_code == 75


@pytest.mark.long
def test_what_a_sync_has_loaded_as_data(run: Run, emulator: Emulator) -> None:
    result = run("sync", "balance.summary", "--format", "json")
    loaded = json.loads(result.stdout)
    [row] = loaded["rows"]
    assert (row["report"], row["intervals"], row["rows"]) == ("balance_summary", 3, loaded["rows_loaded"])
    assert (loaded["ties"], loaded["failures"]) == (True, [])
    assert "Loading into " in result.stderr
    assert json.loads(run("sync", "balance.summary", "--format", "json").stdout)["intervals_loaded"] == 0
    window = ("--start-date", "2025-01-01", "--end-date", "2025-02-01")
    table = run("backfill", "balance.summary", *window, "--format", "csv").stdout
    assert [row["intervals"] for row in csv.DictReader(io.StringIO(table))] == ["1"]
    emulator.add_fault(Fault("replace", address="files", times=None, body='"nonsense"\n'))
    failed = run("sync", "payouts.itemized", "--format", "json")
    assert failed.exit_code != 0
    assert "payouts.itemized" in json.loads(failed.stdout)["failures"][0]
