"""The commands `fetch` and `replay` as a user meets them."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import dlt
import duckdb
import pytest
from click.testing import CliRunner, Result

from stripe_reports_source import load_reports
from stripe_reports_source.cli import cli
from stripe_reports_source.emulator import Emulator, Fault
from tests.conftest import source_of
from tests.pipeline.test_cli import KEY, environment

Run = Callable[..., Result]
DAYS = ("--start-date", "2025-01-15", "--end-date", "2025-02-20")
RETRIES = "SOURCES__STRIPE_REPORTS__RETRY_POLICY"


@pytest.fixture
def run(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in environment(emulator, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(RETRIES, '{"attempts": 1}')
    return lambda *arguments: CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_fetch_gives_the_file_as_stripe_wrote_it(run: Run, emulator: Emulator, tmp_path: Path) -> None:
    """Any days, not those of a grid; the same run when it is asked for again."""
    file = tmp_path / "out.csv"
    for _ in range(2):
        result = run("fetch", "payouts.itemized", *DAYS, "-o", str(file), "--columns", "payout_id,net")
        assert (result.exit_code, result.stdout) == (0, "")
    [made] = emulator.runs
    assert file.read_bytes() == made.file.read_bytes()
    assert file.read_bytes().startswith(b'"payout_id","net"\n')
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = hashlib.sha256(file.read_bytes()).hexdigest()
    assert result.stderr.strip() == (
        f"payouts.itemized.3 run {made.id}: {file.stat().st_size} bytes to {file}, sha256 {told}"
    )
    start, end = datetime(2025, 1, 15, tzinfo=timezone.utc), datetime(2025, 2, 20, tzinfo=timezone.utc)
    assert (made.parameters["interval_start"], made.parameters["interval_end"]) == (
        int(start.timestamp()),
        int(end.timestamp()),
    )
    assert {path.name for path in tmp_path.iterdir()} <= {"out.csv", "dlt"}


def test_fetch_into_a_pipe_and_through_a_link(run: Run, emulator: Emulator, tmp_path: Path) -> None:
    """What is there and is not a file stays what it is, and so does a link."""
    pipe, link, file = tmp_path / "pipe", tmp_path / "link.csv", tmp_path / "there" / "real.csv"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert run("fetch", "payouts.itemized", *DAYS, "-o", str(pipe)).exit_code == 0
    reader.join(60)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    file.parent.mkdir()
    file.write_text("before")
    link.symlink_to(file)
    assert run("fetch", "payouts.itemized", *DAYS, "-o", str(link)).exit_code == 0
    assert link.is_symlink()
    assert read == [file.read_bytes()] == [emulator.runs[0].file.read_bytes()]
    assert [path.name for path in file.parent.iterdir()] == ["real.csv"]


def test_fetch_to_the_standard_output(emulator: Emulator, tmp_path: Path) -> None:
    """Nothing else is there, and nothing is changed on the way: as bytes."""
    told = subprocess.run(
        [sys.executable, "-m", "stripe_reports_source.cli", "fetch", "balance.summary", *DAYS, "-o", "-"],
        env={**os.environ, **environment(emulator, tmp_path)},
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert told.stdout == emulator.runs[0].file.read_bytes()
    assert b"sha256" in told.stderr


def test_fetch_of_an_instant_and_of_a_payout(
    run: Run, start_emulator: Callable[..., Emulator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator, file = start_emulator(all_types=True), str(tmp_path / "out.csv")
    for name, value in environment(emulator, tmp_path).items():
        monkeypatch.setenv(name, value)
    assert run("fetch", "ending_balance_reconciliation.itemized", "--end-date", "2025-02-20", "-o", file).exit_code == 0
    payout = next(paid.id for paid in emulator.ledger.payouts if paid.settles)
    by_id = "payout_reconciliation.by_id.itemized"
    assert run("fetch", by_id, "--parameter", f"payout={payout}", "-o", file).exit_code == 0
    first, second = emulator.runs
    assert "interval_start" not in first.parameters
    assert second.parameters["payout"] == payout
    assert Path(file).read_bytes() == second.file.read_bytes()


def test_fetch_with_metadata_and_a_zone(run: Run, emulator: Emulator, tmp_path: Path) -> None:
    header, file = "payment_metadata[order_id]", tmp_path / "out.csv"
    options = ("--metadata", header, "--timezone", "Asia/Kolkata", "-o", str(file))
    assert run("fetch", "payout_reconciliation.itemized", *DAYS, *options).exit_code == 0
    assert header in file.read_text("utf-8").splitlines()[0]
    assert emulator.runs[0].parameters["timezone"] == "Asia/Kolkata"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("payouts.itemized", "--end-date", "2025-02-20", "-o", "f"), "payouts.itemized needs --start-date"),
        (("payouts.itemized", *DAYS), "Missing option '-o'"),
        (("ending_balance_reconciliation.itemized", *DAYS, "-o", "f"), "is of an instant and takes no --start-date"),
        (("payout_reconciliation.by_id.itemized", *DAYS, "-o", "f"), "is run per payout and takes no --start-date"),
        (("payouts.itemized", *DAYS, "-o", "f", "--parameter", "currency"), "must be NAME=VALUE"),
    ],
)
def test_wrong_usage_of_fetch(run: Run, emulator: Emulator, arguments: tuple[str, ...], said: str) -> None:
    result = run("fetch", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not emulator.requests


def test_exit_codes_of_fetch(run: Run, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out.csv"
    late = run("fetch", "payouts.itemized", "--start-date", "2025-03-01", "--end-date", "2025-04-01", "-o", str(file))
    assert late.exit_code == 3
    assert "and Stripe has [2025-01-01T00:00:00Z, 2025-03-10T12:00:00Z)" in late.stderr
    assert run("fetch", "payouts.moonshot", *DAYS, "-o", str(file)).exit_code == 4
    assert run("fetch", "payout_reconciliation.by_id.itemized", "-o", str(file)).exit_code == 4
    assert not emulator.runs
    emulator.add_fault(Fault("truncate", address="files", bytes=10, times=None))
    assert run("fetch", "payouts.itemized", *DAYS, "-o", str(file)).exit_code == 75
    emulator.add_fault(Fault("status", status=503, times=None))
    assert run("fetch", "payouts.itemized", *DAYS, "-o", str(file)).exit_code == 75
    emulator.clear_faults()
    monkeypatch.setenv(KEY, "rk_live_wrong")
    assert run("fetch", "payouts.itemized", *DAYS, "-o", str(file)).exit_code == 4
    monkeypatch.delenv(KEY)
    assert run("fetch", "payouts.itemized", *DAYS, "-o", str(file)).exit_code == 4
    assert not file.exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"dlt"}


def test_replay_needs_no_key(run: Run, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into another file, with the pipeline's name that the first load had."""
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__ARCHIVE_URL", str(tmp_path / "kept"))
    assert run("sync", "payouts.itemized", "balance.summary").exit_code == 0
    monkeypatch.delenv(KEY)
    asked = len(emulator.requests)
    result = run("replay", str(tmp_path / "kept"), "--database", str(tmp_path / "again.duckdb"))
    assert result.exit_code == 0, result.output
    assert re.search(r"Loaded 6 intervals with \d+ rows", result.output)
    assert f"{tmp_path / 'again.duckdb'}, dataset stripe" in result.output
    assert len(emulator.requests) == asked
    ordered = "SELECT COLUMNS(* EXCLUDE _dlt_load_id) FROM stripe.payouts_itemized ORDER BY ALL"
    found = []
    for name in ("w.duckdb", "again.duckdb"):
        with duckdb.connect(str(tmp_path / name), read_only=True) as connection:
            found.append(connection.sql(ordered).fetchall())
    assert found[0] == found[1] != []


def test_exit_codes_of_replay(run: Run, emulator: Emulator, tmp_path: Path) -> None:
    into = ("--database", str(tmp_path / "again.duckdb"))
    assert run("replay", str(tmp_path / "nowhere"), *into).exit_code == 4
    assert run("replay", str(tmp_path), "--destination", "postgres", *into).exit_code == 2
    first = dlt.pipeline("first", destination=dlt.destinations.duckdb(str(tmp_path / "first.duckdb")))
    load_reports(first, source_of(emulator, ["balance.summary"], archive_url=str(tmp_path / "kept")))
    file = next((tmp_path / "kept" / "files").iterdir())
    file.write_bytes(file.read_bytes()[1:])
    damaged = run("replay", str(tmp_path / "kept"), *into)
    assert damaged.exit_code == 3
    assert file.name in damaged.output
