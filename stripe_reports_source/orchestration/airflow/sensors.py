"""A wait for Stripe's availability: in the triggerer, where it holds no worker, or on a worker.

In: a function that makes a source, the data interval of the DAG run. Out: a task that ends when Stripe has the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from .failures import failures
from .intervals import DataInterval, awaited
from .triggers import Question, StripeAvailabilityTrigger
from .versions import AirflowException, AirflowFailException, BaseSensorOperator

if TYPE_CHECKING:
    from dlt.extract import DltSource

QUARTER_OF_AN_HOUR = 900.0


class StripeAvailabilitySensor(BaseSensorOperator):
    """Waits until Stripe has all reports of a source up to the last day of the data interval.

    A report that Stripe does not offer is not waited for. Without a data interval nothing is. `timeout` is that of
    Airflow's sensors.

    Args:
        source: makes the source; called when the task runs.
        deferrable: wait in the triggerer, which asks Stripe with the key of its own configuration, the one in
            `[sources.stripe_reports]`. False waits on a worker.
        poke_interval: seconds between two questions; Stripe refreshes its data about once a day.
    """

    def __init__(
        self,
        *,
        source: Callable[[], DltSource],
        deferrable: bool = True,
        poke_interval: float = QUARTER_OF_AN_HOUR,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.source = source
        self.deferrable = deferrable

    def poke(self, context: Mapping[str, Any]) -> bool:
        """Whether Stripe has the interval now; one request."""
        with failures():
            source = self.source()
            return not self._question(source, context).lacking(source)

    def execute(self, context: Mapping[str, Any]) -> None:
        """Wait; in the triggerer, unless Stripe has the interval already."""
        if not self.deferrable:
            super().execute(context)
            return
        from ... import availability_settings  # and with it dlt, without which DAG files are parsed

        with failures():
            source = self.source()
            question = self._question(source, context)
            lacking = question.lacking(source)
            settings = availability_settings(source)
        if not lacking:
            return
        self.log.info("%s", question.waiting(lacking))
        self._defer(StripeAvailabilityTrigger(source.name, settings, question.as_json(), self.poke_interval))

    def execute_complete(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Go on after the wait, or fail with what the triggerer has said."""
        if event["status"] != "there":
            raise (AirflowFailException if event["lasting"] else AirflowException)(event["message"])

    def _defer(self, trigger: StripeAvailabilityTrigger) -> NoReturn:
        raise self.defer(
            trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=float(self.timeout))
        )

    def _question(self, source: DltSource, context: Mapping[str, Any]) -> Question:
        from ... import report_tables  # and with it dlt, as above

        interval = DataInterval(context.get("data_interval_start"), context.get("data_interval_end"))
        instants = {table.resource: awaited(table, interval) for table in report_tables(source)}
        return Question({name: instant for name, instant in instants.items() if instant is not None})
