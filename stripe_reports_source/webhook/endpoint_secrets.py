"""The endpoint secrets, from dlt config: what Stripe signs its deliveries with.

In: the environment, `.dlt/secrets.toml`, or whatever else dlt reads secrets from. Out: secrets that can be used.
"""

from __future__ import annotations

import json
from typing import Any

import dlt

from ..errors import ConfigurationError
from .events import checked_secrets

SETTINGS = ("sources.stripe_reports.webhook_secrets", "sources.stripe_reports.webhook_secret")
MISSING = (
    "No endpoint secret. Set the environment variable SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS to what Stripe's "
    "Dashboard calls the endpoint's signing secret (whsec_...), or webhook_secrets under [sources.stripe_reports] in "
    ".dlt/secrets.toml."
)


def configured_secrets() -> tuple[str, ...]:
    """The endpoint secrets from dlt config: a list, or text with commas or a JSON list.

    Raises:
        ConfigurationError: there is no secret, or one that cannot be right.
    """
    for setting in SETTINGS:
        value: Any = dlt.secrets.get(setting)
        if value:
            return checked_secrets(_listed(value))
    raise ConfigurationError(MISSING)


def _listed(value: Any) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise ConfigurationError("webhook_secrets begins like a JSON list but is not one.") from None
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value)
