"""Every command and every foreseeable failure: how it is provoked, the sentence, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from stripe_reports_source.emulator import Fault

POSTGRES = "DESTINATION__POSTGRES__CREDENTIALS"
READ_ONLY = "postgresql://postgres:none@{server}/postgres?options=-c%20default_transaction_read_only%3Don"
LIVE_KEY = "rk_live_" + "hushhush"  # put together, so that nobody takes it for a real one
JANUARY = ("--start-date", "2025-01-01", "--end-date", "2025-02-01")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "types": ("types",),
    "sync": ("sync", "balance.summary"),
    "backfill": ("backfill", "balance.summary", *JANUARY),
    "status": ("status",),
    "doctor": ("doctor", "balance.summary"),
    "fetch": ("fetch", "balance.summary", *JANUARY, "-o", "a.csv"),
    "replay": ("replay", "{folder}/archive"),
    "reconcile": ("reconcile",),
    "reconcile --refresh": ("reconcile", "--refresh", "--months", "1", "balance.summary"),
    "webhook": ("webhook", "balance.summary"),
    "emulator": ("emulator", "--api-port", "0", "--files-port", "0", "--control-port", "0"),
    "demo": ("demo",),
}
"""Each command as it is begun."""
REFRESH = "reconcile --refresh"
LOAD = ("sync", "backfill")
ASK_STRIPE = ("types", *LOAD, "fetch", "doctor", REFRESH)
OPEN = (*LOAD, "status", "doctor", "reconcile", REFRESH, "replay", "webhook")
CONNECT = (*LOAD, "status", "doctor", "reconcile")
"""Commands that begin with the destination, whatever it holds."""


@dataclass(frozen=True)
class Failure:
    """What goes wrong for some commands.

    Args:
        name: of the failure.
        commands: that meet it.
        code, sentence: the exit code, and a pattern of what is said.
        options, settings: go with the command; names of settings are the source's own, or whole.
        instead: stand in the place of what the command is begun with.
        faults: what Stripe does.
        loaded: there is a database with a report already, and an archive.
        runs: Stripe is asked for report runs before it goes wrong.
    """

    name: str
    commands: tuple[str, ...]
    code: int
    sentence: str
    options: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    loaded: bool = False
    runs: bool = False


FAILURES = (
    # the key
    Failure("no key", ASK_STRIPE, 4, "No Stripe API key. Set the environment variable", settings={"API_KEY": ""}),
    Failure("wrong key", ASK_STRIPE, 4, "Invalid API Key", settings={"API_KEY": "rk_live_other"}),
    Failure("publishable key", ASK_STRIPE, 4, "a publishable key", settings={"API_KEY": "pk_live_hushhush"}),
    Failure("webhook secret", ASK_STRIPE, 4, "a webhook's signing secret", settings={"API_KEY": "whsec_hushhush"}),
    Failure("quotes", ASK_STRIPE, 4, "has quotes around it", settings={"API_KEY": f'"{LIVE_KEY}"'}),
    Failure("placeholder", ASK_STRIPE, 4, "is a placeholder", settings={"API_KEY": "rk_live_..."}),
    Failure("no permission", ASK_STRIPE, 4, "needs the permissions",
            faults=(Fault("status", times=None, status=403, body='{"error": {"message": "x"}}'),)),
    # the network, and Stripe
    Failure("Stripe is down", ASK_STRIPE, 75, "failed 1 times, the last with HTTP 503",
            faults=(Fault("status", times=None, status=503, body="down"),)),
    Failure("name not found", ASK_STRIPE, 75, "the host's name was not found",
            settings={"API_BASE_URL": "https://stripe.invalid"}),
    Failure("refused", ASK_STRIPE, 75, "the host refuses the connection",
            settings={"API_BASE_URL": "http://{refused}"}),
    Failure("proxy", ASK_STRIPE, 75, "the proxy that HTTPS_PROXY names does not answer",
            settings={"API_BASE_URL": "https://stripe.invalid", "FILES_BASE_URL": "https://files.invalid",
                      "HTTPS_PROXY": "http://user:hushhush@{refused}"}),
    Failure("certificate", ASK_STRIPE, 75, "the host's certificate is not trusted; check proxies",
            settings={"API_BASE_URL": "{untrusted}"}),
    Failure("no TLS", ASK_STRIPE, 75, "the host does not answer with TLS",
            settings={"API_BASE_URL": "https://{plain}"}),
    Failure("a run fails", LOAD, 3, "balance.summary.2 .* 2025-02-01", runs=True,
            faults=(Fault("run_failed", method="POST", times=None),)),
    Failure("currency", LOAD, 3, r"Invalid currency: xyz .*\) Change the parameter currency\.", runs=True,
            options=("--parameter", "currency=xyz")),
    Failure("a run fails", ("fetch",), 3, "An internal error occurred", runs=True,
            faults=(Fault("run_failed", method="POST", times=None),)),
    Failure("a run takes too long", LOAD, 3, "raise run_timeout", runs=True, settings={"RUN_TIMEOUT": "0.1"},
            faults=(Fault("run_stuck", method="POST", times=None),)),
    Failure("another file", LOAD, 3, "has [0-9]+ bytes at Stripe, 11 arrived", runs=True,
            faults=(Fault("replace", address="files", times=None, body='"nonsense"\n'),)),
    Failure("files are not served", ("fetch",), 75, "HTTP 503", runs=True,
            faults=(Fault("status", address="files", times=None, status=503, body="down"),)),
    # settings
    Failure("whole number", ASK_STRIPE, 4, "setting max_concurrent_runs has a value of the wrong type: "
            "it must be a whole number", settings={"MAX_CONCURRENT_RUNS": "hushhush"}),
    Failure("true or false", ASK_STRIPE, 4, "setting allow_partial .* it must be true or false",
            settings={"ALLOW_PARTIAL": "hushhush"}),
    Failure("out of bounds", ASK_STRIPE, 4, "max_concurrent_runs 0 must be a number above 0",
            settings={"MAX_CONCURRENT_RUNS": "0"}),
    Failure("misspelt", ASK_STRIPE, 4, "has no setting 'lookback_day'; did you mean 'lookback_days'",
            settings={"LOOKBACK_DAY": "5"}),
    Failure("zone", ASK_STRIPE, 4, "timezone 'Moon' is not a time zone", settings={"TIMEZONE": "Moon"}),
    Failure("grid", ASK_STRIPE, 4, "interval 'year' must be one of day, week, month", settings={"INTERVAL": "year"}),
    Failure("account", ASK_STRIPE, 4, "stripe_account 'me' must be a Stripe account id",
            settings={"STRIPE_ACCOUNT": "me"}),
    Failure("address", ASK_STRIPE, 4, "api_base_url 'http://example.com' must be an https address",
            settings={"API_BASE_URL": "http://example.com"}),
    Failure("archive", (*LOAD, "doctor"), 4, "archive_url 'nosuch://x' cannot be used",
            settings={"ARCHIVE_URL": "nosuch://x"}),
    Failure("archive below a file", ("doctor",), 4, "{folder}/text.duckdb is not a folder; set archive_url",
            settings={"ARCHIVE_URL": "{folder}/text.duckdb/archive"}),
    Failure("report", ("sync", "doctor"), 4, r"did you mean 'payouts.itemized'[^?]*\?$", instead=("payouts.itemised",)),
    Failure("report", ("backfill",), 4, "did you mean 'payouts.itemized'", instead=("payouts.itemised", *JANUARY)),
    Failure("report", ("fetch",), 4, "did you mean 'payouts.itemized'",
            instead=("payouts.itemised", *JANUARY, "-o", "a.csv")),
    Failure("window", ("backfill", "fetch"), 3, "2035",
            options=("--start-date", "2035-01-01", "--end-date", "2035-02-01")),
    Failure("no secret", ("webhook",), 4, "No endpoint secret", settings={"WEBHOOK_SECRETS": ""}),
    Failure("a key as secret", ("webhook",), 4, "webhook_secrets holds an API key",
            settings={"WEBHOOK_SECRETS": LIVE_KEY}),
    Failure("a key as secret", ("doctor",), 4, "webhook_secrets holds an API key",
            settings={"WEBHOOK_SECRETS": LIVE_KEY}),
    Failure("port taken", ("webhook",), 4, r"cannot listen on 127\.0\.0\.1:{port} \(Address already in use\)",
            options=("--port", "{port}")),
    Failure("port taken", ("emulator",), 4, r"cannot listen on 127\.0\.0\.1:{port} \(Address already in use\)",
            options=("--files-port", "{port}")),
    # what is not there
    Failure("nothing there", ("reconcile",), 4, "there is no database {folder}/stripe_reports.duckdb"),
    Failure("nothing there", ("status",), 4, "there is no database {folder}/stripe_reports.duckdb"),
    Failure("no archive", ("replay",), 4, "archive"),
    # the destination
    Failure("destination", OPEN, 4, "destination 'postgress' is not known; did you mean 'postgres'?",
            options=("--destination", "postgress")),
    Failure("unconfigured", CONNECT, 4,
            "destination 'postgres' is not configured; it lacks: database, password, username, host. "
            "Set DESTINATION__POSTGRES__CREDENTIALS", options=("--destination", "postgres")),
    Failure("no bucket", (*LOAD, "status", "reconcile"), 4,
            r"destination 'filesystem' is not configured; it lacks: bucket_url\. "
            r"Set DESTINATION__FILESYSTEM__BUCKET_URL, or bucket_url under \[destination\.filesystem\] in",
            options=("--destination", "filesystem")),
    Failure("credentials", CONNECT, 4, "have a form that Postgres does not take",
            options=("--destination", "postgres"), settings={POSTGRES: "nonsense, hushhush"}),
    Failure("PostgreSQL refuses", CONNECT, 75, r"PostgreSQL at .127\.0\.0\.1.*cannot be reached: Connection refused",
            options=("--destination", "postgres"), settings={POSTGRES: "postgresql://user:hushhush@{refused}/db"}),
    Failure("PostgreSQL's name", CONNECT, 75, "PostgreSQL's host .db.invalid. was not found",
            options=("--destination", "postgres"), settings={POSTGRES: "postgresql://user:hushhush@db.invalid/db"}),
    Failure("password", CONNECT, 4, "PostgreSQL: password authentication failed for user .stranger.; check",
            options=("--destination", "postgres"), settings={POSTGRES: "postgresql://stranger:wrong@{server}/postgres"}),
    Failure("no such database", CONNECT, 4, "PostgreSQL: database .nowhere. does not exist; check",
            options=("--destination", "postgres"), settings={POSTGRES: "postgresql://postgres:none@{server}/nowhere"}),
    Failure("no rights", LOAD, 4, "PostgreSQL: permission denied for database postgres; grant the role CREATE on the",
            runs=True,
            options=("--destination", "postgres"),
            settings={POSTGRES: "postgresql://stranger:hushhush@{server}/postgres"}),
    Failure("no rights", ("doctor",), 4, "role 'stranger' may not create the schema 'stripe' or tables in it; grant",
            options=("--destination", "postgres"),
            settings={POSTGRES: "postgresql://stranger:hushhush@{server}/postgres"}),
    Failure("read only", LOAD, 75, "PostgreSQL: cannot execute .* in a read-only transaction; it is a standby, or set",
            runs=True, options=("--destination", "postgres"), settings={POSTGRES: READ_ONLY}),
    Failure("read only", ("doctor",), 75, "PostgreSQL takes no writes now; set default_transaction_read_only off",
            options=("--destination", "postgres"), settings={POSTGRES: READ_ONLY}),
    Failure("not DuckDB", (*CONNECT, "demo"), 4, "{folder}/text.duckdb is not a DuckDB database",
            options=("--database", "text.duckdb")),
    Failure("newer DuckDB", (*CONNECT, "demo"), 4, "written by a newer DuckDB than the one here .its form is 99.",
            options=("--database", "newer.duckdb")),
    Failure("damaged", CONNECT, 4, "the DuckDB file is damaged; restore it", options=("--database", "damaged.duckdb")),
    Failure("cut", CONNECT, 4, "the DuckDB file is damaged; restore it", options=("--database", "cut.duckdb")),
    Failure("named alike", (*OPEN, "demo"), 4,
            "'{folder}/stripe.duckdb' must not be named after the dataset 'stripe'",
            options=("--database", "stripe.duckdb")),
    Failure("no folder", LOAD, 4, "lock file .* cannot be made .*; give permission to write there",
            options=("--database", "text.duckdb/a.duckdb")),
    Failure("no folder", ("doctor",), 4, "the folder {folder}/text.duckdb is not there or cannot be written",
            options=("--database", "text.duckdb/a.duckdb")),
    Failure("file open elsewhere", (*CONNECT, REFRESH, "replay", "demo"), 75,
            r"the DuckDB file {folder}/stripe_reports.duckdb (?:is|has been) open in .*\(PID \d+\).*; close it",
            options=("--database", "{held}"), loaded=True),
    # the command line
    Failure("usage", tuple(COMMANDS), 2, "No such option", options=("--nonsense",)),
    Failure("database of another", OPEN, 2, "--database names a DuckDB file",
            options=("--database", "a.duckdb", "--destination", "postgres")),
)  # fmt: skip
TABLE = [
    # of a failure that is found in the same place for many commands, two take turns, and the others take long
    pytest.param(
        command,
        failure,
        id=f"{command}: {failure.name}",
        marks=[pytest.mark.long] * ((place - number) % len(failure.commands) > 1),
    )
    for number, failure in enumerate(FAILURES)
    for place, command in enumerate(failure.commands)
]
