"""What the tasks of a group do: cells of an interval planned, one of them fetched, all that is there loaded.

In: an interval, cells and files as JSON. Out: JSON values. Errors are Airflow's, see `failures`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.configuration import conf

from ... import ConfigurationError, FetchedFile, StripeUnreachable, SyncFailed
from ..fetched import remove, without
from ..sentences import sentence_of
from .failures import failures
from .intervals import DataInterval, reports_by_days

if TYPE_CHECKING:
    from dlt import Pipeline
    from dlt.extract import DltSource

logger = logging.getLogger(__name__)

Values = dict[str, Any]
"""A cell, a file, or what was loaded, as a JSON object."""


@dataclass(frozen=True)
class Work:
    """See the module.

    Args:
        source, pipeline: make them; called in the tasks alone.
    """

    source: Callable[[], DltSource]
    pipeline: Callable[[], Pipeline]

    def plan(self, interval: DataInterval) -> list[Values]:
        """The cells of an interval; without one, those that are not loaded yet.

        Reports with days of their own are planned one after the other. Where Stripe does not have some of them any
        more, the log says so and the others are planned; `load` names them.
        """
        from ... import plan_cells, report_tables  # and with them dlt, without which DAG files are parsed

        with failures():
            source, planned = self.source(), []
            failed: list[SyncFailed] = []
            for days, names in reports_by_days(report_tables(source), interval).items():
                try:
                    planned += plan_cells(self.pipeline(), only(source, names), days=days)
                except SyncFailed as error:
                    if any(isinstance(failure.error, StripeUnreachable) for failure in error.failures):
                        raise  # another try may plan all
                    failed.append(error)
            if failed and not planned:
                raise failed[0]
            most = conf.getint("core", "max_map_length")
            if len(planned) > most:
                raise ConfigurationError(
                    f"{len(planned)} intervals are to be loaded, more than the {most} tasks that Airflow makes of a "
                    "list. Load the history in parts (catchup, or a backfill by month), or raise [core] max_map_length."
                )
        for one_group in failed:
            logger.error("not planned: %s", sentence_of(one_group))
        for cell in planned:
            logger.info("planned: %s", cell.title)
        return [cell.as_json() for cell in planned]

    def fetch(self, cell: Values, url: str) -> Values:
        """Run a cell at Stripe, wait, and bring its file to an address."""
        from ... import fetch_cell

        with failures():
            file = fetch_cell(self.source(), cell, url)
        if file.refused is not None:
            logger.info("%s: no report (yet): %s", file.cell.title, file.refused)
        return file.as_json()

    def load(self, files: Sequence[Values], interval: DataInterval) -> Values:
        """Load the files of an interval, and remove them; they stay where that fails, for another try.

        Reports with days of their own are loaded one after the other, the others also where one fails.
        """
        from ... import load_cells, report_tables

        tables: list[Values] = []
        failed: list[SyncFailed] = []
        with failures(SyncFailed):
            given = [FetchedFile.from_json(file) for file in files]
            source = self.source()
            for days, names in reports_by_days(report_tables(source), interval).items():
                own = [file for file in given if file.cell.table in names]
                try:
                    loaded = load_cells(self.pipeline(), only(source, names), own, days=days)
                except SyncFailed as error:
                    failed.append(error)
                else:
                    tables += [vars(table) for table in loaded.tables]
            if failed:
                raise SyncFailed([failure for error in failed for failure in error.failures])
        remove(given)
        for table in tables:
            logger.info("loaded: %(table)s of %(account)s: %(cells)s intervals, %(rows)s rows", table)
        return {"tables": tables, **{what: sum(table[what] for table in tables) for what in ("cells", "rows")}}


def only(source: DltSource, names: Sequence[str]) -> DltSource:
    """A source with some of its reports, and the system tables."""
    from ... import report_tables

    others = {table.resource for table in report_tables(source)} - set(names)
    return without(source, others)


def place_of(url: str, group: str, context: Mapping[str, Any]) -> str:
    """Where the files of a group of a DAG run go: below `url`, so that runs do not remove one another's."""
    run = context["dag_run"]
    return "/".join((url.rstrip("/"), *(quote(name, safe="") for name in (run.dag_id, group, run.run_id))))
