"""A DuckDB file that is kept open from one question to the next: opening it costs more than most of them.

In: a pipeline whose load is at work. Out: an open database, which the connections of this process share. It is let go
whenever the load waits, because no other process can read or write the file meanwhile.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.destinations.sql_client import SqlClientBase

from .locks import duckdb_file


class KeptOpen:
    """See the module. Does nothing for other destinations, and without a pipeline. Safe in threads."""

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self._pipeline = pipeline
        self._client: SqlClientBase[Any] | None = None
        self._changes = threading.Lock()

    def keep(self) -> None:
        """Open the database, unless it is open, and keep it so.

        Raises:
            DestinationBusy: another process has it open for too long.
        """
        with self._changes:
            if self._client is None and self._pipeline is not None and duckdb_file(self._pipeline) is not None:
                client = self._pipeline.sql_client()
                with suppress(DestinationConnectionError):  # whoever asks the first question says so
                    client.open_connection()
                    self._client = client

    def let_go(self) -> None:
        """Close it when the questions that are being asked have been answered."""
        with self._changes:
            client, self._client = self._client, None
            if client is not None:
                client.close_connection()
