"""`load_reports`: a source in bounded load packages, with failures collected and raised once, at the end.

In: a dlt pipeline and a `stripe_reports` source. Out: what was loaded. dlt loads a package whole or not at all,
so a long history in one package would lose everything at the first failure; here each package commits rows and
cursor together, and the next one goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dlt import Pipeline
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltSource

from .errors import SyncFailed, find_cause, own_error
from .stripe_api.run_events import RunEvents
from .sync.context import Load, SpoiledPackage
from .sync.progress import Event
from .sync.syncs import Syncs, syncs_of
from .warehouse.comments import write_comments
from .warehouse.forks import History
from .warehouse.leftovers import abort_begun_packages, remove_remains, set_aside
from .warehouse.locks import pipeline_lock
from .warehouse.own_jobs import own_jobs

MAX_CELLS = 60
MAX_BYTES = 1 << 30
SYNCS_AT_MOST = 3


@dataclass(frozen=True)
class Loaded:
    """What `load_reports` did: dlt's load infos (none without anything to load), cells loaded, their rows' total."""

    load_infos: tuple[LoadInfo, ...]
    cells: int
    rows: int


def load_reports(
    pipeline: Pipeline,
    source: DltSource,
    *,
    max_cells: int = MAX_CELLS,
    max_bytes: int = MAX_BYTES,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
    run_events: RunEvents | None = None,
) -> Loaded:
    """Load a source in packages until there is nothing left to load.

    Packages that an earlier, interrupted load left in the pipeline are loaded first, or extracted again. A report
    interval that fails ends its report for this call; what it has loaded before stays, and the other reports go on.
    Only one call at a time works for a pipeline; another one waits.

    Args:
        pipeline: where to load to.
        source: from `stripe_reports(...)`, possibly narrowed by `with_resources`.
        max_cells: intervals per load package, of all reports together.
        max_bytes: bytes of result files per load package, about.
        on_event: called with each `Event`, from several threads.
        stop: once set, the load ends after the present package; what is left is for the next call.
        run_events: tells when Stripe has ended a run, so that it need not be polled often; webhooks do that.

    Returns:
        What was loaded.

    Raises:
        SyncFailed: lists every report interval that is not loaded; all others are.
        ConfigurationError, AuthenticationError, PermissionDenied, StripeUnreachable: nothing could be begun.
        PipelineStepFailed: dlt could not write to the destination.
    """
    from .warehouse.duckdb_cells import (
        load_package,  # DuckDB and Arrow, which `import stripe_reports_source` does not need
    )

    syncs = syncs_of(source)
    counted = _Counter(on_event)
    load = Load(
        collects=True, max_cells=max_cells, max_bytes=max_bytes, on_event=counted, stop=stop, run_events=run_events
    )
    with syncs.loading(load), pipeline_lock(pipeline), own_jobs(pipeline):
        infos: list[LoadInfo] = []
        remove_remains(pipeline)
        abort_begun_packages(pipeline, source.name)
        if pipeline.has_pending_data:
            try:
                pipeline.normalize()
                infos.append(load_package(pipeline, source.name))
            except Exception as error:
                if own_error(error) or not set_aside(pipeline, source.name, error):
                    raise
        for _ in range(SYNCS_AT_MOST):
            written = list(_load_packages(pipeline, source, syncs, load, counted, load_package))
            infos += written
            sync = syncs.sync
            crossed = bool(written and sync and not History(pipeline).forks <= sync.forks)
            if sync is None or load.stopped or not (crossed or sync.follow_up):
                break
            # the next sync mends what one without a lock has crossed, or runs reports for new payouts
            syncs.end()
        write_comments(pipeline, source.name)
    if load.failures:
        # what failed in two syncs is one failure, the later one
        last = {(failure.report, failure.account, failure.interval): failure for failure in load.failures}
        raise SyncFailed(list(last.values()))
    return Loaded(tuple(infos), counted.cells, counted.rows)


def _load_packages(
    pipeline: Pipeline,
    source: DltSource,
    syncs: Syncs,
    load: Load,
    counted: _Counter,
    load_package: Callable[[Pipeline, str], LoadInfo],
) -> Iterator[LoadInfo]:
    """The steps of `pipeline.run`, package by package; only the first one refreshes, if the pipeline is made to."""
    pipeline.run()  # takes over the state at the destination, as before any extraction
    refresh = pipeline.refresh
    fresh = source.schema.clone()  # without what a package that is set aside would have added
    while True:
        load.begin_package()
        try:
            pipeline.extract(source, refresh=refresh)
            pipeline.normalize()
            info = load_package(pipeline, source.name)
        except Exception as error:
            if find_cause(error, SpoiledPackage) is not None:
                # a new sync fails the cell before any of its rows are extracted
                counted.forget()
                syncs.end()
                continue
            own = own_error(error)
            if own is not None:
                raise own from None
            if not load.refuse(set_aside(pipeline, source.name, error)):
                raise
            counted.forget()
            syncs.end()
            source.schema = fresh.clone()
            continue
        counted.keep()
        refresh = None
        if info is not None and info.loads_ids:
            yield info
        if load.stopped or not load.full:
            return


class _Counter:
    """Passes events on and counts what is loaded, package by package."""

    def __init__(self, on_event: Callable[[Event], None] | None) -> None:
        self._on_event = on_event
        self.cells = self.rows = 0
        self.forget()

    def __call__(self, event: Event) -> None:
        if event.kind == "loaded":
            self._cells += 1
            self._rows += event.count
        if self._on_event is not None:
            self._on_event(event)

    def forget(self) -> None:
        """The present package is not loaded."""
        self._cells = self._rows = 0

    def keep(self) -> None:
        """The present package is loaded."""
        self.cells += self._cells
        self.rows += self._rows
        self.forget()
