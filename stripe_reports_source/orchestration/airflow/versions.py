"""What has other addresses in Airflow 2 and in Airflow 3. Out: the same names, whichever is installed."""

from __future__ import annotations

try:
    from airflow.sdk import BaseSensorOperator, TaskGroup, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.operators.python import get_current_context
    from airflow.sensors.base import BaseSensorOperator
    from airflow.utils.task_group import TaskGroup

try:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:  # Airflow 2, and the first releases of Airflow 3
    from airflow.exceptions import AirflowException, AirflowFailException

__all__ = ["AirflowException", "AirflowFailException", "BaseSensorOperator", "TaskGroup", "get_current_context", "task"]
