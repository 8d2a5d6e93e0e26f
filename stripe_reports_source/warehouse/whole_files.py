"""The Parquet files that a load package has of a table: whether each of them can be loaded by itself.

In: the folder of a package. Out: whether each cell has all its rows in one file. It is so where a file is given to dlt
for each large cell, and where the columns have changed from one cell to the next; not where a user has set dlt to split
files, which it does within a cell.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from dlt.common.storages.load_package import ParsedLoadJobFileName

from .dispositions import CELL_KEY

ROWS_PER_BATCH = 100_000


def whole_files(package: Path, table: str) -> bool:
    """True if all files that a load package has of a table are Parquet, and no cell is in two of them."""
    files = _files(package, table)
    return files is not None and (len(files) <= 1 or _apart(package, table, frozenset(files)))


def _files(package: Path, table: str) -> dict[str, Path] | None:
    """The files by dlt's id, which they keep from folder to folder; None if one is not Parquet."""
    files: dict[str, Path] = {}
    for path in package.glob("*_jobs/*.*"):
        file = ParsedLoadJobFileName.parse(path.name)
        if file.table_name == table and file.file_format not in ("sql", "exception"):
            if file.file_format != "parquet":
                return None
            files[file.file_id] = path
    return files


@lru_cache(maxsize=100)
def _apart(package: Path, table: str, ids: frozenset[str]) -> bool:
    """True if no cell is in two files. They are read once, though each file's job asks."""
    seen: set[str] = set()
    for id_, path in (_files(package, table) or {}).items():
        cells = cells_in(path) if id_ in ids else set()
        if not cells or not cells.isdisjoint(seen):
            return False
        seen |= cells
    return True


def cells_in(path: Path) -> set[str]:
    """The interval keys in a Parquet file; none if it is not of cells."""
    import pyarrow.parquet as pq  # which importing us does not need

    if CELL_KEY not in pq.read_schema(path).names:
        return set()
    with pq.ParquetFile(path, read_dictionary=[CELL_KEY]) as file:
        batches = file.iter_batches(ROWS_PER_BATCH, columns=[CELL_KEY])
        return {key for batch in batches for key in batch.column(0).dictionary.to_pylist()}
