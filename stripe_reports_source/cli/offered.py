"""What Stripe offers to the key that is configured, and whether it can be asked at all.

In: dlt's configuration. Out: report types, or why Stripe was not asked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from dlt.common.configuration.exceptions import ConfigFieldMissingException

from ..errors import StripeUnreachable, chain
from ..plan.settings import Settings
from ..plan.stripe_objects import OfferedTypes
from ..source import settings_of, stripe_reports

FEW_ATTEMPTS = 2
"""For a question that can be left open."""


def configured() -> Settings:
    """The settings of the source, without reports of one's own."""
    return settings_of(stripe_reports(["balance.summary"]))


def offered_types() -> OfferedTypes:
    """The report types that the key may run.

    Raises:
        StripeReportsError: Stripe cannot be asked, or refuses.
    """
    return _asked(configured())


@dataclass(frozen=True)
class Answer:
    """What Stripe offers to an account, the `_account` value of its rows; or why Stripe was not asked."""

    offered: OfferedTypes | None
    account: str = ""
    why: str = ""


def offered_if_possible() -> Answer:
    """The report types that the key may run, or why Stripe was not asked: there is no key, or no network.

    Raises:
        StripeReportsError: Stripe refuses the key, or a setting is wrong.
    """
    try:
        settings = configured()
    except Exception as error:
        if lacks_key(error):
            return Answer(None, why="there is no API key")
        raise
    few = replace(settings.retry_policy, attempts=min(FEW_ATTEMPTS, settings.retry_policy.attempts))
    try:
        return Answer(_asked(replace(settings, retry_policy=few)), settings.label)
    except StripeUnreachable:
        return Answer(None, why="Stripe cannot be reached")


def _asked(settings: Settings) -> OfferedTypes:
    from ..stripe_api.client import stripe_client  # HTTP, which --help does not need

    return stripe_client(settings, time.sleep).report_types(settings.acts_on)


def lacks_key(error: BaseException) -> bool:
    """True for dlt's word that no API key is set."""
    return any(isinstance(cause, ConfigFieldMissingException) and "api_key" in str(cause) for cause in chain(error))
