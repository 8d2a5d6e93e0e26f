"""The work of a partition: its cells planned and fetched, its files loaded and removed.

In: days, files as JSON. Out: files as JSON, what was loaded. Errors are Dagster's `Failure`s, which say what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from logging import Logger
from typing import Any

from dagster import Failure
from dlt import Pipeline
from dlt.extract import DltSource

from ... import (
    FetchedFile,
    Loaded,
    PlannedCell,
    ReportTable,
    StripeReportsError,
    fetch_cell,
    load_cells,
    plan_cells,
)
from ..fetched import remove, without
from ..sentences import LASTING, sentence_of

Days = tuple[date, date]


@dataclass(frozen=True)
class Fetched:
    """What was loaded of a partition: the files that there were of it, and what `load_cells` did."""

    files: tuple[FetchedFile, ...]
    loaded: Loaded


@dataclass(frozen=True)
class Work:
    """What the steps of an asset do; see the module.

    Args:
        whole: the source, as the user has built it.
        pipeline: where to load to.
        table: the report of the asset.
        others: resources of the source's other reports.
        place: folder or address of the asset's fetched files.
        at_once: cells that are fetched at once.
    """

    whole: DltSource
    pipeline: Pipeline
    table: ReportTable
    others: Sequence[str]
    place: str
    at_once: int

    @property
    def source(self) -> DltSource:
        """The source with this report alone, and the system tables."""
        return without(self.whole, self.others)

    def fetch(self, days: Days, run_id: str, log: Logger) -> list[dict[str, Any]]:
        """Plan and fetch the cells of some days.

        Where only some of them fail, as one of several accounts may, the log says why, and `load` will name them.

        Args:
            days: the first, and the day after the last.
            run_id: of Dagster's run; part of the path, so that runs do not remove one another's files.
            log: of the step.
        """
        url = "/".join((self.place, days[0].isoformat(), run_id))
        with _failures():
            source = self.source
            cells = plan_cells(self.pipeline, source, days=days)
            if not cells:
                return []
            with ThreadPoolExecutor(min(self.at_once, len(cells))) as pool:
                tried = list(pool.map(lambda cell: _tried(source, cell, url), cells))
            errors = [found for found in tried if isinstance(found, StripeReportsError)]
            files = [found for found in tried if isinstance(found, FetchedFile)]
            if not files:
                raise errors[0]
        for error in errors:
            log.error("not fetched: %s", sentence_of(error))
        for file in files:
            if file.refused is not None:
                log.info("%s: no report (yet): %s", file.cell.title, file.refused)
        return [file.as_json() for file in files]

    def load(self, files: Sequence[dict[str, Any]], days: Days) -> Fetched:
        """Load the files of some days, and remove them; they stay where that fails, for another try."""
        with _failures():
            given = tuple(FetchedFile.from_json(file) for file in files)
            loaded = load_cells(self.pipeline, self.source, given, days=days)
        remove(given)
        return Fetched(given, loaded)


def _tried(source: DltSource, cell: PlannedCell, url: str) -> FetchedFile | StripeReportsError:
    try:
        return fetch_cell(source, cell, url)
    except StripeReportsError as error:
        return error


@contextmanager
def _failures() -> Iterator[None]:
    """Errors of ours as failures of Dagster's: the sentence is what people see first."""
    try:
        yield
    except StripeReportsError as error:
        raise Failure(description=sentence_of(error), allow_retries=not isinstance(error, LASTING)) from error
