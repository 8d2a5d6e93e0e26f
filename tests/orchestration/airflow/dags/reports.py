"""DAGs as Airflow's processes load them. Their world is in the environment."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.timetables.interval import CronDataIntervalTimetable

from stripe_reports_source.orchestration.airflow import report_tasks
from stripe_reports_source.orchestration.airflow.versions import get_current_context

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

if TYPE_CHECKING:
    from dlt import Pipeline
    from dlt.extract import DltSource

FOLDER = Path(os.environ.get("STRIPE_REPORTS_TEST_FOLDER", "unset"))
JANUARY, MARCH = (datetime(2025, month, 1, tzinfo=timezone.utc) for month in (1, 3))
SOON = {"retry_delay": timedelta(seconds=0.1)}


def source() -> DltSource:
    """Two reports by month."""
    from tests.orchestration.world import world_here  # whose imports take a moment

    return world_here().source()


def recent() -> DltSource:
    """Two reports since March."""
    from tests.orchestration.world import world_here

    return world_here().source(start_date="2025-03-01")


def payouts() -> DltSource:
    """One report; which process asks for it is written down."""
    from tests.orchestration.world import world_here

    context = get_current_context()
    task, month = context["ti"], context["data_interval_start"].strftime("%B")
    (FOLDER / f"{month}.{task.task_id}.{task.try_number}.pid").write_text(str(os.getpid()))
    return world_here().source(["payouts.itemized"])


def pipeline() -> Pipeline:
    """Where they are loaded to."""
    from tests.orchestration.world import world_here

    return world_here().pipeline()


def dag_of(dag_id: str, made: Any, *, catchup: bool = False, **arguments: Any) -> DAG:
    """A DAG of a task group, by month."""
    timetable = CronDataIntervalTimetable("0 0 1 * *", timezone="UTC")
    waiting = {"poke_interval": 0.5}
    with DAG(
        dag_id,
        schedule=timetable,
        start_date=JANUARY,
        end_date=MARCH if catchup else None,
        catchup=catchup,
        is_paused_upon_creation=not catchup,
    ) as dag:
        report_tasks(
            made,
            pipeline=pipeline,
            url=FOLDER / "fetched",
            **{"wait_args": waiting, "fetch_args": SOON, "load_args": SOON, **arguments},
        )
    return dag


monthly = dag_of("monthly", source)
whatever_is_new = dag_of("whatever_is_new", recent, by_interval=False, wait=False)
caught_up = dag_of("caught_up", payouts, catchup=True)
