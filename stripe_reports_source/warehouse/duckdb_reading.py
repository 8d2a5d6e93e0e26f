"""What dlt cannot read through DuckDB 2, said in a sentence.

In: nothing. Out: dlt's `.arrow()` with an error that says what to do, where DuckDB lacks the method that dlt calls.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import duckdb
from dlt.destinations.impl.duckdb.sql_client import DuckDBDBApiCursorImpl

from ..errors import ConfigurationError


def say_what_dlt_cannot_read() -> None:
    """dlt 1.31 calls `fetch_arrow_table`, which connections of DuckDB 2 do not have; it reads chunks in another way."""
    read = DuckDBDBApiCursorImpl.iter_arrow
    if hasattr(duckdb.DuckDBPyConnection, "fetch_arrow_table") or read.__module__ == __name__:
        return

    def iter_arrow(self: DuckDBDBApiCursorImpl, chunk_size: int) -> Generator[Any, None, None]:
        if not chunk_size:
            raise ConfigurationError(
                f"dlt 1.31 cannot read a whole Arrow table through DuckDB {duckdb.__version__}: take "
                ".iter_arrow(chunk_size=50_000) or .df(), or pip install 'duckdb<2'."
            )
        yield from read(self, chunk_size)

    DuckDBDBApiCursorImpl.iter_arrow = iter_arrow  # type: ignore[method-assign]
