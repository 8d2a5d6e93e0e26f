"""What a sync would load now, planned by a sync that ends there: nothing is run, loaded, locked or moved.

In: a pipeline and a source. Out: lanes of cells. The plan is made in a working folder of its own, with the state that
the destination keeps: whatever another machine has loaded counts, and a load that is under way is not disturbed.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt import Pipeline
from dlt.extract import DltSource

from ..errors import SyncFailed, own_error
from ..plan.lanes import Lane
from ..plan.system_tables import SYSTEM_TABLES
from ..plan.windows import Days
from ..warehouse.destinations import duckdb_file
from ..warehouse.inventory import mend_tables
from ..warehouse.kept_open import KeptOpen
from ..warehouse.own_jobs import own_jobs
from ..warehouse.places import active_as_before, in_own_folder
from .context import Load
from .result_files import ResultFiles
from .syncs import Syncs, syncs_of
from .under_way import UnderWay


@contextmanager
def planning(
    pipeline: Pipeline, source: DltSource, days: Days | None = None, stop: threading.Event | None = None
) -> Iterator[Planning]:
    """Begin to plan what a source would load into a pipeline; of some days where they are given.

    Once `stop` is set, it does not wait for Stripe.
    """
    load = Load(collects=True, stop=stop, plans_only=True, days=days)
    syncs = syncs_of(source)
    names = [name for name in source.selected_resources if name not in {table.name for table in SYSTEM_TABLES}]
    with syncs.loading(load), _folder(pipeline) as folder, active_as_before():
        shadow = _shadow(pipeline, folder)
        with own_jobs(shadow):
            load.database = KeptOpen(shadow)
            try:
                load.database.keep()
                shadow.sync_destination()
                shadow.refresh = pipeline.refresh
                mend_tables(shadow, source, pipeline.refresh, make=False)
                yield Planning(shadow, source.with_resources(*names), syncs, load)
            finally:
                load.database.let_go()


class Planning:
    """Plans what is to be loaded; see `planning`. `pipeline` has the state and tables of the user's."""

    def __init__(self, pipeline: Pipeline, source: DltSource, syncs: Syncs, load: Load) -> None:
        self.pipeline = pipeline
        self._source = source
        self._syncs = syncs
        self._load = load
        self.under_way: UnderWay | None = None
        """What the sync has found out that has planned last."""

    @property
    def account(self) -> str:
        """The `_account` value of the rows that are planned."""
        return self._syncs.settings.label

    def lanes(self, exact: Mapping[str, Collection[str]] | None = None) -> list[Lane]:
        """The lanes of a sync or a backfill, or of exactly some loaded cells: interval keys by table.

        Raises:
            SyncFailed: no report can be planned.
            ConfigurationError: a report cannot be run as asked.
        """
        self._syncs.end()
        self._load.exact = exact
        try:
            self.pipeline.extract(self._source, refresh=self.pipeline.refresh)
        except Exception as error:
            own = own_error(error)
            if own is None:
                raise
            raise own from None
        self.under_way = self._syncs.sync.under_way if self._syncs.sync else None
        lanes = self._syncs.sync.planned if self._syncs.sync else []
        if self._load.failures and not lanes:
            raise SyncFailed([*self._load.failures.values()])
        return lanes

    @property
    def problems(self) -> list[str]:
        """Reports that cannot be planned, each with why; whoever loads them hears of it too."""
        return [str(failure) for failure in self._load.failures.values()]


@contextmanager
def _folder(pipeline: Pipeline) -> Iterator[Path]:
    """A folder that the next sync removes where this process is killed."""
    folder = ResultFiles(Path(pipeline.working_dir))
    try:
        yield folder.path
    finally:
        folder.close_with_parent()


def _shadow(pipeline: Pipeline, folder: Path) -> Pipeline:
    """The same pipeline in a working folder of its own."""
    destination: Any = pipeline.destination
    file = duckdb_file(pipeline)
    if file is not None and not file.exists():
        destination = dlt.destinations.duckdb(str(folder / "nothing_loaded.duckdb"))  # a plan makes no database
    return in_own_folder(pipeline, folder, destination)
