"""Up to when Stripe has data for the reports of a source: one question, and no run.

In: settings. Out: the availability of each report that is offered.
"""

from __future__ import annotations

import logging
import time

from ..errors import NotOffered, StripeUnreachable
from ..plan.catalog import load_catalog
from ..plan.report_tables import Availability
from ..plan.resolve import resolve
from ..plan.settings import Settings
from ..stripe_api.client import stripe_client

logger = logging.getLogger(__name__)


def available(settings: Settings) -> dict[str, Availability]:
    """What Stripe has, by the name of a report's resource; the log says which report is not offered.

    Raises:
        ConfigurationError: a report cannot be run as asked.
        StripeError, StripeUnreachable: Stripe does not answer.
    """
    offered = stripe_client(settings, time.sleep).report_types(settings.acts_on)
    found = {}
    for report in settings.reports:
        try:
            resolved = resolve(report, offered, load_catalog(), settings.defaults, personal_data=settings.personal_data)
        except (NotOffered, StripeUnreachable) as problem:
            logger.warning("%s", problem)
            continue
        now = resolved.offered
        found[report.table] = Availability(now.id, now.available.start, now.available.end, now.updated)
    return found
