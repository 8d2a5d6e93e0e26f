"""What has other addresses in Airflow 2 and in Airflow 3. Out: the same names, whichever is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    from airflow.sdk import BaseSensorOperator, TaskGroup, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.operators.python import get_current_context
    from airflow.sensors.base import BaseSensorOperator
    from airflow.utils.task_group import TaskGroup

try:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
except ImportError:  # Airflow 2, and the first releases of Airflow 3
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowSkipException",
    "BaseSensorOperator",
    "TaskGroup",
    "get_current_context",
    "state_of",
    "task",
]


def state_of(context: Mapping[str, Any], task_id: str) -> str | None:
    """How another task of the same DAG run has ended; None where that is not known."""
    own, run = context["ti"], context["dag_run"]
    if hasattr(own, "get_task_states"):
        states = own.get_task_states(dag_id=run.dag_id, task_ids=[task_id], run_ids=[run.run_id])
        found = states.get(run.run_id, {}).get(task_id)
    else:  # Airflow 2
        other = run.get_task_instance(task_id)
        found = None if other is None else other.state
    return None if found is None else str(getattr(found, "value", found))
