"""DAG runs in one process, by Airflow's own `DAG.test`: what they load is what `load_reports` loads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from typing import Any

import pytest

pytest.importorskip("airflow", reason='Airflow is not installed: pip install "stripe-reports-source[airflow]"')

from airflow import __version__

from stripe_reports_source import load_reports
from stripe_reports_source.emulator import Emulator, Fault
from tests.conftest import query
from tests.jobs.equal import assert_equal_datasets
from tests.orchestration.airflow.conftest import DAGS
from tests.orchestration.world import World

FEBRUARY, MARCH, APRIL = (datetime(2025, month, 1, tzinfo=timezone.utc) for month in (2, 3, 4))
RUNS = "/v1/reporting/report_runs"
AIRFLOW_2 = __version__.startswith("2.")
WHEN = "execution_date" if AIRFLOW_2 else "logical_date"


@pytest.fixture(autouse=True)
def airflow(world: World, metadata_database: None) -> None:
    """An Airflow whose DAGs are of this world."""
    for module in [name for name in sys.modules if name.startswith("tests.orchestration.airflow.dags")]:
        del sys.modules[module]


def run(dag_id: str, after: datetime) -> Any:
    """Run a DAG for the interval that ends at an instant."""
    from tests.orchestration.airflow.dags import reports

    return getattr(reports, dag_id).test(**{WHEN: after})


def states(dag_run: Any) -> dict[str, list[str]]:
    """How the tasks have ended, by their names."""
    found: dict[str, list[str]] = {}
    for task in sorted(dag_run.get_task_instances(), key=lambda task: task.map_index):
        found.setdefault(task.task_id.removeprefix("stripe_reports."), []).append(str(task.state))
    return found


def handed_on_by(dag_run: Any) -> str:
    """All that the tasks of a run have handed on, as Airflow's database has it."""
    from airflow.models import xcom
    from airflow.utils.session import create_session

    kept: Any = xcom.BaseXCom if AIRFLOW_2 else xcom.XComModel
    with create_session() as session:
        return "".join(str(row.value) for row in session.query(kept).filter(kept.run_id == dag_run.run_id))


def loaded_days(world: World, table: str) -> list[str]:
    """The first days of what the dataset says is loaded."""
    days = "SELECT interval_day FROM report_cells WHERE table_name = %s ORDER BY interval_day"
    return [day.isoformat() for (day,) in query(world.pipeline(), days.replace("%s", f"'{table}'"))]


def test_intervals_are_what_load_reports_loads(emulator: Emulator, world: World) -> None:
    """The first one is not over yet: the run waits, until Stripe has it."""

    def go_on() -> None:
        while len(emulator.requests) < 3:
            time.sleep(0.01)
        emulator.advance(APRIL)

    going_on = threading.Thread(target=go_on, daemon=True)
    going_on.start()
    ended = {"wait_for_stripe": ["success"], "plan": ["success"], "fetch": ["success"] * 2, "load": ["success"]}
    assert states(run("monthly", APRIL)) == ended
    going_on.join()
    assert states(run("monthly", MARCH)) == ended
    second = world.pipeline("second")
    load_reports(second, world.source(start_date="2025-02-01"))
    assert len(emulator.runs) == 4
    assert_equal_datasets(world.pipeline(), second, verdicts=False)
    assert not list(world.folder.rglob("*.csv"))


def test_a_failed_cell_fails_alone_and_the_run_is_red(emulator: Emulator, world: World) -> None:
    """Every run of what is fetched second fails, each try makes three; cleared, it is all that is missing."""
    emulator.add_fault(Fault("run_failed", method="POST", path=RUNS, skip=1, times=9))
    failed = run("monthly", FEBRUARY)
    assert failed.state == "failed"
    assert sorted(states(failed)["fetch"]) == ["failed", "success"]
    assert states(failed)["load"] == ["failed"]
    tables = ("balance_summary", "payouts_itemized")  # Airflow fetches them in any order
    assert sorted(loaded_days(world, table) for table in tables) == [[], ["2025-01-01"]]
    handed_on = handed_on_by(failed)
    assert "sha256" in handed_on
    assert world.key not in handed_on
    again = run("monthly", FEBRUARY)
    assert again.state == "success"
    assert [loaded_days(world, table) for table in tables] == [["2025-01-01"]] * 2


@pytest.mark.long
def test_without_an_interval_what_is_not_loaded_yet_and_nothing_twice(emulator: Emulator, world: World) -> None:
    assert run("whatever_is_new", FEBRUARY).state == "success"
    second = world.pipeline("second")
    load_reports(second, world.source(start_date="2025-03-01"))
    assert_equal_datasets(world.pipeline(), second)
    made = len(emulator.runs)
    again = run("whatever_is_new", MARCH)
    assert states(again)["fetch"] == ["skipped"]
    assert states(again)["load"] == ["success"]
    assert len(emulator.runs) == made


def test_parsing_asks_nothing_and_imports_no_dlt(emulator: Emulator, world: World) -> None:
    code = "import sys, reports; assert reports.monthly; print('dlt' in sys.modules)"
    parsed = subprocess.run([sys.executable, "-c", code], cwd=DAGS, capture_output=True, text=True, check=True)
    assert parsed.stdout.split()[-1] == "False"
    assert not emulator.requests
    assert not list(world.folder.glob("*.duckdb"))
