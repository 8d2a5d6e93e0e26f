"""The command `stripe-reports webhook`: settings from options and dlt config, then serve until told to stop.

In: a pipeline, a way to build the source, options. Out: nothing; JSON lines on stderr.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dlt
from dlt import Pipeline
from dlt.extract import DltSource

from ..errors import ConfigurationError
from .events import checked_secrets
from .journal import log_as_json
from .receiver import WebhookReceiver

SETTINGS = ("sources.stripe_reports.webhook_secrets", "sources.stripe_reports.webhook_secret")
UNSIGNED = (
    "No signing secret. Set the environment variable SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS to the endpoint's "
    "whsec_..., or webhook_secrets under [sources.stripe_reports] in .dlt/secrets.toml."
)
NO_EXTRA = "The command webhook needs an extra: pip install 'stripe-reports-source[webhook]'."
NEEDED = ("starlette", "uvicorn", "stripe")


def serve_webhook(
    pipeline: Pipeline,
    build_source: Callable[[], DltSource],
    *,
    host: str,
    port: int,
    inbox: Path | None,
    sync_every_hours: float,
    gather_seconds: float,
    verbose: bool,
) -> None:
    """Receive events and sync, until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: the extra, a secret or the API key is missing, or the address cannot be had.
    """
    if any(find_spec(name) is None for name in NEEDED):
        raise ConfigurationError(NO_EXTRA)
    from .server import serve

    secrets = configured_secrets()
    log_as_json(verbose)
    receiver = WebhookReceiver(
        pipeline,
        build_source,
        secrets,
        inbox=inbox,
        sync_every_hours=sync_every_hours,
        gather_seconds=gather_seconds,
    )
    serve(receiver, host, port)


def configured_secrets() -> tuple[str, ...]:
    """The endpoint's signing secrets from dlt config: a list, or text with commas or a JSON list.

    Raises:
        ConfigurationError: there is none, or one that cannot be right.
    """
    for setting in SETTINGS:
        value: Any = dlt.secrets.get(setting)
        if value:
            return checked_secrets(_listed(value))
    raise ConfigurationError(UNSIGNED)


def _listed(value: Any) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise ConfigurationError("webhook_secrets begins like a JSON list but is none.") from None
    if isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    return list(value)
