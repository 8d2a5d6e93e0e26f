"""One event, one sync: for functions and queues that run their own.

In: a verified event, a pipeline, a source. Out: what was loaded, None where the event asks for no sync.
"""

from __future__ import annotations

from dlt import Pipeline
from dlt.extract import DltSource

from ..load import Loaded, load_reports
from ..plan.system_tables import REPORT_RUNS
from ..warehouse.query import select
from .affected import affected_tables, narrowed
from .events import ReportEvent


def handle_event(event: ReportEvent, pipeline: Pipeline, source: DltSource) -> Loaded | None:
    """Sync what an event affects, with the same cursor and the same promises as any other sync.

    It may be called for any event, in any order, twice or not at all: what is new is read from the API. Events about
    runs lead to a sync only where an earlier sync has left that run pending (its `run_timeout` was over).

    Args:
        event: from `verify_event`.
        pipeline: where to load to.
        source: from `stripe_reports(...)`, all that the pipeline loads.

    Returns:
        What was loaded; None if the event affects nothing in the source.

    Raises:
        SyncFailed, and whatever else `load_reports` raises: let the queue deliver the event again.
    """
    tables = affected_tables(event, source)
    if not tables or (event.run_id is not None and not _left_pending(pipeline, event.run_id)):
        return None
    return load_reports(pipeline, narrowed(source, tables))


def _left_pending(pipeline: Pipeline, run_id: str) -> bool:
    """True for a run that a sync has noted as pending and that no sync has loaded."""
    found = select(pipeline, f"SELECT status FROM {{table.{REPORT_RUNS.name}}} WHERE run_id = %s", run_id)  # noqa: S608
    return found == [("pending",)]
