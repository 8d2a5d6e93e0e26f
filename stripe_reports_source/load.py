"""`load_reports`: a source in bounded load packages, with failures collected and raised once, at the end.

In: a dlt pipeline and a `stripe_reports` source; for `load_cells` files that were fetched before, too. Out: what was
loaded, and what was then found of it.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import reduce
from itertools import chain
from typing import Any, Literal

from dlt import Pipeline
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltSource

from .errors import (
    CellError,
    ConfigurationError,
    Failure,
    StripeError,
    StripeReportsError,
    StripeUnreachable,
    SyncFailed,
    TieOutFailed,
    remedy_of,
)
from .plan.planned import FetchedFile
from .plan.windows import checked_days, with_days
from .proof import prove, prove_load
from .reconcile.reconciliation import Reconciliation
from .stripe_api.run_events import RunEvents
from .sync.context import Load
from .sync.loading import Loading, loading, named_in_log
from .sync.progress import Event, Listener
from .sync.syncs import checked_sources, settings_for_jobs, syncs_of
from .warehouse.turns import StoppedWaiting

logger = logging.getLogger(__name__)

MAX_CELLS = 60
MOST_CELLS = 1000
MAX_BYTES = 1 << 30
OF_A_SOURCE = (ConfigurationError, StripeError, StripeUnreachable, CellError)
"""Errors that end the load of a source, and tell nothing of others: its settings, its key, its archive."""


@dataclass(frozen=True)
class TableLoaded:
    """What was loaded of a table and account: interval cells, and the rows that the destination holds of them."""

    table: str
    account: str
    cells: int
    rows: int


@dataclass(frozen=True)
class Loaded:
    """What `load_reports` did: dlt's load infos (none without anything to load), cells, rows, and both by table.

    `reconciliation` is what was then found of the loaded intervals; None if nothing was loaded, or it was not looked.
    `not_compared` is why it could not be looked; None if it could. `lost_from` has the tables and accounts that are not
    loaded whole although nothing has failed, as Stripe no longer has all of an interval: up to when all is loaded.
    """

    load_infos: tuple[LoadInfo, ...]
    cells: int
    rows: int
    tables: tuple[TableLoaded, ...] = ()
    reconciliation: Reconciliation | None = None
    not_compared: str | None = None
    lost_from: Mapping[tuple[str, str], datetime] = field(default_factory=dict)


def load_reports(
    pipeline: Pipeline,
    source: DltSource | Sequence[DltSource],
    *,
    max_cells: int | None = None,
    max_bytes: int = MAX_BYTES,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
    run_events: RunEvents | None = None,
    reconcile: Literal["warn", "fail", "refresh"] | None = None,
) -> Loaded:
    """Load a source in packages until there is nothing left to load.

    A report interval that fails ends its report for this call: what it has loaded before stays, and the other reports
    go on. Packages that an interrupted load has left are loaded first, or extracted again. Activity that payouts have
    settled which are only loaded now is loaded again, a run for each interval, so that it names them.

    Args:
        pipeline: where to load to. Calls for it, or for its dataset, take turns: each has its reports run and fetched
            while another one loads.
        source: from `stripe_reports(...)`, possibly narrowed by `with_resources`; or several, such as one for each
            account, which are loaded one after another, whatever fails of the ones before.
        max_cells, max_bytes: intervals and bytes of result files per load package, of all reports together. None is 60
            intervals, or up to 1,000 that come within 20 seconds.
        on_event: called with each `Event`, from several threads.
        stop: once set, the load ends after the present package, or at once if it waits for its turn; the next goes on.
        run_events: tells when Stripe has ended a run, so that it need not be polled often; webhooks do that.
        reconcile: where the loaded reports do not agree, which the table `tie_out` says in any case: "warn" in the log,
            "fail" at the end, or "refresh" what has changed at Stripe, see `reconcile`, and then warn.

    Returns:
        What was loaded: the rows that the destination holds.

    Raises:
        SyncFailed: lists every report interval that is not loaded; all others are. Of several sources also each that
            could not be begun.
        TieOutFailed: with `reconcile="fail"`, reports do not agree, or could not be compared; all are loaded.
        ConfigurationError, AuthenticationError, PermissionDenied, StripeUnreachable: the one source could not be begun.
        WorkingFolderError: dlt's working folder cannot be written, or is cut and not ours alone.
        DestinationBusy: someone else has locked the database for too long.
        PipelineStepFailed: dlt could not write to the destination. Of any source, the last three end the call; the log
            names what had failed.
    """
    sources = checked_sources(source)
    if len(sources) > 1 and pipeline.refresh:
        raise ConfigurationError(f"refresh={pipeline.refresh!r} drops what a source before has loaded; give one.")
    least, most = (MAX_CELLS, MOST_CELLS) if max_cells is None else (max_cells, None)
    listener = Listener(on_event)
    loads = [(each, Load(True, least, max_bytes, listener, stop, run_events, most_cells=most)) for each in sources]
    return _ended(*_load_each(pipeline, loads, reconcile == "refresh"), reconcile)


def load_cells(
    pipeline: Pipeline,
    source: DltSource,
    files: Iterable[FetchedFile | Mapping[str, Any]],
    *,
    days: tuple[date | str, date | str] | None = None,
    on_event: Callable[[Event], None] | None = None,
    reconcile: Literal["warn", "fail"] | None = None,
) -> Loaded:
    """Load what `fetch_cell` has fetched: tables, system tables, cursor and `tie_out`, as `load_reports` does.

    What is to be loaded follows from what is loaded already, as of the data that the files are from. An interval that
    has no file, or a spoiled one, ends its report for this call: no cursor passes it. Intervals that are loaded already
    are not loaded again, so that a repeated call changes nothing, and one with the files that were missing goes on.
    Files of intervals that are not to be loaded, or are older than what is, are left alone, and the log says so. A file
    from older data than is loaded of other intervals is loaded, unless it lacks the end of an interval that is over.
    No report is run; Stripe is asked which report types it offers, before the lock is taken.

    Args:
        pipeline: where to load to. Loads of it, or of its dataset, wait for one another.
        source: built with the settings that the cells were planned and fetched with.
        files: what `fetch_cell` returned, or its `as_json()`, in any order.
        days: of `plan_cells`: the cells of these days alone, whatever is loaded before them. No cursor is moved; a
            later `load_reports` leaves out what is loaded, and loads what is not.
        on_event: called with each `Event`, from several threads.
        reconcile: where the loaded reports do not agree: "warn" in the log, or "fail" at the end.

    Returns:
        What was loaded: the rows that the destination holds.

    Raises:
        SyncFailed: lists every report interval that is not loaded, also those of which no file was given.
        ConfigurationError: the files are of another account, or not what `fetch_cell` returned.
        TieOutFailed, DestinationBusy, PipelineStepFailed and others: as of `load_reports`.
    """
    from .sync.given import given_files  # Arrow and HTTP, which importing us does not need

    window = checked_days(days)
    given = given_files(with_days(settings_for_jobs(source), window), files)
    load = Load(True, MAX_CELLS, MAX_BYTES, Listener(on_event), days=window, most_cells=MOST_CELLS)
    with named_in_log(load.failures.values()), loading(pipeline, source, load, given) as begun:
        begun.sync()
        again = given.again
        if again:
            begun.load_cells(again)
        given.say_left_over()
        loaded = _loaded(begun, prove(pipeline, source.name, begun))
    return _ended([*load.failures.values()], [loaded], reconcile)


def _load_each(
    pipeline: Pipeline, loads: Sequence[tuple[DltSource, Load]], refresh: bool
) -> tuple[list[Failure], list[Loaded]]:
    """Load sources one after the other, whatever fails of one; none is begun that comes after a stop.

    An error of the destination or the working folder ends it: the sources that follow would meet it too.
    """
    failures: list[Failure] = []
    parts: list[Loaded] = []
    for source, load in loads:
        if parts and load.stopped:
            break
        with named_in_log(chain(failures, load.failures.values())):
            parts.append(_load_one(pipeline, source, load, refresh, alone=len(loads) == 1))
        failures += load.failures.values()
    return failures, parts


def _load_one(pipeline: Pipeline, source: DltSource, load: Load, refresh: bool, *, alone: bool) -> Loaded:
    """Load a source; unless it is `alone`, an error of its own is one more failure, so that others go on."""
    begun: Loading | None = None
    try:
        with loading(pipeline, source, load) as begun:
            begun.sync()
            return _loaded(begun, prove_load(pipeline, source.name, begun, refresh=refresh))
    except StoppedWaiting:
        pass
    except OF_A_SOURCE as error:
        if alone:
            raise
        load.fail(_not_loaded(source, error, begun), "")
    return Loaded((), 0, 0) if begun is None else _loaded(begun, None)  # the next load looks at it


def _not_loaded(source: DltSource, error: StripeReportsError, begun: Loading | None) -> Failure:
    settings = syncs_of(source).settings
    selected = [report.report for report in settings.reports if report.table in source.selected_resources]
    interval = "the other intervals" if begun is not None and begun.stored else "all intervals"
    reports = selected or list(source.selected_resources)  # whose resources have other names
    return Failure(", ".join(reports), settings.label, interval, None, error, remedy_of(error))


def _ended(
    failures: Sequence[Failure], parts: Sequence[Loaded], reconcile: Literal["warn", "fail", "refresh"] | None
) -> Loaded:
    """What was loaded of all sources, unless something was not, or does not agree."""
    loaded = reduce(_both, parts)
    found = loaded.reconciliation
    if failures:
        raise SyncFailed(failures, loaded)
    if reconcile == "fail" and loaded.not_compared is not None:
        raise TieOutFailed(loaded.not_compared, (), None, loaded)
    if reconcile is not None and found is not None and not found.ok:
        if reconcile == "fail":
            raise TieOutFailed(found.verdict(), found.lines(), found, loaded)
        logger.warning("%s", "\n- ".join((found.verdict(), *found.lines())))
    return loaded


def _both(first: Loaded, second: Loaded) -> Loaded:
    """What two sources have loaded, one after the other."""
    tables: dict[tuple[str, str], TableLoaded] = {}
    for each in (*first.tables, *second.tables):
        before = tables.get((each.table, each.account), TableLoaded(each.table, each.account, 0, 0))
        sums = before.cells + each.cells, before.rows + each.rows
        tables[each.table, each.account] = TableLoaded(each.table, each.account, *sums)
    found = first.reconciliation
    not_compared = first.not_compared if second.reconciliation is None else None
    return Loaded(
        (*first.load_infos, *second.load_infos),
        first.cells + second.cells,
        first.rows + second.rows,
        tuple(tables.values()),
        second.reconciliation if found is None else found.followed_by(second.reconciliation),
        second.not_compared or not_compared,
        {**first.lost_from, **second.lost_from},
    )


def _loaded(begun: Loading, found: Reconciliation | None) -> Loaded:
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for cell in begun.stored:
        rows[cell.table, cell.lane].append(cell.rows)
    tables = [TableLoaded(table, account, len(counts), sum(counts)) for (table, account), counts in rows.items()]
    rows_loaded = sum(table.rows for table in tables)
    about = tuple(tables), found, begun.not_compared, begun.lost_from
    return Loaded(tuple(begun.infos), len(begun.stored), rows_loaded, *about)
