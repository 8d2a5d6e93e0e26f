"""Every command and every foreseeable failure: one sentence, no traceback, and the exit code that scripts go by."""

from __future__ import annotations

import errno
import http.server
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import psycopg2
import psycopg2.errors
import pytest
from click.testing import CliRunner

from stripe_reports_source.cli import cli
from stripe_reports_source.cli.failures import outcome
from stripe_reports_source.emulator import Emulator, EmulatorSettings
from stripe_reports_source.warehouse.duckdb_patience import PatientSqlClient
from tests.conftest import SMALL
from tests.pipeline.failing import COMMANDS, POSTGRES, REFRESH, TABLE, Failure

PREFIX = "SOURCES__STRIPE_REPORTS__"
SECRET = "whsec_" + "hushhush" * 4
PLACES = re.compile(r"\{(folder|refused|untrusted|plain|server|port|held)\}")
SAYS = re.compile(r"error: |wrong  |later  ")


def settings_for(stripe: Emulator) -> dict[str, str]:
    return {
        f"{PREFIX}API_KEY": stripe.settings.live_keys[0],
        f"{PREFIX}API_BASE_URL": stripe.api_url,
        f"{PREFIX}FILES_BASE_URL": stripe.files_url,
        f"{PREFIX}RETRY_POLICY": '{"attempts": 1}',
        f"{PREFIX}RUN_POLICY": '{"retry_delay": 0.001}',
        f"{PREFIX}WEBHOOK_SECRETS": SECRET,
    }


@pytest.fixture(scope="module")
def stripe() -> Iterator[Emulator]:
    with Emulator(EmulatorSettings(**SMALL)) as emulator:
        yield emulator


@pytest.fixture
def settings(stripe: Emulator) -> dict[str, str]:
    return settings_for(stripe)


@pytest.fixture(autouse=True)
def no_faults(stripe: Emulator) -> Iterator[None]:
    """Faults end with the test."""
    yield
    stripe.clear_faults()


@pytest.fixture(scope="module")
def loaded(stripe: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and an archive, with one report."""
    folder = tmp_path_factory.mktemp("loaded")
    own = {"DLT_DATA_DIR": str(folder / "dlt"), **settings_for(stripe)}
    arguments = (*COMMANDS["sync"], "--database", str(folder / "stripe_reports.duckdb"))
    code, said = in_a_process((*arguments, "--archive-url", str(folder / "archive")), own)
    assert code == 0, said
    shutil.rmtree(folder / "dlt")
    return folder


@pytest.fixture(scope="module")
def refused() -> Iterator[str]:
    """An address of this machine that is taken, but where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """A port of this machine at which someone listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield str(taken.getsockname()[1])


@pytest.fixture(scope="module")
def plain(stripe: Emulator) -> str:
    """A server that speaks no TLS."""
    return stripe.api_url.removeprefix("http://")


class _Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of those who hang up."""


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a certificate that nobody has signed but itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes a certificate, is not on this machine")
    folder = tmp_path_factory.mktemp("certificate")
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    with _Quiet(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def server(postgres: str) -> str:
    """Host and port of a PostgreSQL with the role `stranger`, who has a password and no rights."""
    connection = psycopg2.connect(postgres)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE stranger LOGIN PASSWORD 'hushhush'")
        cursor.execute("SHOW hba_file")
        [rules] = cursor.fetchone() or ("",)
        Path(rules).write_text("local all stranger scram-sha-256\n" + Path(rules).read_text())
        cursor.execute("SELECT pg_reload_conf()")
    connection.close()
    return postgres.partition("@")[2].rpartition("/")[0]


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A DuckDB file that another process is writing; no command waits for it."""
    monkeypatch.setattr(PatientSqlClient, "patience", 0.0)
    file = tmp_path / "stripe_reports.duckdb"
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        yield str(file)
        holder.communicate()


def other_databases(folder: Path) -> None:
    """DuckDB files: of a later form than any, with a header that does not agree with its checksum, and cut off."""
    damaged, newer = folder / "damaged.duckdb", folder / "newer.duckdb"
    duckdb.connect(str(damaged)).close()
    content = bytearray(damaged.read_bytes())
    (folder / "cut.duckdb").write_bytes(content[:3000])
    content[12:20] = struct.pack("<Q", 99)  # the form, behind the header's checksum and "DUCK"
    damaged.write_bytes(content)
    checksum = 5381
    for (word,) in struct.iter_unpack("<Q", content[8:4096]):
        checksum ^= word * 0xBF58476D1CE4E5B9 & (2**64 - 1)
    content[:8] = struct.pack("<Q", checksum)
    newer.write_bytes(content)


@pytest.mark.parametrize(("command", "failure"), TABLE)
def test_each_command_and_failure(
    command: str,
    failure: Failure,
    stripe: Emulator,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    def filled(text: str) -> str:
        return PLACES.sub(
            lambda place: str(tmp_path) if place[1] == "folder" else str(request.getfixturevalue(place[1])), text
        )

    (tmp_path / "text.duckdb").write_text("This is a text, and not a database. " * 400)
    if {"newer.duckdb", "damaged.duckdb", "cut.duckdb"} & {*failure.options}:
        other_databases(tmp_path)
    if failure.loaded or command == REFRESH:
        shutil.copytree(request.getfixturevalue("loaded"), tmp_path, dirs_exist_ok=True)
    if failure.runs:  # an account that has none yet
        stripe = request.getfixturevalue("emulator")
    changed: dict[str, str | None] = {**settings_for(stripe)}
    for name, value in failure.settings.items():
        changed[name if name in (POSTGRES, "HTTPS_PROXY") else PREFIX + name] = filled(value) or None
    if failure.runs:  # waits, in which a connection may end that is asked again
        changed[f"{PREFIX}RETRY_POLICY"] = '{"attempts": 3, "first_delay": 0.001}'
    for fault in failure.faults:
        stripe.add_fault(fault)
    runs = len(stripe.runs)
    begun = (command, *failure.instead) if failure.instead else COMMANDS[command]
    done = CliRunner().invoke(cli, [*map(filled, begun), *map(filled, failure.options)], env=changed)
    assert done.exit_code == failure.code, done.output
    assert "Traceback" not in done.output
    assert "hushhush" not in done.output
    told = done.stdout if command == "doctor" and failure.code != 2 else done.stderr
    assert re.search(filled(failure.sentence), told, re.MULTILINE)
    if failure.code == 2:
        return
    said = [line for line in told.splitlines() if SAYS.match(line)]
    assert len(said) == 1 or command == "doctor"
    assert all(len(line) < 600 for line in said)
    assert failure.runs or len(stripe.runs) == runs


DENIED = (
    ("sync", (), "stripe_reports.duckdb cannot be opened .Permission denied.; set --database, or give permission"),
    ("backfill", (), "stripe_reports.duckdb cannot be opened .Permission denied.; set --database, or give permission"),
    ("status", (), "stripe_reports.duckdb cannot be opened .Permission denied.; set --database, or give permission"),
    ("reconcile", (), "stripe_reports.duckdb cannot be opened .Permission denied.; set --database, or give permission"),
    ("doctor", (), "stripe_reports.duckdb cannot be opened .Permission denied.; set --database, or give permission"),
    ("replay", (), "stripe_reports.duckdb cannot be opened .Permission denied.; set --database, or give permission"),
    ("demo", ("--database", "closed/a.duckdb"), "closed/a.duckdb|closed/.a.dlt"),
    ("sync", ("--database", "closed/a.duckdb"), "lock file .* cannot be made .Permission denied.*; give permission"),
    ("doctor", ("--database", "closed/a.duckdb"), "the folder .*/closed is not there or cannot be written"),
    ("fetch", ("-o", "closed/a.csv"), "closed/.* cannot be written or read: Permission denied; give permission there"),
    ("webhook", ("--inbox", "closed/inbox.sqlite"), "inbox 'closed/inbox.sqlite' cannot be used"),
)


@pytest.fixture
def bound() -> Sequence[str]:
    """What goes before a command so that permissions count for it, also where the tests run as root."""
    if os.getuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("the tests run as root, and setpriv, which takes root's power over files away, is not here")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.first(2)
@pytest.mark.parametrize(("command", "options", "sentence"), DENIED)
def test_what_may_not_be_opened_or_written(
    command: str,
    options: tuple[str, ...],
    sentence: str,
    settings: dict[str, str],
    tmp_path: Path,
    loaded: Path,
    bound: Sequence[str],
) -> None:
    shutil.copytree(loaded, tmp_path, dirs_exist_ok=True)
    (tmp_path / "stripe_reports.duckdb").chmod(0)
    (tmp_path / "closed").mkdir(mode=0o500)
    arguments = [argument.replace("{folder}", str(tmp_path)) for argument in (*COMMANDS[command], *options)]
    code, said = in_a_process(arguments, settings, before=bound)
    assert (code, "Traceback" in said) == (4, False), said
    assert re.search(sentence, said)


@pytest.mark.first(1)
@pytest.mark.parametrize("closed", ["archive", "files of the archive"])
def test_doctor_says_that_nothing_could_be_archived(
    closed: str, settings: dict[str, str], tmp_path: Path, bound: Sequence[str]
) -> None:
    root = tmp_path / "archive"
    root.mkdir()
    (root / "files").mkdir()
    folder = root if closed == "archive" else root / "files"
    folder.chmod(0o500)
    archive = ("--archive-url", str(root / "mine") if closed == "archive" else str(root))
    code, said = in_a_process((*COMMANDS["doctor"], *archive), settings, before=bound)
    assert code == 4, said
    [line] = [line for line in said.splitlines() if line.startswith("wrong ")]
    assert line.startswith(f"wrong  archive: the archive cannot be written: {folder} is closed or read-only; give")
    assert in_a_process((*COMMANDS["sync"], *archive), settings, before=bound)[0] == 3


@pytest.mark.long
@pytest.mark.parametrize("closed", ["database", "working folder"])
def test_doctor_says_what_a_sync_could_not_write(
    closed: str, settings: dict[str, str], tmp_path: Path, loaded: Path, bound: Sequence[str]
) -> None:
    shutil.copytree(loaded, tmp_path, dirs_exist_ok=True)
    (tmp_path / "dlt").mkdir(mode=0o500)
    if closed == "database":
        (tmp_path / "dlt").chmod(0o700)
        (tmp_path / "stripe_reports.duckdb").chmod(0o400)
    code, said = in_a_process(COMMANDS["doctor"], settings, before=bound)
    assert code == 4, said
    [line] = [line for line in said.splitlines() if line.startswith("wrong ")]
    assert line.startswith({"database": "wrong  destination: ", "working folder": "wrong  working folder: "}[closed])
    assert "give permission to write there" in line
    assert "Permission denied" in in_a_process(COMMANDS["sync"], settings, before=bound)[1]


MISSING = (
    ("starlette", ("emulator",), r"the package starlette .*'stripe-reports-source\[emulator\]'"),
    ("starlette", ("demo",), r"the package starlette .*'stripe-reports-source\[(?:emulator|demo)\]'"),
    ("stripe", ("webhook",), r"'stripe-reports-source\[webhook\]'"),
    *(
        ("psycopg2", (*COMMANDS[command], "--destination", "postgres"), r"'stripe-reports-source\[postgres\]'")
        for command in ("sync", "backfill", "status", "reconcile", "doctor")
    ),
    ("snowflake", ("sync", "--destination", "snowflake"), r"pip install 'dlt\[snowflake\]"),
)


def in_a_process(
    arguments: Sequence[str], env: Mapping[str, str], without: str = "", before: Sequence[str] = ()
) -> tuple[int, str]:
    """A command in a process of its own, where a package cannot be imported: its exit code and what it says."""
    hidden = f"import sys; sys.modules.update({dict.fromkeys(without.split())!r})"
    script = f"{hidden}; from stripe_reports_source.cli import main; main()"
    done = subprocess.run(
        [*before, sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )
    return done.returncode, done.stderr + done.stdout


@pytest.mark.first(1)
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


@pytest.mark.parametrize(
    ("number", "file", "sentence"),
    [
        (errno.ENOSPC, "a.csv", "there is no room for a.csv (No space left on device); make room on the disk of"),
        (errno.EDQUOT, None, "there is no room (Disk quota exceeded); make room on the disk of"),
    ],
)
def test_a_full_disk_is_no_matter_of_permission(number: int, file: str | None, sentence: str) -> None:
    ended = outcome(OSError(number, os.strerror(number), file))
    assert (ended.code, ended.sentence.startswith(sentence), "permission" in ended.sentence) == (4, True, False)


@pytest.mark.parametrize(
    ("why", "helps"),
    [
        ("permission denied for schema other", "grant the role USAGE on the schema, and CREATE to load into it."),
        ("permission denied for table tie_out", "grant the role SELECT on it, and INSERT, UPDATE and DELETE to load"),
        ("must be owner of table tie_out", "load with the role that owns it."),
    ],
)
def test_a_right_that_is_missing_in_postgres_is_named_with_what_grants_it(why: str, helps: str) -> None:
    ended = outcome(psycopg2.errors.InsufficientPrivilege(f"{why}\nLINE 1: ...\n"))
    assert (ended.code, ended.sentence.startswith(f"PostgreSQL: {why}; {helps}")) == (4, True)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (1290, "The MariaDB server is running with the --read-only option so it cannot execute this statement"),
        (1792, "Cannot execute statement in a READ ONLY transaction"),
    ],
)
def test_a_read_only_mariadb_is_to_be_tried_later(number: int, why: str) -> None:
    errors = pytest.importorskip("pymysql.err")  # an extra
    ended = outcome(errors.OperationalError(number, why))
    assert (ended.code, "takes no writes" in ended.sentence) == (75, True)


def test_debug_shows_where_an_error_comes_from(settings: dict[str, str]) -> None:
    arguments = ["sync", "--destination", "postgress"]
    shown = CliRunner().invoke(cli, [*arguments, "--debug"], env=settings)
    assert "Traceback (most recent call last)" in shown.stderr
    assert shown.stderr.splitlines()[-1].startswith("error: destination 'postgress' is not known")
    assert "Traceback" not in CliRunner().invoke(cli, arguments, env=settings).output
