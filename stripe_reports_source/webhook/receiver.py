"""A receiver: verifies deliveries, puts them on disk, and keeps the worker that turns them into syncs.

In: raw bodies with their signatures. Out: HTTP statuses, given only once the event is on disk. The ASGI app is made on
demand, for whoever brings another server needs `receive`, `start` and `stop` alone.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dlt import Pipeline
from dlt.extract import DltSource

from ..errors import WebhookRefused
from ..plan.settings import positive
from ..stripe_api.run_events import RunNews
from . import metrics
from .affected import narrowed, report_tables
from .events import TOLERANCE, checked_secrets, verify_event
from .inbox import Inbox, default_inbox
from .metrics import Metrics
from .worker import SyncWorker

if TYPE_CHECKING:
    from starlette.applications import Starlette

logger = logging.getLogger(__name__)

Outcome = Literal[
    "accepted",  # on disk, and the worker knows
    "duplicate",  # on disk already
    "irrelevant",  # signed, but not about reports
    "bad_signature",
    "too_old",
    "malformed",
    "too_large",
    "too_slow",
    "busy",  # more at once than it takes
    "not_kept",  # the inbox cannot be written; Stripe sends the event again
]
STATUS: dict[Outcome, int] = {
    "accepted": 200,
    "duplicate": 200,
    "irrelevant": 200,
    "bad_signature": 400,
    "too_old": 400,
    "malformed": 400,
    "too_slow": 408,
    "too_large": 413,
    "busy": 503,
    "not_kept": 503,
}
GRACE_SECONDS = 20.0


@dataclass(frozen=True)
class Limits:
    """What one request may cost.

    Args:
        body_bytes: bytes of a body; Stripe's events about reports have some 2 kB.
        body_seconds: seconds for a whole body to come in.
        at_once: deliveries worked on at the same time.
        keep_seconds: seconds for the inbox to be written; Stripe waits for some 20 s in all.
    """

    body_bytes: int = 1 << 20
    body_seconds: float = 10.0
    at_once: int = 64
    keep_seconds: float = 8.0


class WebhookReceiver:
    """Receives Stripe's events and syncs what they are about.

    As `receiver.app` it is an ASGI app with `POST /` and `POST /webhook`, `GET /healthz`, `/readyz` and `/metrics`.
    Served on its own, the app starts and stops the worker itself. Mounted into another app it cannot, because mounted
    apps get no lifespan: enter `receiver.lifespan()` in the outer app's, or call `start` and `stop`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: DltSource | Callable[[], DltSource],
        secrets: Sequence[str],
        *,
        inbox: Path | str | None = None,
        gather_seconds: float = 2.0,
        sync_every_hours: float = 6.0,
        tolerance: int = TOLERANCE,
        limits: Limits | None = None,
    ) -> None:
        """See the class.

        Args:
            pipeline: where to load to.
            source: from `stripe_reports(...)`, or a function that builds it, called for each sync.
            secrets: the endpoint's signing secrets, `whsec_...`: two while one is being replaced by the other.
            inbox: SQLite file for events; None is `<pipeline>.webhooks.sqlite` beside the pipeline's working folder.
            gather_seconds: how long a first event waits for others, so that they become one sync.
            sync_every_hours: how often everything is synced without an event, as at the start.
            tolerance: seconds that a signature may be old.
            limits: what one request may cost.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        self.limits = limits or Limits()
        self.metrics = Metrics()
        self._secrets = checked_secrets(secrets)
        self._tolerance = tolerance
        self._news = RunNews()
        build_source = _builder(source)
        report_tables(build_source())  # a source that cannot be built is refused here, not in the worker
        self._inbox = Inbox(Path(inbox) if inbox else default_inbox(pipeline))
        self._worker = SyncWorker(
            pipeline,
            build_source,
            self._inbox,
            self.metrics,
            self._news,
            gather_seconds=gather_seconds,
            sync_every_seconds=positive(sync_every_hours, "sync_every_hours") * 3600,
        )
        self._lock = threading.Lock()
        self._started = False

    @cached_property
    def app(self) -> Starlette:
        """The ASGI app."""
        from .app import webhook_app  # starlette, which only an app needs

        return webhook_app(self)

    def start(self) -> None:
        """Start the worker, which begins with a sync of everything. A second call does nothing."""
        import stripe  # noqa: F401  # slow to import: not while the first event waits for its answer

        with self._lock:
            if not self._started:
                self._started = True
                self._worker.start()

    def ask_to_stop(self) -> None:
        """Let the worker end, without waiting: the load package at hand is still loaded, runs are left to Stripe."""
        self._worker.stop()

    def stop(self, seconds: float = GRACE_SECONDS) -> bool:
        """Stop the worker, waiting for its end; False if it was still at work after that many seconds."""
        self._worker.stop()
        return self._worker.join(seconds)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Started within, stopped after; for the lifespan of an app that mounts this one."""
        import asyncio

        self.start()
        try:
            yield
        finally:
            await asyncio.get_running_loop().run_in_executor(None, self.stop)

    def receive(self, payload: bytes, signature_header: str | None) -> Outcome:
        """Take one delivery; `STATUS` has the HTTP status to answer.

        Args:
            payload: the body as it came.
            signature_header: the value of `Stripe-Signature`.
        """
        outcome = self._receive(payload, signature_header)
        self.metrics.add(metrics.DELIVERIES, 1, outcome)
        return outcome

    def ready(self) -> dict[str, bool]:
        """What must be true for events to become rows, and whether it is."""
        try:
            self._inbox.check()
            writable = True
        except sqlite3.Error:
            writable = False
        return {"inbox": writable, "worker": self._worker.alive}

    def metrics_text(self) -> str:
        """All metrics in Prometheus' text format."""
        return self.metrics.text(self._inbox.counts())

    def _receive(self, payload: bytes, signature_header: str | None) -> Outcome:
        try:
            event = verify_event(payload, signature_header, self._secrets, self._tolerance)
        except WebhookRefused as refused:
            logger.warning("refused", extra={"reason": refused.reason})
            return refused.reason
        if event is None:
            return "irrelevant"
        try:
            kept = self._inbox.keep(event)
        except sqlite3.Error as error:
            logger.error("the inbox cannot be written", extra={"error": type(error).__name__})
            return "not_kept"
        if event.run_id is not None:
            self._news.announce(event.run_id)
        if kept.new and kept.standing == "waiting":
            self._worker.wake()
        outcome: Outcome = "accepted" if kept.new else "duplicate"
        logger.info(
            outcome,
            extra={"event": event.id, "kind": event.kind, "report": event.report_type, "standing": kept.standing},
        )
        return outcome


def _builder(source: DltSource | Callable[[], DltSource]) -> Callable[[], DltSource]:
    if isinstance(source, DltSource):
        given = source
        # a copy for each sync, so that what one leaves in it does not reach the next
        return lambda: narrowed(given, report_tables(given))
    return source
