"""The command line as a user meets it: what it prints, its exit codes, Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from stripe_reports_source.cli import cli
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.warehouse.locks import database_file

Run = Callable[..., Result]
KEY = "SOURCES__STRIPE_REPORTS__API_KEY"
RESTORE_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
MINDS_CTRL_C = [sys.executable, "-c", RESTORE_SIGINT]
"""Goes before a command. A shell makes what it starts in the background ignore SIGINT, tests and their children
included; this command minds it all the same, like one that is typed into a terminal."""


def environment(emulator: Emulator, tmp_path: Path) -> dict[str, str]:
    return {
        KEY: emulator.settings.live_keys[0],
        "SOURCES__STRIPE_REPORTS__API_BASE_URL": emulator.api_url,
        "SOURCES__STRIPE_REPORTS__FILES_BASE_URL": emulator.files_url,
        "DESTINATION__DUCKDB__CREDENTIALS": str(tmp_path / "w.duckdb"),
        "COLUMNS": "160",
    }


@pytest.fixture
def run(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in environment(emulator, tmp_path).items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(cli, arguments, catch_exceptions=False)


def count(tmp_path: Path, table: str) -> int:
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as connection:
        [(found,)] = connection.sql(f"SELECT count(*) FROM stripe.{table}").fetchall()
    return int(found)


def test_the_list_of_commands_fits_80_columns() -> None:
    told = CliRunner().invoke(cli, ["--help"], terminal_width=80).stdout
    assert all(f"\n  {name} " in told for name in cli.commands)
    assert "..." not in told.partition("Commands:")[2]


def test_types(run: Run) -> None:
    result = run("types")
    assert result.exit_code == 0
    assert re.search(
        r"payout_reconciliation\.itemized\.5 +2025-01-01 00:00 +2025-03-10 12:00 +interval +\d+ +7 +live", result.output
    )


def test_sync_status_backfill(run: Run, emulator: Emulator, tmp_path: Path) -> None:
    first = run("sync", "balance.summary", "payouts.itemized", "--start-date", "2025-02-01")
    assert first.exit_code == 0
    rows = count(tmp_path, "balance_summary")
    assert f"balance_summary [default]: {rows} rows" in first.output
    again = run("sync", "balance.summary", "payouts.itemized")
    assert (again.exit_code, "Nothing new at Stripe." in again.output) == (0, True)
    emulator.advance(emulator.settings.available_end + timedelta(days=1, hours=3))
    status = run("status").output
    assert re.search(
        r"payouts_itemized +default +2025-03-10 12:00 +2025-03-11 15:00 +1 d 3 h +[\d, dh]+ +tied, \d+ not compared"
        r" +0 +0 +[-\d]+ [:\d]+ +frr_\w+ succeeded",
        status,
    )
    backfill = run("backfill", "balance.summary", "--start-date", "2025-01-01", "--end-date", "2025-02-01")
    assert "Loaded 1 intervals" in backfill.output
    assert count(tmp_path, "balance_summary") > rows


@pytest.mark.long
def test_an_earlier_first_day_is_said_once_with_the_command_that_loads_it(
    run: Run, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """As of dlt's log; a command that is run by itself shows it."""
    told = "history before 2025-02-01 is not loaded"
    sync = ("sync", "balance.summary", "--start-date")
    run(*sync, "2025-02-01")
    assert told not in caplog.text
    asked = len(emulator.requests)
    assert "Nothing new at Stripe." in run(*sync, "2025-02-01").output
    alike = len(emulator.requests) - asked
    assert run(*sync, "2025-01-01").exit_code == 0
    assert len(emulator.requests) - asked == 2 * alike
    [said] = [record.getMessage() for record in caplog.records if told in record.getMessage()]
    _, command, words = said.partition("stripe-reports ")
    assert command
    assert "Loaded 1 intervals" in run(*words.split()).output
    caplog.clear()
    run(*sync, "2025-01-01")
    assert told not in caplog.text


def test_types_of_a_key_and_of_the_catalogue(run: Run, emulator: Emulator) -> None:
    offered = run("types").output
    assert re.search(r"payouts\.itemized\.3 +2025-01-01 00:00 +2025-03-10 12:00 +interval +\d+ +5 +live", offered)
    assert "Not offered to this key (they may need Connect or another Stripe product): " in offered
    asked = len(emulator.requests)
    everything = run("types", "--all").output
    assert re.search(r"payout_reconciliation +payout_reconciliation\.by_id\.itemized +4 +payout +48", everything)
    assert re.search(r"apps_analytics +apps\.churn_rate +1 +interval +none", everything)
    assert len(emulator.requests) == asked


def test_metadata_and_default_columns(run: Run, tmp_path: Path) -> None:
    result = run("sync", "payout_reconciliation.itemized", "--columns", "default", "--interval", "week",
                 "--metadata", "payment_metadata[order_id]")  # fmt: skip
    assert result.exit_code == 0
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as connection:
        sql = "SELECT count(DISTINCT payment_metadata_order_id) FROM stripe.payout_reconciliation_itemized"
        assert connection.sql(sql).fetchall() == [(5,)]


@pytest.mark.long
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_whoever_reads_the_output_may_have_enough_of_it(emulator: Emulator, tmp_path: Path, unbuffered: str) -> None:
    """All is loaded, and the exit codes are those of a reader to the end: 0, and 3 where something has failed."""

    def ends(*arguments: str) -> tuple[int, str]:
        read, written = os.pipe()
        os.close(read)
        command = [sys.executable, "-m", "stripe_reports_source.cli", *arguments]
        env = {**os.environ, **environment(emulator, tmp_path), "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(
            command, env=env, stdout=written, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
        os.close(written)
        return done.returncode, done.stderr

    assert ends("sync", "balance.summary") == (0, "")
    assert ends("sync", "payouts.itemized", "--format", "json")[0] == 0
    assert count(tmp_path, "payouts_itemized") > 0
    for form in ("table", "json"):
        code, said = ends("status", "--offline", "--format", form)
        assert (code, "Traceback" in said, "error" in said) == (0, False, False)
    assert (
        ends("fetch", "payouts.itemized", "--start-date", "2025-01-01", "--end-date", "2025-03-01", "-o", "-")[0] == 0
    )
    emulator.add_fault(Fault("run_failed", method="POST", times=None))
    code, said = ends("sync", "payout_reconciliation.itemized")
    assert (code, "\nerror: " in f"\n{said}", "Traceback" in said) == (3, True, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sync", "payouts.itemised"], "did you mean 'payouts.itemized'"),
        (["sync", "--timezone", "Nowhere"], "timezone 'Nowhere' is not a time zone"),
        (["sync", "--start-date", "2025-99-01"], "start_date '2025-99-01' is not a calendar day"),
        (["backfill", "--start-date", "2025-03-01", "--end-date", "2025-02-01"], "must lie before"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_4(
    run: Run, emulator: Emulator, arguments: Sequence[str], message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 4
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert list(emulator.runs) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            ([command, f"--{option}", empty], f"Invalid value for '--{option}': it must not be empty.")
            for command in ("sync", "status")
            for option, empty in (("database", ""), ("destination", ""), ("dataset", " "), ("pipeline", ""))
        ),
        (["demo", "--database", ""], "Invalid value for '--database': it must not be empty."),
        (["page", "--month", "2025-02", "--output", ""], "Invalid value for '--output': it must not be empty."),
        (["webhook", "--inbox", ""], "Invalid value for '--inbox': it must not be empty."),
        (["fetch", "balance.summary", "-o", ""], "Invalid value for '-o' / '--output': it must not be empty."),
        (["fetch", "payouts", "-o", "-", "--columns", ""], "Invalid value for '--columns': it must not be empty."),
        (["sync", "payouts", "--column", "net", "--column", ""], "Invalid value for '--column': it must not be"),
        (["sync", ""], "Invalid value for '[REPORTS]...': it must not be empty."),
        (["status", "--account", " "], "Invalid value for '--account': it must not be empty."),
        (["replay", ""], "Invalid value for 'ARCHIVE': it must not be empty."),
        (["webhook", "--gather", "nan"], "Invalid value for '--gather': nan is not a number of use here."),
        (["emulator", "--run-delay", "inf"], "Invalid value for '--run-delay': inf is not a number of use here."),
        (["sync", "--pipeline", "../x"], "'../x' must be a plain name, such as stripe_reports."),
        (["status", "--pipeline", "a.b"], "'a.b' must be a plain name, such as stripe_reports."),
        (["sync", "--max-concurrent-runs", "100000"], "100000 is not in the range 1<=x<=1000."),
        (["webhook", "--port", "65536"], "65536 is not in the range 0<=x<=65535."),
        (["emulator", "--files-port", "65536"], "65536 is not in the range 0<=x<=65535."),
        (["reconcile", "--refresh", "--months", "9" * 5000], "must be a number of months, or all."),
    ],
)
def test_wrong_usage_is_exit_code_2_before_anything_is_done(
    run: Run, emulator: Emulator, tmp_path: Path, arguments: Sequence[str], message: str
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())
    assert (emulator.requests, list(tmp_path.iterdir())) == ([], [])


@pytest.mark.long
def test_more_months_than_there_are_calendar_days_before_are_all_months(run: Run) -> None:
    assert run("sync", "balance.summary", "--start-date", "2025-02-01").exit_code == 0
    healed = run("reconcile", "--refresh", "--months", "30000", "balance.summary")
    assert healed.exit_code == 0, healed.output


def test_no_key_and_a_wrong_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "rk_live_bad_one")
    result = run("sync")
    assert (result.exit_code, "Invalid API Key" in result.output) == (4, True)
    assert "rk_live_bad_one" not in result.output
    monkeypatch.delenv(KEY)
    result = run("types")
    assert (result.exit_code, result.output.count("\n")) == (4, 1)
    assert KEY in result.output


def test_a_failed_report_is_named_and_the_exit_code_is_not_0(
    run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__RETRY_POLICY", '{"first_delay": 0.001}')
    emulator.add_fault(Fault("replace", address="files", times=None, body='"nonsense"\n', skip=1))
    result = run("sync", "balance.summary", "--interval", "month")
    assert result.exit_code == 3
    assert re.search(r"balance\.summary\.2 \[default\] \[2025-0[123]-01T00:00:00Z.*frr_\w+: ", result.output)


OFF_BY = re.compile(r"^(?:opening|activity|payouts|closing|of it not yet paid|  \w+) .* (\S+)$", re.MULTILINE)


CONNECTED = ("sync", "connected_account_payouts.itemized", "--start-date", "2025-03-01", "--connected-accounts")
OF_OTHERS = {
    "a backfill before its first day": (
        ("sync", "payouts.itemized", "--start-date", "2025-03-01"),
        ("backfill", "payouts.itemized", "--start-date", "2025-02-01", "--end-date", "2025-03-01"),
    ),
    "another account": ((*CONNECTED, "acct_emulated1"), (*CONNECTED, "acct_emulated2")),
}


@pytest.mark.first(1)
@pytest.mark.parametrize("which", OF_OTHERS)
def test_what_a_sync_does_not_have_is_not_in_its_exit_code(
    run: Run, start_emulator: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, which: str
) -> None:
    emulator = start_emulator(all_types=True, scale=0.05)
    for name, value in environment(emulator, tmp_path).items():
        monkeypatch.setenv(name, value)
    sync, other = OF_OTHERS[which]
    assert run(*sync).exit_code == 0
    emulator.add_fault(Fault("run_failed", method="POST", times=None))
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__RUN_POLICY", '{"attempts": 1}')
    assert run(*other).exit_code == 3
    emulator.clear_faults()
    again = run(*sync)
    assert (again.exit_code, "the log says what to do" in again.output) == (0, False)


@pytest.mark.long
def test_demo_twice(run: Run, tmp_path: Path) -> None:
    """All months tie; the past changes, which is named; it is put right; a second run syncs some days more."""
    first = run("demo")
    assert first.exit_code == 0
    clean, changed = first.output.split("A day later, Stripe's past has changed")
    alarm, healed = changed.split("Put right, as stripe-reports reconcile --refresh does it")
    for shown in (clean, healed):
        off_by = OFF_BY.findall(shown.split("Balance, ", 1)[1])
        assert len(off_by) > 10
        assert set(off_by) <= {"0.00", "0.000", "0", "-"}
    verdict = r"^tied: \d+ statements, January to {}; open: (none|\d+ pending)$"
    assert re.search(verdict.format("June 2025"), clean, re.MULTILINE)
    assert "opening_equals_closing_before [default] 2025-06-01 usd: 19.11" in alarm
    assert "txn_late" in alarm
    assert re.search(r"^\d+ report runs found the month", healed, re.MULTILINE)
    assert re.search(verdict.format("July 2025"), healed, re.MULTILINE)
    second = run("demo")
    assert second.exit_code == 0
    assert "data up to 2025-07-05" in second.output
    assert "Put right" not in second.output
    assert re.search(verdict.format("July 2025"), second.output, re.MULTILINE)
    assert (tmp_path / "stripe_demo.duckdb").exists()


@contextmanager
def kill_at_the_end(process: subprocess.Popen[str]) -> Iterator[None]:
    """Leave no process behind that a test waits for, whatever fails."""
    try:
        yield
    finally:
        process.kill()


def test_a_command_minds_ctrl_c_even_where_the_tests_ignore_it() -> None:
    in_the_background = ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
    shows = [
        sys.executable,
        "-c",
        "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)",
    ]
    for prefix, minds in (([], "False"), (MINDS_CTRL_C, "True")):
        command = [*in_the_background, *prefix, *shows]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == minds


def test_ctrl_c_stops_cleanly_and_the_next_sync_goes_on(emulator: Emulator, tmp_path: Path) -> None:
    emulator.add_fault(Fault("run_stuck", method="POST", times=None))
    command = [sys.executable, "-m", "stripe_reports_source.cli", "sync", "balance.summary"]
    settings = {**os.environ, **environment(emulator, tmp_path)}
    typed = [*MINDS_CTRL_C, *command]
    with subprocess.Popen(typed, stderr=subprocess.PIPE, text=True, env=settings) as process, kill_at_the_end(process):
        while not emulator.runs:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "Stopped. What was loaded stays; Stripe keeps the runs, and the next sync goes on from there.\n"
    emulator.clear_faults()
    made = len(emulator.runs)
    assert subprocess.run(command, env=settings, check=False).returncode == 0
    assert len(emulator.runs) <= max(3, made)
    assert count(tmp_path, "balance_summary") > 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "meanwhile"),
    [
        (["status"], False),
        (["doctor"], False),
        (["sync", "balance.summary"], False),
        (["sync", "balance.summary"], True),
    ],
    ids=["status", "doctor", "sync", "sync-while-another-one-loads"],
)
def test_ctrl_c_stops_a_command_that_waits_for_duckdb(
    emulator: Emulator, tmp_path: Path, command: list[str], meanwhile: bool
) -> None:
    settings = {**os.environ, **environment(emulator, tmp_path)}
    called = [sys.executable, "-m", "stripe_reports_source.cli"]
    subprocess.run([*called, "sync", "balance.summary"], env=settings, check=True, capture_output=True)
    file, pipe = tmp_path / "w.duckdb", tmp_path / "pipe"
    os.mkfifo(pipe)
    with duckdb.connect(str(file)) as connection:
        read = f"SELECT a FROM read_csv('{pipe}', columns = {{'a': 'BIGINT'}}, auto_detect = false, header = false)"
        connection.execute("ALTER TABLE stripe.report_cells RENAME TO kept")
        connection.execute(f"CREATE VIEW stripe.report_cells AS SELECT * FROM stripe.kept WHERE 1 NOT IN ({read})")
    typed = [*MINDS_CTRL_C, *called, *command]
    with (
        FileLock(database_file(file)) if meanwhile else nullcontext(),
        subprocess.Popen(typed, stderr=subprocess.PIPE, text=True, env=settings) as process,
        kill_at_the_end(process),
    ):
        with opened_by_who_reads(pipe, process):
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-1].partition(".")[0]) == (130, "Stopped")


@contextmanager
def opened_by_who_reads(pipe: Path, process: subprocess.Popen[str]) -> Iterator[None]:
    """From the moment that a process reads from a pipe; it waits until the end of the block."""
    end = None
    while end is None:
        assert process.poll() is None
        time.sleep(0.01)
        with suppress(OSError):  # nobody reads yet
            end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    try:
        yield
    finally:
        os.close(end)
