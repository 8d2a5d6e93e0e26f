"""The thread that turns events into syncs, each after the other, and syncs everything now and then.

In: the inbox, a pipeline, a way to build its source. Out: loaded reports, settled events, metrics and log lines. An
event is settled only by a sync that began after it was read and loaded all that it affects.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from dlt import Pipeline
from dlt.extract import DltSource

from ..errors import ConfigurationError, RowError, RunTimedOut, SyncFailed, own_error
from ..load import load_reports
from ..source import settings_of
from ..stripe_api.run_events import RunEvents
from ..sync.progress import Event
from . import metrics
from .affected import narrowed, report_tables, tables_of
from .backlog import Backlog, Batch
from .events import ReportEvent
from .inbox import Inbox
from .limits import RetryDelays
from .metrics import Metrics

logger = logging.getLogger(__name__)

TROUBLE_SECONDS = 5.0
"""The pause after an error of the worker's own, such as an inbox that cannot be read."""
_EVERYTHING = "everything"


@dataclass
class _Watched:
    """What a sync's events tell: which tables failed, which runs were loaded."""

    metrics: Metrics
    failed: set[str] = field(default_factory=set)
    loaded_runs: set[str] = field(default_factory=set)
    intervals: int = 0
    rows: int = 0

    def __call__(self, event: Event) -> None:
        if event.kind == "failed":
            self.failed.add(event.table)
        if event.kind != "loaded":
            return
        self.intervals += 1
        self.rows += event.count
        if event.run_id:
            self.loaded_runs.add(event.run_id)
        self.metrics.add(metrics.INTERVALS, 1, event.table)
        self.metrics.add(metrics.ROWS, event.count, event.table)
        if event.interval:
            self.metrics.set(metrics.LOADED_TO, event.interval.end.timestamp(), event.table)


class SyncWorker:
    """See the module. `start` once, `wake` at each new event, `stop` to end."""

    def __init__(
        self,
        pipeline: Pipeline,
        build_source: Callable[[], DltSource],
        inbox: Inbox,
        counted: Metrics,
        run_events: RunEvents,
        *,
        gather_seconds: float,
        sync_every_seconds: float,
        retry_delays: RetryDelays,
    ) -> None:
        self._pipeline = pipeline
        self._build_source = build_source
        self._inbox = inbox
        self._metrics = counted
        self._run_events = run_events
        self._every = sync_every_seconds
        self._backlog = Backlog(gather_seconds, retry_delays)
        self._known: dict[str, tuple[ReportEvent, frozenset[str]]] = {}
        self._finished: list[str] = []
        self._next_full = 0.0
        self._beginnings = inbox.beginnings
        self._fulls = itertools.count(1)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="stripe-reports-webhook")

    @property
    def alive(self) -> bool:
        """True while events become syncs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin, with a sync of everything."""
        self._next_full = time.monotonic()
        self._thread.start()

    def wake(self) -> None:
        """There is a new event."""
        self._wake.set()

    def stop(self) -> None:
        """Ask the worker to end: after the load package at hand, without waiting for runs."""
        self._stop.set()
        self._wake.set()

    def join(self, seconds: float) -> bool:
        """Wait for its end; False if it has not ended by then."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._step()
            except Exception as error:
                # nothing may end this thread: events wait in the inbox, and the next step looks again
                logger.error("the worker is in trouble", extra={"error": _described(error)})
                self._stop.wait(TROUBLE_SECONDS)

    def _step(self) -> None:
        self._wake.clear()
        self._settle()
        now, beginnings = time.monotonic(), self._inbox.beginnings
        if now >= self._next_full or beginnings != self._beginnings:
            # with the file of an inbox that was begun anew, events may have been lost
            everything = f"{_EVERYTHING} {next(self._fulls)}"
            self._backlog.add(everything, report_tables(self._build_source()), now, at_once=True)
            self._beginnings, self._next_full = beginnings, now + self._every
            self._inbox.prune()
        self._read_inbox(now)
        batch = self._backlog.begin(now)
        if batch is None:
            if self._inbox.beginnings != self._beginnings:
                return  # it was begun anew a moment ago
            left = self._backlog.seconds_left(now)
            until_full = self._next_full - now
            self._wake.wait(until_full if left is None else min(left, until_full))
            return
        failed = self._sync(batch)
        if failed is None:
            return  # stopped: the events stay as they are
        finished = self._backlog.finish(batch, failed, time.monotonic())
        for identity in finished:
            if identity in self._known:
                self._note_lag(*self._known[identity], batch)
                self._finished.append(identity)
        self._settle()

    def _settle(self) -> None:
        """Note in the inbox which events are handled; where it cannot be written, the next step does."""
        self._inbox.settle(self._finished, "handled")
        for identity in self._finished:
            del self._known[identity]
        self._finished.clear()

    def _read_inbox(self, now: float) -> None:
        new = [event for event in self._inbox.waiting() if event.id not in self._known]
        if not new:
            return
        source = self._build_source()
        settings, selected = settings_of(source), source.selected_resources
        nothing = []
        for event in new:
            tables = tables_of(event, settings, selected)
            if not tables:
                nothing.append(event.id)
                continue
            self._known[event.id] = (event, tables)
            self._backlog.add(event.id, tables, now)
            if event.run_id is not None:
                for table in tables:
                    self._backlog.hurry(table, now)
        self._inbox.settle(nothing, "ignored")

    def _sync(self, batch: Batch) -> Collection[str] | None:
        """The tables that are not loaded; None when the worker was stopped on the way."""
        began = time.monotonic()
        watched = _Watched(self._metrics)
        self._metrics.set(metrics.WORKING, 1)
        try:
            failed = self._load(batch.tables, watched)
        finally:
            self._metrics.set(metrics.WORKING, 0)
        seconds = time.monotonic() - began
        outcome = "stopped" if self._stop.is_set() else "failed" if failed else "ok"
        self._metrics.add(metrics.SYNCS, 1, outcome)
        self._metrics.add(metrics.SYNC_SECONDS, seconds)
        self._metrics.set(metrics.LAST_SYNC, time.time(), outcome)
        logger.info(
            "sync",
            extra={
                "outcome": outcome,
                "tables": sorted(batch.tables),
                "failed": sorted(failed),
                "events": len(batch.events),
                "intervals": watched.intervals,
                "rows": watched.rows,
                "seconds": round(seconds, 3),
            },
        )
        return None if self._stop.is_set() else failed

    def _load(self, tables: Collection[str], watched: _Watched) -> Collection[str]:
        left: list[str] = []
        each_alone = False
        try:
            load_reports(
                self._pipeline,
                narrowed(self._build_source(), tables),
                on_event=watched,
                stop=self._stop,
                run_events=self._run_events,
            )
            failed: Collection[str] = ()
        except SyncFailed as error:
            for failure in error.failures:
                logger.error(
                    "not loaded",
                    extra={
                        "report": failure.report,
                        "account": failure.account,
                        "run": failure.run_id,
                        "error": _described(failure.error),
                    },
                )
            left = [
                failure.run_id
                for failure in error.failures
                if failure.run_id and isinstance(failure.error, RunTimedOut)
            ]
            failed = watched.failed.intersection(tables) or tables
        except Exception as error:
            logger.error("not loaded", extra={"tables": sorted(tables), "error": _described(error)})
            failed = tables
            each_alone = isinstance(error, ConfigurationError) and len(tables) > 1
        if each_alone:
            # the setting may be about a single table, which must not keep the others from going on
            return [failed_table for table in sorted(tables) for failed_table in self._load([table], watched)]
        self._inbox.leave_runs(left, watched.loaded_runs)
        return failed

    def _note_lag(self, event: ReportEvent, tables: frozenset[str], batch: Batch) -> None:
        if event.run_id is not None:
            return
        lag = max(0.0, time.time() - event.created)
        for table in tables & batch.tables:
            self._metrics.set(metrics.LAG, lag, table)
            self._metrics.add(metrics.LAG_SUM, lag, table)
            self._metrics.add(metrics.LAG_COUNT, 1, table)


def _described(error: Exception) -> str:
    """An error for the log: in this package's own words, without values of rows and without others' texts."""
    own = own_error(error)
    if own is None:
        return type(error).__name__
    if isinstance(own, RowError):
        return f"{type(own).__name__}: the column `error` of report_runs says what does not fit."
    return f"{type(own).__name__}: {own}"
