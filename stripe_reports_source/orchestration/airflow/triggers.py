"""The wait in Airflow's triggerer: asks Stripe, every so often, up to when it has data.

In: plain values, which Airflow keeps in its database; the key is not among them, and comes from the configuration of
the machine that asks. Out: one event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from ... import ConfigurationError, StripeReportsError
from ..sentences import LASTING, sentence_of

if TYPE_CHECKING:
    from dlt.extract import DltSource


@dataclass(frozen=True)
class Question:
    """Up to when Stripe must have each report, by the name of its resource."""

    wanted: Mapping[str, datetime]

    def lacking(self, source: DltSource) -> dict[str, datetime]:
        """What Stripe does not have yet, and up to when it has it. One request; none where nothing is waited for."""
        if not self.wanted:
            return {}
        from ... import availability, report_tables  # and with them dlt, without which DAG files are parsed

        found = availability(source)
        ends = {table.resource: found[table.table].end for table in report_tables(source) if table.table in found}
        return {name: ends[name] for name, end in self.wanted.items() if name in ends and ends[name] < end}

    def waiting(self, lacking: Mapping[str, datetime]) -> str:
        """What is waited for, in words."""
        each = (
            f"{name} up to {self.wanted[name].isoformat()}, Stripe has {end.isoformat()}"
            for name, end in lacking.items()
        )
        return f"waiting for {'; '.join(each)}"

    def as_json(self) -> dict[str, str]:
        """The question as a JSON object."""
        return {name: end.isoformat() for name, end in self.wanted.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Question:
        """The question of such an object."""
        return cls({name: datetime.fromisoformat(end) for name, end in data.items()})


class StripeAvailabilityTrigger(BaseTrigger):
    """Fires when Stripe has what is wanted, or when it cannot be asked.

    Args:
        section: name of the source, in whose configuration the key is.
        settings: of `availability_settings`.
        wanted: up to when Stripe must have each report, as ISO texts by the name of its resource.
        poke_interval: seconds between two questions.
    """

    def __init__(
        self, section: str, settings: Mapping[str, Any], wanted: Mapping[str, str], poke_interval: float
    ) -> None:
        super().__init__()
        self.section = section
        self.settings = dict(settings)
        self.wanted = dict(wanted)
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its arguments."""
        arguments = {name: getattr(self, name) for name in ("section", "settings", "wanted", "poke_interval")}
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until it is there. While Stripe cannot be reached, or is at fault, it is asked again."""
        question = Question.from_json(self.wanted)
        while True:
            try:
                # in a thread, with this loop at hand, which Airflow's own lookup of a variable may need
                lacking = await sync_to_async(self._lacking, thread_sensitive=False)(question)
            except LASTING as error:
                yield TriggerEvent({"status": "failed", "lasting": True, "message": sentence_of(error)})
                return
            except StripeReportsError as error:
                self.log.warning("asked again in %s s: %s", self.poke_interval, error)
            else:
                if not lacking:
                    yield TriggerEvent({"status": "there"})
                    return
                self.log.info("%s", question.waiting(lacking))
            await asyncio.sleep(self.poke_interval)

    def _lacking(self, question: Question) -> dict[str, datetime]:
        from dlt.common.configuration.exceptions import ConfigFieldMissingException

        from ... import stripe_reports

        try:
            source = stripe_reports.clone(name=self.section)(**self.settings)
        except ConfigFieldMissingException:
            raise ConfigurationError(
                f"the triggerer has no key for Stripe: set api_key of [sources.stripe_reports] or, for a source of "
                f"another name, of [sources.stripe_reports.{self.section}] in its environment too, or wait on a worker "
                "with deferrable=False."
            ) from None
        return question.lacking(source)
