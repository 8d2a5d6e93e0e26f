"""The command `reconcile` as a user meets it: its exit codes, its output for people and for programs, --database."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from click.testing import CliRunner, Result

from stripe_reports_source import Loaded, Statement
from stripe_reports_source.cli import cli
from stripe_reports_source.cli.verdict import verdict_of_load
from stripe_reports_source.emulator import Emulator, Fault, late_charge
from stripe_reports_source.warehouse.duckdb_patience import PatientSqlClient
from tests.pipeline.test_cli import environment

Run = Callable[..., Result]
UTC = timezone.utc
BOOKS = (
    *("balance.summary", "balance_change_from_activity.itemized", "balance_change_from_activity.summary"),
    *("payouts.itemized", "payouts.summary", "payout_reconciliation.itemized", "payout_reconciliation.summary"),
    *("ending_balance_reconciliation.itemized", "ending_balance_reconciliation.summary"),
)
"""All reports that any equation is about, so that everything is compared."""
CENT = "UPDATE stripe.balance_change_from_activity_itemized SET net = net + 0.01 WHERE balance_transaction_id = ?"


@pytest.fixture
def run(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    settings = environment(emulator, tmp_path)
    settings.pop("DESTINATION__DUCKDB__CREDENTIALS")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(cli, arguments, catch_exceptions=False)


def in_database(sql: str, *values: Any, file: str = "stripe_reports.duckdb") -> list[tuple[Any, ...]]:
    with duckdb.connect(file) as connection:
        return connection.execute(sql, values).fetchall()


def february_charge() -> str:
    [(found,)] = in_database(
        "SELECT min(balance_transaction_id) FROM stripe.balance_change_from_activity_itemized "
        "WHERE _interval_day = DATE '2025-02-01' AND reporting_category = 'charge' AND currency = 'usd'"
    )
    return str(found)


def synced(run: Run, *reports: str) -> Result:
    result = run("sync", *reports)
    assert result.exit_code == 0, result.output
    return result


def test_all_ties_is_0_and_nothing_differs(run: Run) -> None:
    assert "\ntied: " in synced(run, *BOOKS).stdout
    result = run("reconcile")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Reconciling {Path.cwd() / 'stripe_reports.duckdb'}, dataset stripe.\n")
    assert "\nBalance, February 2025, account default, usd\n" in result.stdout
    assert "\nOpen\n" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("tied: ")
    offs = [line.split()[-1] for line in result.stdout.splitlines() if line.startswith(("opening", "closing", "of it"))]
    assert len(offs) == 3 * result.stdout.count("\nBalance, ")
    assert set(offs) <= {"0", "0.00", "0.000"}


def test_a_cent_is_5_and_names_the_row(run: Run) -> None:
    synced(run, *BOOKS)
    charge = february_charge()
    in_database(CENT, charge)
    result = run("reconcile")
    assert result.exit_code == 5
    assert f"variance row_adds_up [default] 2025-02-01 usd {charge}: 0.01\n" in result.stdout
    assert "rows_stored_equal_file [default] 2025-02-01" in result.stdout
    closing = next(line for line in result.stdout.split("default, usd\n")[1].splitlines() if line.startswith("closing"))
    assert closing.split()[-1] == "0.01"
    assert "\nFebruary 2025: " in result.stdout
    assert result.stdout.splitlines()[-1].endswith(" variance")
    assert run("reconcile", "--since", "2025-03-01").exit_code == 0


@pytest.mark.long
def test_strict_takes_only_tied_and_explained(run: Run) -> None:
    synced(run, "balance.summary", "payouts.itemized")
    relaxed, strict = run("reconcile"), run("reconcile", "--strict")
    assert (relaxed.exit_code, strict.exit_code) == (0, 5)
    assert "\nNot compared\n" in strict.stdout


def test_configuration_is_4_and_usage_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = run("reconcile")
    assert nothing.exit_code == 4
    assert nothing.stderr == (
        f"error: there is no database {Path.cwd() / 'stripe_reports.duckdb'}; begin with `stripe-reports sync`, or set "
        "--database.\n"
    )
    assert not list(Path.cwd().glob("*.duckdb"))
    synced(run, "balance.summary")
    unknown = run("reconcile", "--account", "acct_nobody")
    assert unknown.exit_code == 4
    assert unknown.stderr == "error: account 'acct_nobody' is not loaded into 'stripe'; there are 'default'.\n"
    assert run("reconcile", "--account", "default").exit_code == 0
    assert run("reconcile", "--since", "2025-03-01").exit_code == 0
    later = run("reconcile", "--since", "2025-03-02")
    assert (later.exit_code, "nothing to compare" in later.output) == (4, False)
    assert later.stderr == (
        "error: no interval that begins on 2025-03-02 or later is loaded into 'stripe'; set since to 2025-03-01, on "
        "which the last one begins, or to a day before.\n"
    )
    assert run("reconcile", "--pipeline", "other", "--database", "stripe_reports.duckdb").exit_code == 4
    assert run("reconcile", "--dataset", "stripe_reports").exit_code == 4
    for arguments in (["--since", "June"], ["--months", "3"], ["--refresh", "--months", "few"], ["--deep", "0"],
                      ["--destination", "postgres", "--database", "x.duckdb"]):  # fmt: skip
        assert run("reconcile", *arguments).exit_code == 2, arguments
    monkeypatch.delenv("SOURCES__STRIPE_REPORTS__API_KEY")
    assert run("reconcile").exit_code == 0
    assert run("reconcile", "--refresh").exit_code == 4


def hold_open(database: str, opened: Any, close: Any) -> None:
    with duckdb.connect(database):
        opened.set()
        close.wait(100)


@contextmanager
def open_elsewhere(database: Path) -> Iterator[None]:
    forks = multiprocessing.get_context("fork")
    opened, close = forks.Event(), forks.Event()
    holder = forks.Process(target=hold_open, args=(str(database), opened, close))
    holder.start()
    try:
        assert opened.wait(60)
        yield
    finally:
        close.set()
        holder.join()


def test_busy_or_unreachable_is_75(run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    synced(run, "balance.summary")
    monkeypatch.setattr(PatientSqlClient, "patience", 0.0)
    with open_elsewhere(Path("stripe_reports.duckdb")):
        busy = run("reconcile")
    assert busy.exit_code == 75
    assert "has been open in" in busy.stderr
    assert run("reconcile").exit_code == 0
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__RETRY_POLICY", '{"attempts": 1}')
    emulator.add_fault(Fault("status", times=None, status=503))
    in_database("UPDATE stripe.balance_summary SET net_amount = net_amount + 1 WHERE category = 'ending_balance'")
    assert run("reconcile", "--refresh").exit_code == 75


@pytest.mark.long
def test_json_holds_all_and_csv_reads_back(run: Run) -> None:
    synced(run, *BOOKS)
    in_database(CENT, february_charge())
    told = run("reconcile", "--format", "json")
    assert told.exit_code == 5
    assert told.stderr.startswith("Reconciling ")
    whole = json.loads(told.stdout)
    assert (whole["ok"], whole["verdict"].startswith("tied: ")) == (False, True)
    kept = in_database("SELECT status, count(*), sum(difference) FROM stripe.tie_out GROUP BY 1")
    for status, count, difference in kept:
        found = [statement for statement in whole["statements"] if statement["status"] == status]
        assert len(found) == count
        assert sum(Decimal(statement["difference"] or 0) for statement in found) == (difference or 0)
    [usd] = [forward for forward in whole["roll_forward"] if forward["currency"] == "usd"]
    assert (usd["account"], usd["first_day"], usd["last_day"]) == ("default", "2025-02-01", "2025-02-28")
    [closing] = [line for line in usd["lines"] if line["line"] == "closing"]
    assert closing["difference"] == "0.01"
    assert Decimal(closing["net"]) - Decimal(closing["stripe_net"]) == Decimal("0.01")
    assert usd["payouts"]["payouts"] >= 1

    told = run("reconcile", "--format", "csv")
    assert told.exit_code == 5
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    names = [column.name for column in fields(Statement)]
    assert list(rows[0]) == names
    stored = in_database(f"SELECT {', '.join(names)} FROM stripe.tie_out")

    def key(row: Any) -> Any:
        return row["equation"], row["interval_key"], row["currency"], row["item"]

    by_key = {key(row): row for row in rows}
    assert len(by_key) == len(rows) == len(stored)
    for values in stored:
        there = dict(zip(names, values, strict=True))
        row = by_key[key(there)]
        assert row["reason"] == there["reason"]
        assert (
            row["difference"] == ""
            if there["difference"] is None
            else Decimal(row["difference"]) == there["difference"]
        )
        assert datetime.fromisoformat(row["interval_end"]) == there["interval_end"]


@pytest.mark.long
def test_the_last_line_of_a_sync_is_the_verdict(run: Run, emulator: Emulator, tmp_path: Path) -> None:
    first = synced(run, *BOOKS).stdout.splitlines()
    assert first[0] == f"Loading into {tmp_path / 'stripe_reports.duckdb'}, dataset stripe."
    assert first[-1].startswith("tied: ")
    assert ", January to March 2025; open: " in first[-1]
    nothing_new = synced(run, *BOOKS).stdout.splitlines()
    assert nothing_new[-2] == "Nothing new at Stripe."
    assert nothing_new[-1].startswith(first[-1])
    assert " (looked at 20" in nothing_new[-1]
    recorded = datetime(2025, 3, 9, tzinfo=UTC)
    late = late_charge("late", datetime(2025, 1, 15, tzinfo=UTC), recorded, "usd", 1999, 88, "", {})
    emulator.add_transaction(late)
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    moved = synced(run, *BOOKS).stdout.splitlines()
    assert "stale" in moved[-2]
    assert moved[-1] == "What differs, and what to do: stripe-reports reconcile"
    refreshed = run("reconcile", *BOOKS, "--refresh")
    assert refreshed.exit_code == 0, refreshed.stdout
    assert "\nbalance_change_from_activity_itemized [default]: " in refreshed.stdout
    assert "tax" not in refreshed.stdout.split("\nBalance, ")[0]


def test_a_load_that_was_not_compared_names_no_warning_that_may_not_be_there(tmp_path: Path) -> None:
    made = dlt.destinations.duckdb(str(tmp_path / "empty.duckdb"))
    pipeline = dlt.pipeline("compared", destination=made, dataset_name="stripe", pipelines_dir=str(tmp_path))
    said = verdict_of_load(pipeline, Loaded((), 1, 3))
    assert said == "not compared; `stripe-reports reconcile` does it, or says what is in the way."


def test_a_sync_that_failed_says_what_is_loaded_and_whether_it_ties(
    run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__RETRY_POLICY", '{"first_delay": 0.001}')
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__MAX_CONCURRENT_RUNS", "1")  # one file after the other
    emulator.add_fault(Fault("replace", address="files", times=None, body='"nonsense"\n', skip=1))
    result = run("sync", "balance.summary")
    assert result.exit_code == 3
    assert "\nLoaded 1 intervals" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("tied: ")


def test_status_says_whether_a_report_ties(run: Run) -> None:
    synced(run, *BOOKS, "tax.transactions.itemized")
    in_database(CENT, february_charge())
    assert run("reconcile").exit_code == 5
    lines = {line.split()[0]: line for line in run("status").stdout.splitlines() if " default " in line}
    assert " open " in lines["balance_change_from_activity_itemized"]
    assert " tied " in lines["balance_summary"]
    assert " tied " in lines["tax_transactions_itemized"]
    in_database("DROP TABLE stripe.tie_out")
    assert run("status").stdout.count(" not compared ") == len(lines)


@pytest.mark.long
def test_a_database_is_that_of_the_present_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of the folder where the pipeline was first run, which dlt remembers."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        assert (
            f"Loading into {tmp_path / folder / 'stripe_reports.duckdb'}, dataset stripe.\n"
            in synced(run, "balance.summary").stdout
        )
        assert in_database("SELECT count(DISTINCT _interval_day) FROM stripe.balance_summary") == [(3,)]
    assert synced(run, "balance.summary", "--database", "../one/stripe_reports.duckdb").stdout.splitlines()[-2] == (
        "Nothing new at Stripe."
    )
    assert run("reconcile", "--database", os.path.join("..", "one", "stripe_reports.duckdb")).exit_code == 0


@pytest.mark.long
def test_the_files_are_read_again(run: Run) -> None:
    synced(run, "balance_change_from_activity.itemized")
    equal = run("reconcile", "--deep", "10")
    assert equal.exit_code == 0
    assert equal.stdout.count("\nequal  balance_change_from_activity_itemized [default] 2025-0") == 3
    in_database(
        "UPDATE stripe.balance_change_from_activity_itemized SET description = 'x' WHERE balance_transaction_id = ?",
        february_charge(),
    )
    assert run("reconcile").exit_code == 0
    differs = run("reconcile", "--deep", "10")
    assert differs.exit_code == 5
    assert "\ndiffers  balance_change_from_activity_itemized [default] 2025-02-01\n    " in differs.stdout
    assert "description" in differs.stdout
    whole = json.loads(run("reconcile", "--deep", "10", "--format", "json").stdout)
    assert [(found["interval_day"], found["verdict"], found["columns"]) for found in whole["deep"]] == [
        ("2025-01-01", "equal", []), ("2025-02-01", "differs", ["description"]), ("2025-03-01", "equal", []),
    ]  # fmt: skip
