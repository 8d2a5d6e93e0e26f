"""`doctor`: each line, each exit code, and that nothing is made."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from stripe_reports_source.cli import cli
from stripe_reports_source.emulator import Emulator
from tests.http.scripted import Answer, scripted

Run = Callable[..., Result]
KEY = "SOURCES__STRIPE_REPORTS__API_KEY"
API = "SOURCES__STRIPE_REPORTS__API_BASE_URL"
FILES = "SOURCES__STRIPE_REPORTS__FILES_BASE_URL"
SECRETS = "SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def run(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv(KEY, emulator.settings.live_keys[0])
    monkeypatch.setenv(API, emulator.api_url)
    monkeypatch.setenv(FILES, emulator.files_url)
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__RETRY_POLICY", '{"first_delay": 0.001}')
    return lambda *arguments: CliRunner().invoke(cli, arguments, catch_exceptions=False)


def lines(result: Result) -> dict[str, str]:
    """The lines, by what they are about: mark and sentence."""
    found = {}
    for line in result.stdout.splitlines():
        mark, _, rest = line.partition(" ")
        name, _, text = rest.strip().partition(": ")
        found[name] = f"{mark} {text}"
    return found


def test_before_the_first_sync_and_after_it(run: Run, emulator: Emulator, tmp_path: Path) -> None:
    result = run("doctor", "balance.summary", "payouts.itemized")
    assert result.exit_code == 0, result.output
    found = lines(result)
    assert found["key"].startswith("ok a ")
    assert "live data" in found["key"]
    assert emulator.settings.live_keys[0] not in result.output
    assert found[f"report types at {emulator.api_url}"].startswith("ok ")
    assert found["report runs"].startswith("ok the key may read them")
    assert found["clock"] == "ok it agrees with Stripe's"
    assert found[f"files at {emulator.files_url}"] == "ok the key is let in to read files"
    assert found["destination"] == (
        f"ok {tmp_path / 'stripe_reports.duckdb'} is not there yet; the first sync makes it"
    )
    assert "GiB free in" in found["disk"]
    assert found["webhook secret"].startswith("- there is none")
    assert found["next sync"].startswith("ok 6 intervals (balance_summary 3, payouts_itemized 3), a report run each")
    assert "not known before the first run" in found["next sync"]
    assert list(tmp_path.rglob("*")) == []
    assert not emulator.runs

    run("sync", "balance.summary")
    before = {str(path) for path in tmp_path.rglob("*")}
    found = lines(run("doctor", "balance.summary"))
    assert found["next sync"] == "ok nothing new at Stripe"
    assert "replaces intervals in transactions" in found["destination"]
    assert found["locks"] == "ok no sync is at work"
    more = lines(run("doctor", "balance.summary", "payouts.itemized"))["next sync"]
    assert more.startswith("ok 3 intervals (payouts_itemized 3)")
    assert "about 1 min at Stripe" in more
    assert {str(path) for path in tmp_path.rglob("*")} == before


def test_what_is_wrong_is_exit_code_4(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("doctor", "--timezone", "Nowhere")
    assert (result.exit_code, lines(result)["settings"].startswith("wrong timezone 'Nowhere' is not")) == (4, True)
    result = run("doctor", "--dataset", "stripe_reports")
    assert (result.exit_code, "must not be named after the dataset" in lines(result)["destination"]) == (4, True)
    result = run("doctor", "--database", "nowhere/x.duckdb")
    assert (result.exit_code, lines(result)["destination"].startswith("wrong the folder ")) == (4, True)
    monkeypatch.setenv(SECRETS, "sk_live_no_secret")
    result = run("doctor")
    assert (result.exit_code, lines(result)["webhook secret"].startswith("wrong ")) == (4, True)
    monkeypatch.setenv(SECRETS, "whsec_" + "a" * 32)
    assert lines(run("doctor"))["webhook secret"] == "ok 1 set"


def test_a_report_that_is_not_offered(run: Run) -> None:
    result = run("doctor", "payouts.itemized", "balance.summary.99")
    assert result.exit_code == 4
    assert "balance.summary.99" in lines(result)["report"]
    assert lines(result)["next sync"].startswith("ok 3 intervals (payouts_itemized 3)")


def test_an_archive_has_room_on_its_own_disk(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    found = lines(run("doctor", "--archive-url", str(archive / "mine")))
    assert found["archive"] == f"ok {archive / 'mine'} can be written"
    assert f"GiB free in {archive}" in found["disk"]
    usage = shutil.disk_usage

    def full(folder: Path) -> Any:
        return usage(folder)._replace(free=0) if folder == archive else usage(folder)

    monkeypatch.setattr(shutil, "disk_usage", full)
    result = run("doctor", "--archive-url", str(archive / "mine"))
    assert (result.exit_code, lines(result)["disk"].startswith(f"wrong {archive} has 0.0 GiB free")) == (4, True)
    assert list(archive.iterdir()) == []


def test_of_an_archive_elsewhere_the_address_alone_is_looked_at(run: Run) -> None:
    found = lines(run("doctor", "--archive-url", "memory://archive"))["archive"]
    assert (
        found == "ok memory://archive is an address that can be used; whether it may be written, the first file tells"
    )


def test_keys(run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "rk_live_wrong")
    result = run("doctor")
    assert result.exit_code == 4
    assert "Invalid API Key" in lines(result)[f"report types at {emulator.api_url}"]
    assert lines(result)["next sync"] == "- not known while Stripe is not asked"
    monkeypatch.setenv(KEY, emulator.settings.powerless_keys[0])
    result = run("doctor")
    assert (result.exit_code, "permission" in lines(result)[f"files at {emulator.files_url}"]) == (4, True)
    monkeypatch.delenv(KEY)
    result = run("doctor")
    assert (result.exit_code, KEY in lines(result)["key"]) == (4, True)


def test_the_network_is_exit_code_75(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILES, NOWHERE)
    result = run("doctor")
    assert (result.exit_code, lines(result)[f"files at {NOWHERE}"].startswith("later ")) == (75, True)
    monkeypatch.setenv(API, NOWHERE)
    assert run("doctor").exit_code == 75


def test_a_clock_that_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"object": "list", "data": [], "has_more": false, "url": "/v1/reporting/report_types"}'
    with scripted(Answer(body, headers={"Date": "Mon, 10 Mar 2025 12:00:00 GMT"})) as script:
        monkeypatch.setenv(API, script.url)
        result = run("doctor", "balance.summary")
    assert result.exit_code == 4
    assert "s ahead of Stripe's; set it." in lines(result)["clock"]
    assert lines(result)["report"].startswith("wrong ")


def test_a_sync_that_is_at_work_and_a_file_that_is_open(run: Run, tmp_path: Path) -> None:
    run("sync", "balance.summary")
    file = tmp_path / "stripe_reports.duckdb"
    with FileLock(file.with_name(f".{file.name}.lock")):
        result = run("doctor", "balance.summary")
    assert result.exit_code == 75
    assert lines(result)["locks"].startswith(f"later another load into the DuckDB file {file} is at work")
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        result = run("doctor", "balance.summary")
        assert (result.exit_code, "is open in " in lines(result)["destination"]) == (75, True)
        holder.communicate()


def test_postgres(run: Run, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres)
    place = ("--destination", "postgres", "--dataset", f"stripe_{uuid.uuid4().hex[:12]}")
    result = run("doctor", "balance.summary", *place)
    assert result.exit_code == 0, result.output
    assert lines(result)["locks"] == "ok no sync is at work"
    assert lines(result)["next sync"].startswith("ok 3 intervals")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://nobody:hushhush@127.0.0.1:9/none")
    result = run("doctor", "balance.summary", *place)
    assert (result.exit_code, lines(result)["destination"][:5]) == (75, "later")
    assert lines(result)["next sync"] == "- not known while the destination cannot be used"
    assert "hushhush" not in result.output


@pytest.mark.parametrize("may", [True, False], ids=["all it needs", "no use of it"])
def test_a_role_that_may_write_its_schema_alone(
    run: Run, postgres: str, monkeypatch: pytest.MonkeyPatch, may: bool
) -> None:
    role, schema = (f"{name}_{uuid.uuid4().hex[:12]}" for name in ("loader", "mine"))
    grants = f"GRANT {'USAGE, ' if may else ''}CREATE ON SCHEMA {schema} TO {role}"
    with psycopg2.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role} LOGIN; CREATE SCHEMA {schema}; {grants}")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres.replace("postgres:none", f"{role}:none"))
    place = ("--destination", "postgres", "--dataset", schema)
    if may:
        assert run("sync", "balance.summary", *place).exit_code == 0
    result = run("doctor", "balance.summary", *place)
    assert result.exit_code == (0 if may else 4), result.output
    said = lines(result)["destination"]
    assert ("only with steps" in said, f"grant it USAGE and CREATE on the schema '{schema}'" in said) == (may, not may)


def test_nothing_is_said_to_be_up_to_date_where_nothing_can_be_planned(run: Run, emulator: Emulator) -> None:
    emulator.alter("payouts.itemized.3", hidden=True)
    result = run("doctor", "payouts.itemized.3")
    assert (result.exit_code, lines(result)["report"][:5]) == (4, "wrong")
    assert lines(result)["next sync"] == "- not known, see above"


def test_a_database_in_the_working_folder(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """dlt's address :pipeline: is the same file for the commands that only read, whose working folder is another."""
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", ":pipeline:")
    file = tmp_path / "dlt" / "pipelines" / "stripe_reports" / "stripe_reports.duckdb"
    missing = run("status", "--offline")
    assert (missing.exit_code, f"there is no database {file};" in missing.stderr) == (4, True)
    assert run("sync", "balance.summary").exit_code == 0
    status = run("status", "--offline")
    assert (status.exit_code, status.stdout.splitlines()[0]) == (0, f"{file}, dataset stripe")
    result = run("doctor", "balance.summary")
    assert (result.exit_code, lines(result)["next sync"]) == (0, "ok nothing new at Stripe")


def test_debug_shows_where_what_is_wrong_comes_from(run: Run) -> None:
    arguments = ("doctor", "balance.summary", "--destination", "postgress")
    shown = run(*arguments, "--debug")
    assert "Traceback (most recent call last)" in shown.stderr
    assert run(*arguments).stderr == ""
    assert lines(shown)["destination"].startswith("wrong destination 'postgress' is not known")


@pytest.mark.first(1)
@pytest.mark.parametrize("step", ["read_only_pipeline", "reached"])
def test_ctrl_c_in_a_question_to_duckdb_is_not_a_finding(run: Run, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def stopped(*args: object) -> None:
        raise RuntimeError("Query interrupted")  # as DuckDB 2.0 says it

    run("sync", "balance.summary")
    monkeypatch.setattr(f"stripe_reports_source.cli.doctor.{step}", stopped)
    ended = run("doctor", "balance.summary")
    assert (ended.exit_code, "wrong" in ended.stdout) == (130, False)
