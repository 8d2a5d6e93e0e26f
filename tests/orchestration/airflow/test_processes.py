"""Airflow's own processes: runs side by side, a killed worker, a wait in the triggerer that holds no worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("airflow", reason='Airflow is not installed: pip install "stripe-reports-source[airflow]"')

from airflow import __version__
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from stripe_reports_source.emulator import Emulator, Fault
from tests.conftest import postgres_server, query
from tests.orchestration.world import World, until

AIRFLOW_2 = __version__.startswith("2.")
APRIL = datetime(2025, 4, 1, tzinfo=timezone.utc)
PROCESSES = [*([] if AIRFLOW_2 else ["api-server", "dag-processor"]), "triggerer", "scheduler"]
FETCH, WAIT = "stripe_reports.fetch", "stripe_reports.wait_for_stripe"


@dataclass(frozen=True)
class Airflow:
    """A deployment: the environment of its processes, and its database."""

    environment: dict[str, str]
    database: Engine

    def states(self, task: str) -> list[str]:
        """In which states the instances of a task are, of all runs."""
        query = text("SELECT state FROM task_instance WHERE task_id = :task AND state IS NOT NULL ORDER BY state")
        with self.database.connect() as connection:
            return [state for (state,) in connection.execute(query, {"task": task})]

    def runs(self) -> list[str]:
        """In which states the runs are."""
        with self.database.connect() as connection:
            return [state for (state,) in connection.execute(text("SELECT state FROM dag_run ORDER BY state"))]


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """The address of an empty database; Airflow 2 runs tasks side by side with a server alone."""
    if not AIRFLOW_2:
        yield f"sqlite:///{folder / 'airflow.db'}"
        return
    with postgres_server() as address:
        yield f"postgresql+psycopg2://postgres@/postgres?host={unquote(str(urlsplit(address).netloc.split('@')[1][:-5]))}"


def free_port() -> int:
    """A port of this machine that nothing listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something listens at a port."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def airflow(world: World) -> Iterator[Airflow]:
    """Airflow's processes, each with a log in the world's folder."""
    home, port = world.folder / "airflow", free_port()
    home.mkdir()
    with ExitStack() as stack:
        address = stack.enter_context(database(home))
        environment = {
            **os.environ,
            **world.environment,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "of these tests, and long enough",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address,
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        }
        command = [sys.executable, "-m", "airflow"]
        subprocess.run([*command, "db", "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
        for name in PROCESSES:
            stack.enter_context(begun([*command, name], environment, world.folder / f"{name}.log"))
            if name == "api-server":
                until(lambda: answers(port), "the server is there")
        engine = create_engine(address)
        stack.callback(engine.dispose)
        yield Airflow(environment, engine)


@contextmanager
def begun(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A process with those that it starts, all of which end with the test."""
    with log.open("w") as printed:
        process = subprocess.Popen(
            command, env=environment, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_runs_side_by_side_a_killed_worker_and_a_wait_in_the_triggerer(
    emulator: Emulator, world: World, airflow: Airflow
) -> None:
    """Three months are caught up with. Stripe has two of them, and ends no run until both are made."""
    emulator.add_fault(Fault("run_stuck", method="POST", path="/v1/reporting/report_runs", times=None))
    until(lambda: len(emulator.runs) == 2, "two fetch tasks run at once")
    os.kill(int((world.folder / f"January.{FETCH}.1.pid").read_text()), signal.SIGKILL)
    until((world.folder / f"January.{FETCH}.2.pid").exists, "the killed task is run again")
    emulator.clear_faults()
    until(lambda: airflow.runs() == ["running", "success", "success"], "two months are loaded")
    until(lambda: airflow.states(WAIT) == ["deferred", "success", "success"], "one month is waited for")
    emulator.advance(APRIL)
    until(lambda: airflow.runs() == ["success"] * 3, "the third month is loaded")
    assert len(emulator.runs) == 3
    cells = query(world.pipeline(), "SELECT run_id, rows, interval_day FROM report_cells ORDER BY interval_day")
    rows = "SELECT _report_run_id, count(*), min(_interval_day) FROM payouts_itemized GROUP BY 1 ORDER BY 3"
    assert cells == query(world.pipeline(), rows)
    assert [day.month for _, _, day in cells] == [1, 2, 3]
    assert {run_id for run_id, _, _ in cells} == {run.id for run in emulator.runs}
    assert not list(world.folder.rglob("*.csv"))
    kept = [file for file in world.folder.rglob("*") if file.is_file()]
    assert not [file for file in kept if world.key.encode() in file.read_bytes()]
