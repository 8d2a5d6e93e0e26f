"""The parameters of a report run, as something to compare. Pure."""

from __future__ import annotations

import json

from .intervals import UTC_NAMES
from .stripe_objects import Parameters

INTERVAL = ("interval_start", "interval_end")
"""The parameters that are a run's interval."""


def canonical(report_type: str, parameters: Parameters) -> str:
    """Report type and parameters as stable text: equal exactly for runs that give the same file.

    The order of columns counts. A number and its digits are the same, and so are UTC, Etc/UTC and no zone, because
    Stripe may echo either.
    """
    given = {
        name: list(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        for name, value in parameters.items()
        if value is not None and not (name == "timezone" and value in UTC_NAMES)
    }
    return json.dumps([report_type, given], sort_keys=True, separators=(",", ":"))
