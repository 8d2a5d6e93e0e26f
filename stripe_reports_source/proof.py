"""The proof of a dataset: a look at it, kept in its table `tie_out`; and what to do where the past has moved.

In: a pipeline. Out: a `Reconciliation`. `load_reports` looks at what it has loaded; `reconcile` at all there is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Literal

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException
from dlt.extract import DltSource

from .errors import ConfigurationError, SyncFailed
from .plan.system_tables import REPORT_CELLS, REPORT_RUNS
from .reconcile.reconciliation import Reconciliation
from .reconcile.scope import Scope
from .sync.context import Load
from .sync.loading import Loading, loading, named_in_log
from .sync.progress import Event, Listener
from .warehouse.own_jobs import own_jobs
from .warehouse.places import note_place, take_over
from .warehouse.query import reading, select
from .warehouse.turns import pipeline_lock

if TYPE_CHECKING:
    from .reconcile.coverage import CoveredCell

logger = logging.getLogger(__name__)

MOST_RUNS = 25
"""Runs of one call, the sync's among them, after which intervals that were left behind wait for the next one. What has
changed is loaded however many that takes."""


def reconcile(
    pipeline: Pipeline,
    *,
    since: date | None = None,
    accounts: Collection[str] | None = None,
    refresh: DltSource | None = None,
    months: int | Literal["all"] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Reconciliation:
    """Whether the reports of a dataset agree with one another and with their files.

    Without `refresh` no report is run. With it, what has changed at Stripe since it was loaded is loaded again: where
    balances say that the past has moved, the intervals that did are found by some log2(intervals) runs of the balance
    summary, and exactly the reports in them that differ are loaded. All later balances are off by the same amount then:
    as many of them are loaded as 25 runs in all allow, the latest first, the others are explained, and are for the next
    call. `months` sees more, for a run of each summary and month: moves that cancel, and payouts in another month.

    Args:
        pipeline: whose dataset. A load that is under way is waited for.
        since: only intervals that begin on this day or later; None for all.
        accounts: only these, as in the column `_account`; None for all.
        refresh: the source, as it was loaded; its account alone is loaded again.
        months: with `refresh`, load the summaries of so many last months anew, or of "all" history.
        on_event: called with each `Event` of a refresh, from several threads.

    Returns:
        Every statement, which are in the table `tie_out` then, and the balance rolled forward over the last complete
        month, or from `since` on.

    Raises:
        ConfigurationError: nothing is loaded, or nothing of an account or day; `months` is given without `refresh`.
        DestinationBusy: someone else has locked the database for too long.
        SyncFailed: lists every interval that could not be loaded again; it stays as it was.
    """
    if months is not None and (refresh is None or (months != "all" and months < 1)):
        raise ConfigurationError(f'months {months!r} must be a number of months or "all", and refresh the source.')
    scope = Scope(since=since, accounts=None if accounts is None else frozenset(accounts))
    if refresh is None:
        with pipeline_lock(pipeline), own_jobs(pipeline):
            take_over(pipeline)
            return _whole_look(pipeline, loaded_source(pipeline), scope)
    load = Load(collects=True, on_event=Listener(on_event))
    with named_in_log(load.failures.values()), loading(pipeline, refresh, load) as begun:
        name = loaded_source(pipeline)
        _check_scope(pipeline, scope)
        heal(pipeline, name, begun, look_and_keep(pipeline, name, scope), months)
        found = _whole_look(pipeline, name, scope)
    if load.failures:
        raise SyncFailed([*load.failures.values()], found)
    return found


def _whole_look(pipeline: Pipeline, source_name: str, scope: Scope) -> Reconciliation:
    """A look that is kept, and the balance rolled forward."""
    from .reconcile.checks import roll_forward

    _check_scope(pipeline, scope)
    found = look_and_keep(pipeline, source_name, scope)
    note_place(pipeline)
    return replace(found, roll_forward=tuple(roll_forward(pipeline, scope)))


def _check_scope(pipeline: Pipeline, scope: Scope) -> None:
    query = (
        "SELECT {column.account}, MAX({column.interval_day}) "  # noqa: S608
        f"FROM {{table.{REPORT_CELLS.name}}} GROUP BY {{column.account}}"
    )
    known = {str(account): day for account, day in select(pipeline, query) or []}
    unknown = sorted((scope.accounts or set()) - known.keys())
    if unknown:
        raise ConfigurationError(
            f"account {unknown[0]!r} is not loaded into {pipeline.dataset_name!r}; there are "
            f"{', '.join(map(repr, sorted(known))) or 'none yet'}."
        )
    days = [day for account, day in known.items() if day and account in (scope.accounts or known)]
    if scope.since is not None and days and scope.since > max(days):
        raise ConfigurationError(
            f"no interval that begins on {scope.since} or later is loaded into {pipeline.dataset_name!r}; set since to "
            f"{max(days)}, on which the last one begins, or to a day before."
        )


def prove(pipeline: Pipeline, source_name: str, begun: Loading) -> Reconciliation | None:
    """Look at what was loaded since the last look; under the pipeline's lock.

    Args:
        pipeline: whose dataset.
        source_name: the source, in whose schema the tables are.
        begun: the load that is under way; its `not_compared` says why, where the dataset cannot be looked at.

    Returns:
        None if nothing was, or the dataset cannot be looked at: the rows are loaded all the same, and the log says why.
    """
    from .reconcile.scope import unproven

    begun.not_compared = None
    try:
        with reading(pipeline) as reader:
            scope = unproven(reader)
        return None if scope is None else look_and_keep(pipeline, source_name, scope)
    except DatabaseException as error:
        logger.warning("what is loaded could not be compared: %s", error)
        begun.not_compared = next(iter(str(error).splitlines()), "")
        return None


def prove_load(pipeline: Pipeline, source_name: str, begun: Loading, *, refresh: bool) -> Reconciliation | None:
    """As `prove`, and what is to be loaded again because of that is: activity that does not name its payouts yet.

    Args:
        pipeline: whose dataset.
        source_name: the source, in whose schema the tables are.
        begun: the load that is under way.
        refresh: load all again that has changed at Stripe, see `heal`.
    """
    from .reconcile.healing import not_filled_in

    found = prove(pipeline, source_name, begun)
    if found is None:
        return None
    if refresh:
        return heal(pipeline, source_name, begun, found)
    if _Reload(begun)(not_filled_in(pipeline, begun.account, found.statements)):
        return found.followed_by(prove(pipeline, source_name, begun))
    return found


def heal(
    pipeline: Pipeline,
    source_name: str,
    begun: Loading,
    found: Reconciliation,
    months: int | Literal["all"] | None = None,
) -> Reconciliation:
    """Load again what has changed at Stripe; under the pipeline's lock. See `reconcile`.

    Whatever is loaded is kept: a call that was stopped in the middle is gone on with by the next one.

    Args:
        pipeline: whose dataset.
        source_name: the source, in whose schema the tables are.
        begun: the load that is under way; what it has loaded already is as Stripe says it now.
        found: of a look at the dataset.
        months: whose summaries to load anew.

    Returns:
        What was found, with what is found then.
    """
    from .reconcile.healing import LoadedData

    def data() -> LoadedData:
        return LoadedData.read(pipeline, begun.account)

    load = _Reload(begun)
    if months is not None:
        load(data().summaries(months))
    stored = data()
    if stored.moved:
        while load(stored.probes(load.fresh, load.asked)):
            stored = data()
    found = found.followed_by(prove(pipeline, source_name, begun))
    while load(data().differing(found.statements, load.fresh)):
        found = found.followed_by(prove(pipeline, source_name, begun))
    if load(data().left_behind(load.fresh, MOST_RUNS - len(begun.stored))):
        found = found.followed_by(prove(pipeline, source_name, begun))
    return found


class _Reload:
    """Loads cells again, each at most once in a call; a cell of two tables in both."""

    def __init__(self, begun: Loading) -> None:
        self._begun = begun
        self.fresh = {(cell.table, cell.key) for cell in begun.stored}
        """Table and key of the cells that this call has loaded."""
        self.asked = set(self.fresh)
        """The same of those that it has tried to load."""

    def __call__(self, cells: Iterable[CoveredCell]) -> bool:
        """True if one of them is loaded that was not before."""
        wanted: dict[str, set[str]] = {}
        for cell in cells:
            if cell.place not in self.asked:
                wanted.setdefault(cell.table, set()).add(cell.key)
                self.asked.add(cell.place)
        if not wanted or self._begun.stopped:
            return False
        loaded = self._begun.load_cells(wanted)
        self.fresh |= loaded
        return bool(loaded)


def look_and_keep(pipeline: Pipeline, source_name: str, scope: Scope) -> Reconciliation:
    """Look at a dataset, and write what was found; under the pipeline's lock."""
    from .reconcile.checks import look  # SQL tools and Arrow, which importing us does not need
    from .sync.verdicts import write_statements

    statements = look(pipeline, datetime.now(timezone.utc), scope)
    if statements:
        write_statements(pipeline, source_name, statements)
    return Reconciliation(statements)


def loaded_source(pipeline: Pipeline) -> str:
    """The name of the source that a pipeline has loaded.

    Raises:
        ConfigurationError: it has loaded none of ours.
    """
    for name, schema in pipeline.schemas.items():
        if REPORT_RUNS.name in schema.tables or REPORT_CELLS.name in schema.tables:
            return str(name)
    raise ConfigurationError(
        f"the pipeline {pipeline.pipeline_name!r} has loaded no reports into {pipeline.dataset_name!r}; begin with "
        "`stripe-reports sync`."
    )
