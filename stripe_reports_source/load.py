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

from .comments import write_comments
from .errors import StripeReportsError, SyncFailed
from .history import History
from .locks import pipeline_lock
from .news import RunNews
from .remains import abort_begun_packages, remove_remains
from .scope import ACTIVE_SCOPE, Event, LoadScope

MAX_CELLS = 60
MAX_BYTES = 1 << 30
SYNCS_AT_MOST = 3


@dataclass(frozen=True)
class Loaded:
    """What `load_reports` did: dlt's load infos, cells loaded and their rows' total."""

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
    run_news: RunNews | None = None,
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
        run_news: tells when Stripe has ended a run, so that it need not be polled often; webhooks do that.

    Returns:
        What was loaded.

    Raises:
        SyncFailed: lists every report interval that is not loaded; all others are.
        ConfigurationError, AuthenticationError, PermissionDenied, StripeUnreachable: nothing could be begun.
        PipelineStepFailed: dlt could not write to the destination.
    """
    counted = _Counter(on_event)
    scope = LoadScope(max_cells=max_cells, max_bytes=max_bytes, on_event=counted, stop=stop, run_news=run_news)
    with pipeline_lock(pipeline):
        infos: list[LoadInfo] = []
        remove_remains(pipeline)
        abort_begun_packages(pipeline, source.name)
        if pipeline.has_pending_data:
            pipeline.normalize()
            infos.append(pipeline.load())
        token = ACTIVE_SCOPE.set(scope)
        try:
            for _ in range(SYNCS_AT_MOST):
                infos += _load_packages(pipeline, source, scope)
                crossed = scope.session is not None and not History(pipeline).forks <= scope.session.forks
                if scope.session is None or scope.stopped or not (crossed or scope.session.follow_up):
                    break
                # the next round mends what a sync without a lock has crossed, or runs reports for new payouts
                scope.session.close()
                scope.session = None
            if infos:
                write_comments(pipeline, source.name)
        finally:
            ACTIVE_SCOPE.reset(token)
            if scope.session is not None:
                scope.session.close()
    if scope.failures:
        # what failed in two rounds is one failure, the later one
        raise SyncFailed(list({(one.report, one.account, one.interval): one for one in scope.failures}.values()))
    return Loaded(tuple(infos), counted.cells, counted.rows)


def _load_packages(pipeline: Pipeline, source: DltSource, scope: LoadScope) -> Iterator[LoadInfo]:
    while True:
        scope.cells = scope.bytes = 0
        try:
            info = pipeline.run(source)
        except Exception as error:
            own = own_error(error)
            if own is None:
                raise
            raise own from None
        if info is not None:
            yield info
        if scope.stopped or not scope.full:
            return


class _Counter:
    """Passes events on and counts what is loaded."""

    def __init__(self, on_event: Callable[[Event], None] | None) -> None:
        self._on_event = on_event
        self.cells = 0
        self.rows = 0

    def __call__(self, event: Event) -> None:
        if event.kind == "loaded":
            self.cells += 1
            self.rows += event.count
        if self._on_event is not None:
            self._on_event(event)


def own_error(error: BaseException | None) -> StripeReportsError | None:
    """This package's error inside dlt's wrapping, which buries the sentence that matters."""
    while error is not None:
        if isinstance(error, StripeReportsError):
            return error
        error = error.__cause__ or error.__context__
    return None
