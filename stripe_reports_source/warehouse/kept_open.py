"""A DuckDB file that is kept open from one question to the next: opening it costs more than most of them.

In: a pipeline whose load is at work. Out: an open database, which the connections of this process share. It is let go
whenever the load waits, because no other process can read or write the file meanwhile.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError
from dlt.destinations.sql_client import SqlClientBase

from .destinations import duckdb_file


class KeptOpen:
    """See the module. Does nothing for other destinations, and without a pipeline. Safe in threads."""

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self._pipeline = pipeline
        self._client: SqlClientBase[Any] | None = None
        self._is_open = False
        self._changes = threading.Lock()

    def keep(self) -> None:
        """Open the database, unless it is open, and keep it so.

        Raises:
            DestinationBusy: another process has it open for too long.
        """
        with self._changes:
            if self._client is None and self._pipeline is not None and duckdb_file(self._pipeline) is not None:
                self._client = self._pipeline.sql_client()
            if self._client is not None and not self._is_open:
                with suppress(DestinationConnectionError):  # whoever asks the first question says so
                    self._client.open_connection()
                    self._is_open = True

    def let_go(self) -> None:
        """Close it when the questions that are being asked have been answered."""
        with self._changes:
            if self._client is not None and self._is_open:
                self._is_open = False
                from .duckdb_memory import write_frugally  # DuckDB, which importing us does not need

                try:
                    with suppress(DatabaseException):  # whatever is wrong, closing it tries and says so
                        write_frugally(self._client)
                finally:
                    self._client.close_connection()
