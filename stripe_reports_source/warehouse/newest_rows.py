"""The rows of a file of a system table that are to be stored, for our own loading jobs.

In: all its rows, dlt's table. Out: the last of each key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa


def newest_rows(rows: pa.Table, table: Any, otherwise: Sequence[str] = ()) -> pa.Table:
    """The rows of a system table, the last of each primary key; of the keys `otherwise` where it has none."""
    names = [name for name, column in table["columns"].items() if column.get("primary_key")] or otherwise
    keys = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
    last = {key: place for place, key in enumerate(keys)}
    return rows.take(pa.array(sorted(last.values()), pa.int64()))
