"""Settings of the source on the command line and in dlt's files, and what is said of those that are not right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from stripe_reports_source.cli import cli
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.plan.report import Report
from stripe_reports_source.plan.setting_lists import listed, refuse_misspelt, report_of

Run = Callable[..., Result]
DAYS = ("--start-date", "2025-01-01", "--end-date", "2025-02-01")


@pytest.fixture
def settings(emulator: Emulator) -> dict[str, str]:
    return {
        "SOURCES__STRIPE_REPORTS__API_KEY": emulator.settings.live_keys[0],
        "SOURCES__STRIPE_REPORTS__API_BASE_URL": emulator.api_url,
        "SOURCES__STRIPE_REPORTS__FILES_BASE_URL": emulator.files_url,
    }


@pytest.fixture
def run(settings: dict[str, str]) -> Run:
    return lambda *arguments: CliRunner().invoke(cli, arguments, env=settings)


def rows(sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect("stripe_reports.duckdb", read_only=True) as connection:
        return connection.sql(sql).fetchall()


def test_settings_as_options(run: Run, tmp_path: Path) -> None:
    done = run("backfill", "balance_change_from_activity.itemized.3", *DAYS, "--account", "us",
               "--parameter", "currency=eur", "--column", "balance_transaction_id", "--column", "currency",
               "--column", "net", "--table-name", "activity_eur", "--max-concurrent-runs", "2", "--run-timeout", "60",
               "--archive-url", str(tmp_path / "files"), "--allow-partial", "--no-personal-data")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert rows("SELECT DISTINCT currency, _account FROM stripe.activity_eur") == [("eur", "us")]
    columns = {name for (name,) in rows("SELECT column_name FROM duckdb_columns() WHERE table_name = 'activity_eur'")}
    assert {name for name in columns if not str(name).startswith("_")} == {"balance_transaction_id", "currency", "net"}
    assert any((tmp_path / "files").rglob("*.csv*"))


def test_metadata_goes_to_the_reports_that_have_it(run: Run) -> None:
    asked = ("sync", "balance.summary", "payout_reconciliation.itemized", "--start-date", "2025-02-01")
    done = run(*asked, "--metadata", "payment_metadata[order_id]")
    assert done.exit_code == 0, done.output
    found = rows("SELECT DISTINCT table_name FROM duckdb_columns() WHERE column_name = 'payment_metadata_order_id'")
    assert found == [("payout_reconciliation_itemized",)]
    none = run("sync", "balance.summary", "--metadata", "payment_metadata[order_id]")
    assert none.exit_code == 4
    assert "none of the reports has such a column (balance.summary)" in none.stderr


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("options", "header", "account"),
    [
        (("--stripe-account", "acct_emulated2"), ("stripe-account", "acct_emulated2"), "acct_emulated2"),
        (("--stripe-context", "acct_emulated1/acct_emulated2"),
         ("stripe-context", "acct_emulated1/acct_emulated2"), "acct_emulated2"),
    ],
)  # fmt: skip
def test_accounts_that_are_acted_for(
    run: Run, emulator: Emulator, options: tuple[str, ...], header: tuple[str, str], account: str
) -> None:
    done = run("backfill", "balance.summary", *DAYS, *options)
    assert done.exit_code == 0, done.output
    assert rows("SELECT DISTINCT _account FROM stripe.balance_summary") == [(account,)]
    name, value = header
    assert {request.headers.get(name) for request in emulator.requests} == {value}
    assert f"balance_summary [{account}]: " in done.stdout


def test_connected_accounts(start_emulator: Callable[..., Emulator], run: Run, settings: dict[str, str]) -> None:
    platform = start_emulator(all_types=True)
    settings["SOURCES__STRIPE_REPORTS__API_BASE_URL"] = platform.api_url
    settings["SOURCES__STRIPE_REPORTS__FILES_BASE_URL"] = platform.files_url
    accounts = ["acct_emulated1", "acct_emulated3"]
    asked = ("backfill", "connected_account_payouts.itemized", *DAYS)
    done = run(*asked, "--connected-accounts", ",".join(accounts))
    assert done.exit_code == 0, done.output
    assert sorted(str(run.parameters.get("connected_account")) for run in platform.runs) == accounts
    found = rows("SELECT DISTINCT connected_account FROM stripe.connected_account_payouts_itemized ORDER BY 1")
    assert [account for (account,) in found] == accounts
    wrong = run(*asked, "--connected-accounts", "acct_emulated1,me")
    assert (wrong.exit_code, "connected_accounts 'me' must be a Stripe account id" in wrong.stderr) == (4, True)


def test_refresh_loads_anew(run: Run, emulator: Emulator) -> None:
    assert run("sync", "balance.summary").exit_code == 0
    [(before,)] = rows("SELECT count(*) FROM stripe.balance_summary")
    made = len(emulator.runs)
    assert "Nothing new" in run("sync", "balance.summary").output
    done = run("sync", "balance.summary", "--refresh", "drop_sources")
    assert done.exit_code == 0, done.output
    assert f"with {before} rows" in done.output
    assert len(emulator.runs) >= made


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--table-name", "a"), "--table-name is for a single report, and 6 are asked for"),
        (("--column", "net"), "--column is for a single report"),
        (("balance.summary", "--column", "net", "--columns", "default"), "give one of them"),
        (("--parameter", "currency"), "must be NAME=VALUE"),
    ],
)
def test_options_that_do_not_go_together(run: Run, options: tuple[str, ...], sentence: str) -> None:
    done = run("sync", *options)
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())


TABLES = """
[[sources.stripe_reports.reports]]
report = "balance_change_from_activity.itemized.3"
columns = ["currency", "net"]
table_name = "activity_eur"
parameters = {currency = "eur"}

[[sources.stripe_reports.reports]]
report = "balance.summary"
"""


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("written", "code", "said"),
    [
        (TABLES, 0, "activity_eur [default]: "),
        ('[sources.stripe_reports]\nreports = "balance.summary"', 0, "balance_summary [default]: "),
        ("[sources.stripe_reports]\nmax_concurrent_run = 2", 4, "did you mean 'max_concurrent_runs'?"),
        ('[sources.stripe_reports]\nlookback_days = "few"', 4, "setting lookback_days has a value of the wrong type"),
        ('[[sources.stripe_reports.reports]]\nreport = "balance.summary"\ncolumn = "a"', 4, "did you mean 'columns'?"),
        ("[sources.stripe_reports", 4, "not valid TOML"),
    ],
)
def test_settings_in_a_file(
    settings: dict[str, str], tmp_path: Path, written: str, code: int, said: str, emulator: Emulator
) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(written)
    command = [sys.executable, "-m", "stripe_reports_source.cli", "backfill", *DAYS]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings}, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert bool(emulator.runs) == (code == 0)


def test_lists() -> None:
    for value in (["a", "b"], ("a", "b"), '["a", "b"]', "a,b", " a , b "):
        assert list(listed(value, "reports")) == ["a", "b"]
    assert listed("a", "reports") == ["a"]
    with pytest.raises(ConfigurationError, match="reports is not a list in JSON"):
        listed('["a', "reports")
    with pytest.raises(ConfigurationError, match="reports 7 must be a list"):
        listed(7, "reports")


def test_reports_as_tables() -> None:
    assert report_of({"report": "a.b", "interval": "day"}) == Report("a.b", interval="day")
    with pytest.raises(ConfigurationError, match="no setting 'intervall'; did you mean 'interval'"):
        report_of({"report": "a.b", "intervall": "day"})
    with pytest.raises(ConfigurationError, match="lacks report"):
        report_of({"interval": "day"})
    with pytest.raises(ConfigurationError, match=r"parameters of 'a\.b' must be a table"):
        report_of({"report": "a.b", "parameters": "currency=eur"})


def test_names_that_are_near_a_setting() -> None:
    known = ("lookback_days", "interval")
    refuse_misspelt(["interval", "max_table_nesting", "webhook_secrets"], known)
    with pytest.raises(ConfigurationError, match="no setting 'lookback_day'; did you mean 'lookback_days'"):
        refuse_misspelt(["lookback_day"], known)
