"""A receiver: verifies deliveries, puts them on disk, and keeps the worker that turns them into syncs.

In: raw bodies with their signatures. Out: an outcome for each, given only once the event is on disk. The ASGI app is
made on demand: with another server, `receive`, `start` and `stop` are all that is needed.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dlt import Pipeline
from dlt.extract import DltSource

from ..errors import WebhookRefused
from ..plan.settings import positive
from ..stripe_api.run_events import RunEvents
from . import metrics
from .affected import narrowed, report_tables
from .events import TOLERANCE, OtherEvent, checked_secrets, read_delivery
from .inbox import Inbox, default_inbox
from .limits import Limits, RetryDelays
from .metrics import Metrics
from .outcome import Outcome
from .worker import SyncWorker

if TYPE_CHECKING:
    from starlette.applications import Starlette

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0


class WebhookReceiver:
    """Receives Stripe's events and syncs what they are about.

    As `receiver.app` it is an ASGI app with `POST /` and `POST /webhook`, `GET /healthz`, `/readyz` and `/metrics`.
    Served on its own, the app starts and stops the worker itself. Mounted into another app it cannot, because mounted
    apps get no lifespan: enter `receiver.lifespan()` in the outer app's, or call `start` and `stop`. Let the outer app
    not redirect either (`app.router.redirect_slashes = False`): Stripe takes a redirect for a failure.
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
        retry_delays: RetryDelays | None = None,
    ) -> None:
        """See the class.

        Args:
            pipeline: where to load to.
            source: from `stripe_reports(...)`, or a function that builds it, called for each sync.
            secrets: the endpoint's secrets, `whsec_...`: two while the first is being replaced by the second.
            inbox: SQLite file for events; None is `<pipeline>.webhooks.sqlite` beside the pipeline's working folder.
            gather_seconds: how long a first event waits for others, so that they become one sync.
            sync_every_hours: how often everything is synced without an event, as at the start.
            tolerance: seconds that a signature may be old.
            limits: what a request may cost.
            retry_delays: how long a table that failed waits before it is synced again.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        self._limits = limits or Limits()
        self.metrics = Metrics()
        self._secrets = checked_secrets(secrets)
        self._tolerance = tolerance
        self._run_events = RunEvents()
        build_source = _builder(source)
        report_tables(build_source())  # a source that cannot be built is refused here, not in the worker
        self._inbox = Inbox(Path(inbox) if inbox else default_inbox(pipeline))
        self._worker = SyncWorker(
            pipeline,
            build_source,
            self._inbox,
            self.metrics,
            self._run_events,
            gather_seconds=gather_seconds,
            sync_every_seconds=positive(sync_every_hours, "sync_every_hours") * 3600,
            retry_delays=retry_delays or RetryDelays(),
        )
        self._lock = threading.Lock()
        self._started = False
        self._thin_said = False

    @cached_property
    def app(self) -> Starlette:
        """The ASGI app."""
        from .app import Calls, webhook_app  # starlette, which only an app needs

        calls = Calls(self.receive, self._count, self.ready, self.metrics_text, self.lifespan)
        return webhook_app(calls, self._limits)

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
        """Started within, stopped after; for the lifespan of an app that mounts this receiver's."""
        import asyncio

        self.start()
        try:
            yield
        finally:
            await asyncio.get_running_loop().run_in_executor(None, self.stop)

    def receive(self, payload: bytes, signature_header: str | None) -> Outcome:
        """Take a delivery; `outcome.STATUS` has the HTTP status to answer.

        Args:
            payload: the body as it came.
            signature_header: the value of `Stripe-Signature`.
        """
        outcome = self._receive(payload, signature_header)
        self._count(outcome)
        return outcome

    def ready(self) -> dict[str, bool]:
        """What must be true for events to become rows, and whether it is."""
        try:
            self._inbox.check()
            writable = True
        except (sqlite3.Error, OSError):
            writable = False
        self._worker.wake()  # if the inbox had to be begun anew, it looks at everything
        return {"inbox": writable, "worker": self._worker.alive}

    def metrics_text(self) -> str:
        """All metrics in Prometheus' text format."""
        try:
            events = self._inbox.counts()
        except (sqlite3.Error, OSError):
            events = {}  # /readyz says what is wrong; everything else is still worth reading
        return self.metrics.text(events)

    def _count(self, outcome: Outcome) -> None:
        self.metrics.add(metrics.DELIVERIES, 1, outcome)

    def _receive(self, payload: bytes, signature_header: str | None) -> Outcome:
        try:
            event = read_delivery(payload, signature_header, self._secrets, self._tolerance)
        except WebhookRefused as refused:
            logger.warning("refused", extra={"reason": refused.reason})
            return refused.reason
        if isinstance(event, OtherEvent):
            self._say_thin(event)
            return "irrelevant"
        try:
            kept = self._inbox.keep(event)
        except (sqlite3.Error, OSError) as error:
            logger.error(
                "the inbox cannot be written", extra={"inbox": str(self._inbox.path), "error": type(error).__name__}
            )
            return "not_kept"
        if event.run_id is not None:
            self._run_events.announce(event.run_id)
        if kept.new and kept.standing == "waiting":
            self._worker.wake()
        outcome: Outcome = "accepted" if kept.new else "duplicate"
        logger.info(
            outcome,
            extra={"event": event.id, "kind": event.kind, "report": event.report_type, "standing": kept.standing},
        )
        return outcome

    def _say_thin(self, event: OtherEvent) -> None:
        """Say once that the endpoint gets thin events, which say too little to be of use."""
        with self._lock:
            if not event.thin or self._thin_said:
                return
            self._thin_said = True
        logger.warning(
            "events are thin and lead to nothing: give the endpoint the payload style snapshot at Stripe",
            extra={"kind": event.kind},
        )


def _builder(source: DltSource | Callable[[], DltSource]) -> Callable[[], DltSource]:
    if isinstance(source, DltSource):
        given = source
        # a copy for each sync, so that what a sync leaves in it does not reach the next
        return lambda: narrowed(given, report_tables(given))
    return source
