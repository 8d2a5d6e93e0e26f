"""Every command and every foreseeable failure: one sentence, no traceback, and the exit code that scripts go by."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from stripe_reports_source.cli import cli
from stripe_reports_source.emulator import Emulator, EmulatorSettings, Fault
from tests.conftest import SMALL

PREFIX = "SOURCES__STRIPE_REPORTS__"
POSTGRES = "DESTINATION__POSTGRES__CREDENTIALS"
LIVE_KEY = "rk_live_" + "hushhush"  # put together, so that nobody takes it for a real one
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "types": ("types",),
    "sync": ("sync", "balance.summary"),
    "backfill": ("backfill", "balance.summary", "--start-date", "2025-01-01", "--end-date", "2025-02-01"),
    "status": ("status",),
    "fetch": ("fetch", "balance.summary", "--start-date", "2025-01-01", "--end-date", "2025-02-01", "-o", "a.csv"),
    "replay": ("replay", "{folder}/archive"),
    "reconcile": ("reconcile",),
    "webhook": ("webhook",),
    "emulator": ("emulator", "--api-port", "0", "--files-port", "0", "--control-port", "0"),
    "demo": ("demo",),
}
ASK_STRIPE = ("types", "sync", "backfill", "fetch")
LOAD = ("sync", "backfill")
OPEN = (*LOAD, "status", "reconcile", "replay")


@dataclass(frozen=True)
class Failure:
    """What goes wrong for some commands; `{folder}` and `{refused}` (an address without a server) are filled in."""

    name: str
    commands: tuple[str, ...]
    code: int
    sentence: str
    options: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


FAILURES = (
    Failure("no key", ASK_STRIPE, 4, "No Stripe API key. Set the environment variable", settings={"API_KEY": ""}),
    Failure("wrong key", ASK_STRIPE, 4, "Invalid API Key", settings={"API_KEY": "rk_live_other"}),
    Failure("publishable key", ASK_STRIPE, 4, "a publishable key", settings={"API_KEY": "pk_live_hushhush"}),
    Failure("webhook secret", ASK_STRIPE, 4, "a webhook's signing secret", settings={"API_KEY": "whsec_hushhush"}),
    Failure("quotes", ASK_STRIPE, 4, "has quotes around it", settings={"API_KEY": f'"{LIVE_KEY}"'}),
    Failure("placeholder", ASK_STRIPE, 4, "is a placeholder", settings={"API_KEY": "rk_live_..."}),
    Failure("no permission", ASK_STRIPE, 4, "needs the permissions", settings={"fault": "403"}),
    Failure("Stripe is down", ASK_STRIPE, 75, "failed 1 times, the last with HTTP 503", settings={"fault": "503"}),
    Failure("name not found", ASK_STRIPE, 75, "the host's name was not found",
            settings={"API_BASE_URL": "https://stripe.invalid"}),
    Failure("refused", ASK_STRIPE, 75, "the host refuses the connection",
            settings={"API_BASE_URL": "http://{refused}"}),
    Failure("proxy", ASK_STRIPE, 75, "the proxy that HTTPS_PROXY names does not answer",
            settings={"API_BASE_URL": "https://stripe.invalid", "FILES_BASE_URL": "https://files.invalid",
                      "HTTPS_PROXY": "http://user:hushhush@{refused}"}),
    Failure("whole number", ASK_STRIPE, 4, "setting max_concurrent_runs has a value of the wrong type: "
            "it must be a whole number", settings={"MAX_CONCURRENT_RUNS": "hushhush"}),
    Failure("true or false", ASK_STRIPE, 4, "setting allow_partial .* it must be true or false",
            settings={"ALLOW_PARTIAL": "hushhush"}),
    Failure("out of bounds", ASK_STRIPE, 4, "max_concurrent_runs 0 must be a number above 0",
            settings={"MAX_CONCURRENT_RUNS": "0"}),
    Failure("report", LOAD, 4, "did you mean 'payouts.itemized'", options=("payouts.itemised",)),
    Failure("window", ("backfill",), 3, "2035", options=("--start-date", "2035-01-01", "--end-date", "2035-02-01")),
    Failure("nothing there", ("reconcile",), 4, "there is no database {folder}/stripe_reports.duckdb"),
    Failure("no archive", ("replay",), 4, "archive"),
    Failure("destination", OPEN, 4, "destination 'postgress' is not known; did you mean 'postgres'?",
            options=("--destination", "postgress")),
    Failure("unconfigured", (*LOAD, "status", "reconcile"), 4,
            "destination 'postgres' is not configured; it lacks: database, password, username, host. "
            "Set DESTINATION__POSTGRES__CREDENTIALS", options=("--destination", "postgres")),
    Failure("credentials", (*LOAD, "status", "reconcile"), 4, "have a form that Postgres does not take",
            options=("--destination", "postgres"), settings={POSTGRES: "nonsense, hushhush"}),
    Failure("PostgreSQL refuses", (*LOAD, "status", "reconcile"), 75,
            r"PostgreSQL at .127\.0\.0\.1.*cannot be reached: Connection refused",
            options=("--destination", "postgres"), settings={POSTGRES: "postgresql://user:hushhush@{refused}/db"}),
    Failure("not DuckDB", (*LOAD, "status", "reconcile"), 4, "{folder}/text.duckdb is not a DuckDB database",
            options=("--database", "text.duckdb")),
    Failure("named alike", OPEN, 4, "'{folder}/stripe.duckdb' must not be named after the dataset 'stripe'",
            options=("--database", "stripe.duckdb")),
    Failure("no folder", LOAD, 4, "lock file .* cannot be made", options=("--database", "text.duckdb/a.duckdb")),
    Failure("usage", tuple(COMMANDS), 2, "No such option", options=("--nonsense",)),
    Failure("database of another", OPEN, 2, "--database names a DuckDB file",
            options=("--database", "a.duckdb", "--destination", "postgres")),
)  # fmt: skip
TABLE = [(command, failure) for failure in FAILURES for command in failure.commands]


@pytest.fixture(scope="module")
def stripe() -> Iterator[Emulator]:
    with Emulator(EmulatorSettings(**SMALL)) as emulator:
        yield emulator


@pytest.fixture
def settings(stripe: Emulator) -> Iterator[dict[str, str]]:
    yield {
        f"{PREFIX}API_KEY": stripe.settings.live_keys[0],
        f"{PREFIX}API_BASE_URL": stripe.api_url,
        f"{PREFIX}FILES_BASE_URL": stripe.files_url,
        f"{PREFIX}RETRY_POLICY": '{"attempts": 1}',
    }
    stripe.clear_faults()


@pytest.fixture(scope="module")
def refused() -> Iterator[str]:
    """An address of this machine that is taken, but where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(("command", "failure"), TABLE, ids=[f"{name}: {failure.name}" for name, failure in TABLE])
def test_each_command_and_failure(
    command: str, failure: Failure, stripe: Emulator, settings: dict[str, str], refused: str, tmp_path: Path
) -> None:
    def filled(text: str) -> str:
        return text.replace("{folder}", str(tmp_path)).replace("{refused}", refused)

    changed: dict[str, str | None] = {**settings}
    for name, value in failure.settings.items():
        if name == "fault":
            stripe.add_fault(Fault("status", times=None, status=int(value), body=f'{{"error": {{"message": "{"x"}"}}}}'
                                   if value == "403" else "down"))  # fmt: skip
        else:
            changed[name if name in (POSTGRES, "HTTPS_PROXY") else PREFIX + name] = filled(value) or None
    (tmp_path / "text.duckdb").write_text("This is a text, and not a database. " * 400)
    runs = len(stripe.runs)
    arguments = [*map(filled, COMMANDS[command]), *map(filled, failure.options)]
    done = CliRunner().invoke(cli, arguments, env=changed)
    assert done.exit_code == failure.code, done.output
    assert re.search(filled(failure.sentence), done.stderr)
    assert "Traceback" not in done.output
    assert "hushhush" not in done.output
    if failure.code != 2:
        [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(error) < 600
    assert len(stripe.runs) == runs


MISSING = (
    ("starlette", ("emulator",), r"the package starlette .*'stripe-reports-source\[emulator\]'"),
    ("starlette", ("demo",), r"the package starlette .*'stripe-reports-source\[(?:emulator|demo)\]'"),
    ("stripe", ("webhook",), r"'stripe-reports-source\[webhook\]'"),
    ("psycopg2", ("sync", "--destination", "postgres"), r"'stripe-reports-source\[postgres\]'"),
    ("snowflake", ("sync", "--destination", "snowflake"), r"pip install 'dlt\[snowflake\]"),
)


def in_a_process(arguments: tuple[str, ...], env: Mapping[str, str], without: str = "") -> tuple[int, str]:
    """A command in a process of its own, where a package cannot be imported: its exit code and what it says."""
    hidden = f"import sys; sys.modules.update({dict.fromkeys(without.split())!r})"
    script = f"{hidden}; from stripe_reports_source.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(("package", "arguments", "sentence"), MISSING)
def test_a_package_that_is_not_installed(
    package: str, arguments: tuple[str, ...], sentence: str, settings: dict[str, str]
) -> None:
    configured = {
        POSTGRES: "postgresql://user:none@127.0.0.1:1/db",
        "DESTINATION__SNOWFLAKE__CREDENTIALS": "snowflake://user:none@account/db",
    }
    code, said = in_a_process(arguments, {**settings, **configured}, package)
    assert code == 4, said
    assert re.search(sentence, said)
    assert "Traceback" not in said


def test_a_file_that_another_process_has_open_is_named_with_its_holder(
    settings: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "stripe_reports.duckdb"
    with duckdb.connect(str(file)):
        code, said = in_a_process(("status",), settings)
    assert code == 75, said
    assert f"{file} is open in" in said
    assert f"PID {os.getpid()}" in said


def test_debug_shows_where_an_error_comes_from(settings: dict[str, str]) -> None:
    arguments = ["sync", "--destination", "postgress"]
    shown = CliRunner().invoke(cli, [*arguments, "--debug"], env=settings)
    assert "Traceback (most recent call last)" in shown.stderr
    assert shown.stderr.splitlines()[-1].startswith("error: destination 'postgress' is not known")
    assert "Traceback" not in CliRunner().invoke(cli, arguments, env=settings).output
