"""The command `stripe-reports webhook`: settings from options and dlt config, then serve until told to stop.

In: a pipeline, a way to build the source, options. Out: nothing; JSON lines on stderr.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from dlt import Pipeline
from dlt.extract import DltSource

from ..errors import ConfigurationError
from .endpoint_secrets import configured_secrets
from .json_log import log_as_json
from .receiver import WebhookReceiver

NO_EXTRA = "The command webhook needs an extra: pip install 'stripe-reports-source[webhook]'."
NEEDED = ("starlette", "uvicorn", "stripe")


def serve_webhook(
    pipeline: Pipeline,
    build_source: Callable[[], DltSource],
    *,
    into: str,
    host: str,
    port: int,
    inbox: Path | None,
    sync_every_hours: float,
    gather_seconds: float,
    verbose: bool,
) -> None:
    """Receive events and sync, until SIGTERM or SIGINT; `into` is where it loads to, in words.

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
    serve(receiver, host, port, into)
