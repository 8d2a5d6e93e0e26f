"""What jobs that load cells into Delta and Iceberg tables have in common.

In: the files of a package for one table. Out: their rows in place of those of the same keys, in one commit: new data
files are written, and a reader sees all of that with the next version of the table, or nothing. A job may run any
number of times, and beside others: a commit that another one has come before is tried again on the newer version.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.dataset as ds
from dlt.destinations.impl.filesystem.filesystem import ReferenceFollowupJob

from ..plan.columns import TOMBSTONE
from .newest_rows import newest_rows
from .repeatable import is_cell_table, key_columns

ROWS_PER_BATCH = 20_000
KEPT_STATISTICS = ("_interval_key", "_interval_day", "_account")
"""The columns of which a table says the least and greatest value in each file: amounts are taken as floating point
numbers by some that write or read these, by which a reader may pass over a file that has the amount."""
TRIES = 10
"""Of a commit that others' commits come before."""


def committed(attempt: Callable[[], None], conflicts: tuple[type[Exception], ...]) -> None:
    """Try a commit, each time on the newest version of the table, until no other has come before it."""
    for number in range(1, TRIES + 1):
        try:
            attempt()
            return
        except conflicts:
            if number == TRIES:
                raise
            time.sleep(0.05 * 2**number)


class CellJob(ReferenceFollowupJob):
    """Replaces the rows of the keys that a table's files of a package hold, in one commit, however often it is run."""

    conflicts: tuple[type[Exception], ...]
    """What a commit ends with that another one has come before."""

    def run(self) -> None:
        committed(self._replace, self.conflicts)

    def _replace(self) -> None:
        schema = pa.unify_schemas([ds.dataset(path).schema for path in self.file_paths])
        files = ds.dataset(self.file_paths, schema=schema)
        if is_cell_table(self._load_table):
            present = ds.field(TOMBSTONE).is_null() | ~ds.field(TOMBSTONE)
            rows = files.scanner(filter=present, batch_size=ROWS_PER_BATCH).to_reader()
            self.replace_cells(rows, sorted(_distinct(files, "_interval_key")))
        else:
            self.replace_rows(newest_rows(files.to_table(), self._load_table), key_columns(self._load_table))

    @abstractmethod
    def replace_cells(self, rows: pa.RecordBatchReader, interval_keys: Sequence[str]) -> None:
        """Put the rows of some cells in place of those that the table has of them."""

    @abstractmethod
    def replace_rows(self, rows: pa.Table, keys: Sequence[str]) -> None:
        """Put rows of a system table in place of those that have the same values in some columns."""

    def has_groups(self, keys: Sequence[str]) -> bool:
        """True for a system table of which rows share the values of their keys."""
        return any(self._load_table["columns"][key].get("merge_key") for key in keys)


def _distinct(files: ds.Dataset, column: str) -> set[str]:
    found: set[str] = set()
    for batch in files.to_batches(columns=[column], batch_size=ROWS_PER_BATCH):
        found.update(batch.column(0).unique().to_pylist())
    return found
