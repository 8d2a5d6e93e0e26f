"""DuckDB lets one process, and one database in it, into a file that is written: wait for it, and say who has it.

In: dlt's client for a DuckDB file. Out: the same, whose connections are waited for, and which has room to commit.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
from dlt import Pipeline
from dlt.common.exceptions import TerminalException
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from ..errors import DestinationBusy
from .duckdb_memory import Memory, when_any_is_free
from .locks import wait_for

PATIENCE = 600.0
"""Seconds to wait for a file that another process has open, or another database of this one."""
_HOLDER = re.compile(r"Conflicting lock is held in (.*?)\.(?: |$)")


class FileBusy(DestinationBusy, TerminalException):
    """`DestinationBusy`, for dlt, which need not try again what has waited long enough."""


class PatientSqlClient(DuckDbSqlClient):
    """Opens a file when nobody else has it open any more."""

    patience = PATIENCE

    def __init__(self, usual: Any, memory: Memory) -> None:
        """As a client of dlt's is, within a limit that connections to one file share."""
        super().__init__(usual.dataset_name, usual.staging_dataset_name, usual.credentials, usual.capabilities)
        self.memory = memory

    def commit_transaction(self) -> None:
        """See dlt's; with all the memory there is, see `Memory`."""
        with self.memory.for_commit(self):
            super().commit_transaction()

    def rollback_transaction(self) -> None:
        """See dlt's, which goes on without it where there is no memory for it."""
        when_any_is_free(super().rollback_transaction)

    def close_connection(self) -> None:
        """See dlt's. A database that is not what its file says is not written."""
        if self.memory.spoiled and self._conn:
            with suppress(duckdb.Error):
                self._conn.execute("PRAGMA disable_checkpoint_on_shutdown")
        super().close_connection()

    def open_connection(self) -> duckdb.DuckDBPyConnection:
        """See dlt's.

        Raises:
            FileBusy: patience has ended.
        """
        file = Path(str(getattr(self.credentials, "database", "")))
        is_new = not file.exists()
        opened: list[duckdb.DuckDBPyConnection] = []
        holders: list[str] = []

        def attempt() -> bool:
            try:
                opened.append(super(PatientSqlClient, self).open_connection())
            except DestinationConnectionError as error:
                holder = holder_of_lock(error)
                if holder is None:
                    raise
                holders.append(holder)
                return False
            return True

        if not wait_for(attempt, f"the DuckDB file {file} is open elsewhere", lambda: holders[-1], self.patience):
            raise FileBusy(
                f"the DuckDB file {file} has been open in {holders[-1]} for more than {self.patience:.0f} s; "
                "close it there and sync again, nothing is lost."
            )
        if is_new and file.is_file():
            file.chmod(0o600)  # before it holds the first row
        return opened[0]


def holder_of_lock(error: DestinationConnectionError) -> str | None:
    """Which process has the file open, in DuckDB's words; None for an error that is about something else."""
    if "Unique file handle conflict" in str(error.inner_exc):  # a thread that is just closing it, or has it attached
        return "this process"
    if "Could not set lock on file" not in str(error.inner_exc):
        return None
    found = _HOLDER.search(str(error.inner_exc))
    return found[1] if found else "another process"


def refuse_busy(pipeline: Pipeline, file: Path) -> None:
    """Look whether a DuckDB file can be opened now.

    Raises:
        DestinationBusy: another process is writing it.
    """
    try:
        with pipeline.sql_client():
            pass
    except DestinationConnectionError as error:
        holder = holder_of_lock(error)
        if holder is None:
            raise
        raise DestinationBusy(f"the DuckDB file {file} is open in {holder}; close it there, or try again.") from None
