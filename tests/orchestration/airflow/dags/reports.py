"""DAGs as Airflow's processes load them. Their world is in the environment."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from stripe_reports_source.orchestration.airflow import report_tasks

try:
    from airflow.sdk import DAG
    from airflow.timetables.interval import CronDataIntervalTimetable
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.timetables.interval import CronDataIntervalTimetable

if TYPE_CHECKING:
    from dlt import Pipeline
    from dlt.extract import DltSource

START = datetime(2025, 1, 1, tzinfo=timezone.utc)
SOON = {"retry_delay": 0.1}


def source() -> DltSource:
    """Two reports by month."""
    from tests.orchestration.world import world_here

    return world_here().source()


def pipeline() -> Pipeline:
    """Where they are loaded to."""
    from tests.orchestration.world import world_here

    return world_here().pipeline()


def made(dag_id: str, cron: str, **arguments: Any) -> DAG:
    """A DAG of a task group."""
    timetable = CronDataIntervalTimetable(cron, timezone="UTC")
    with DAG(dag_id, schedule=timetable, start_date=START, catchup=False) as dag:
        report_tasks(source, pipeline=pipeline, url=f"{os.environ.get('STRIPE_REPORTS_TEST_FOLDER')}/fetched", **arguments)
    return dag


monthly = made("monthly", "0 0 1 * *", wait_args={"poke_interval": 0.1})
