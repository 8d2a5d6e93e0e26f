"""Stripe's reports as Airflow tasks: `plan`, a mapped `fetch` for each interval, one `load`; and a deferrable wait.

In: functions that make a source and a pipeline. Out: a task group. Parsing it makes no request and imports no dlt.
"""

from .sensors import StripeAvailabilitySensor
from .tasks import report_tasks
from .triggers import StripeAvailabilityTrigger

__all__ = ["StripeAvailabilitySensor", "StripeAvailabilityTrigger", "report_tasks"]
