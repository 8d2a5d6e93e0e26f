"""The proof of a dataset: a look at it, kept in its table `tie_out`.

In: a pipeline. Out: a `Reconciliation`. `load_reports` looks at what it has loaded; `reconcile` at all there is.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime, timezone

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException

from .errors import ConfigurationError
from .plan.system_tables import REPORT_CELLS, REPORT_RUNS
from .reconcile.reconciliation import Reconciliation
from .reconcile.scope import Scope
from .warehouse.locks import pipeline_lock
from .warehouse.own_jobs import own_jobs
from .warehouse.query import reading, select

logger = logging.getLogger(__name__)


def reconcile(
    pipeline: Pipeline, *, since: date | None = None, accounts: Collection[str] | None = None
) -> Reconciliation:
    """Whether the reports of a dataset agree with one another and with their files; no report is run.

    Args:
        pipeline: whose dataset. A load that is under way is waited for.
        since: only intervals that begin on this day or later; None for all.
        accounts: only these, as in the column `_account`; None for all.

    Returns:
        Every statement, which are in the table `tie_out` then, and the balance rolled forward over the last complete
        month, or from `since` on.

    Raises:
        ConfigurationError: nothing is loaded, or nothing of an account.
        DestinationBusy: someone else has locked the database for too long.
    """
    from .reconcile.checks import roll_forward

    with pipeline_lock(pipeline), own_jobs(pipeline):
        pipeline.sync_destination()
        source_name = loaded_source(pipeline)
        scope = Scope(since=since, accounts=None if accounts is None else _known(pipeline, accounts))
        found = look_and_keep(pipeline, source_name, scope)
        return replace(found, roll_forward=tuple(roll_forward(pipeline, scope)))


def _known(pipeline: Pipeline, accounts: Collection[str]) -> frozenset[str]:
    rows = select(pipeline, f"SELECT DISTINCT {{column.account}} FROM {{table.{REPORT_CELLS.name}}}") or []  # noqa: S608
    known = {str(account) for (account,) in rows}
    unknown = sorted(set(accounts) - known)
    if unknown:
        raise ConfigurationError(
            f"account {unknown[0]!r} is not loaded into {pipeline.dataset_name!r}; there are "
            f"{', '.join(map(repr, sorted(known))) or 'none yet'}."
        )
    return frozenset(accounts)


def prove(pipeline: Pipeline, source_name: str) -> Reconciliation | None:
    """Look at what was loaded since the last look; under the pipeline's lock.

    Returns:
        None if nothing was, or the dataset cannot be looked at: the rows are loaded all the same, and the log says why.
    """
    from .reconcile.scope import unproven

    try:
        with reading(pipeline) as reader:
            scope = unproven(reader)
        return None if scope is None else look_and_keep(pipeline, source_name, scope)
    except DatabaseException as error:
        logger.warning("what is loaded could not be compared: %s", error)
        return None


def look_and_keep(pipeline: Pipeline, source_name: str, scope: Scope) -> Reconciliation:
    """Look at a dataset, and write what was found; under the pipeline's lock."""
    from .reconcile.checks import look  # SQL tools and Arrow, which importing us does not need
    from .sync.verdicts import write_statements

    statements = look(pipeline, datetime.now(timezone.utc), scope)
    if statements:
        write_statements(pipeline, source_name, statements)
    return Reconciliation(tuple(statements))


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
