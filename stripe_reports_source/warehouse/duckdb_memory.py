"""DuckDB with as little memory as a load or a look needs, however many rows there are.

In: a client of a DuckDB database, or of any other. Out: the same within limits, which grow where a statement cannot do
with them. Without a limit DuckDB takes most of the machine's memory. What it frees goes back to the system.
"""

from __future__ import annotations

import ctypes
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException

from .leftovers import SPILL_FOLDER
from .locks import wait_for

logger = logging.getLogger(__name__)

T = TypeVar("T")

THREADS = 4
"""Threads at most: each holds some 120,000 rows of a table, and more of them write no faster to one disk."""
THREAD_BYTES = 40 << 20
"""For each thread of a look, or of a load into a table of some thirty columns; where it is not enough, the limit is
doubled."""
FEW_ROWS_BYTES = 24 << 20
"""For each thread, of a few thousand narrow rows: whatever DuckDB may have it uses, and the rest goes to disk."""
ROW_GROUP = 122_880
"""Rows that one thread writes at a time (duckdb.org/docs/stable/internals/storage)."""
COLUMN_BYTES = 1 << 20
"""For each column of a table that is filled by one thread: so much is pinned, however long the rows are (a tenth less
is too little for 209)."""
PATIENCE = 10.0
"""Seconds to wait for very little memory where other threads have all of it."""
MOST_LOAD_BYTES = 320 << 20
"""Up to which a load gets more threads than one."""
SMALL_FILE_BYTES = 16 << 20
"""Of a DuckDB file that is written without the method that costs most: it is tried for each column, however few rows
there are, and makes large files smaller only."""
COSTLY_METHOD = "fsst,dict_fsst"
"""By the names that DuckDB 1 and 2 have for it."""
_M_MMAP_THRESHOLD, _MMAP_FROM = -3, 128 << 10
_NO_ROOM = re.compile(r"failed to (?:pin|allocate|offload)|could not allocate|out of memory", re.IGNORECASE)
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@dataclass(frozen=True)
class Room:
    """Memory to begin with; see `with_more_memory`.

    Args:
        per_thread: bytes that each thread gets at least.
        columns: of the widest table that is filled; 0 where none is.
        rows: of the longest file that fills one; None where that is not known.
        per_column: bytes for each of the columns.
    """

    per_thread: int = THREAD_BYTES
    columns: int = 0
    rows: int | None = None
    per_column: int = COLUMN_BYTES

    def of(self, threads: int) -> tuple[int, int]:
        """How many of so many threads there is work and room for, and the bytes of all.

        Rows that threads have beside one another are brought together at the end, which takes them twice.
        """

        def needed(by: int) -> int:
            return self.columns * self.per_column * (16 * by - 6) // 10

        least = threads * self.per_thread
        if self.rows is not None:
            threads = min(threads, max(1, -(-self.rows // ROW_GROUP)))
        while threads > 1 and needed(threads) > MOST_LOAD_BYTES:
            threads -= 1
        return threads, max(least, needed(threads))


class Memory:
    """What DuckDB may use now, and at most, while it gets little; safe in threads, whose limit is one.

    DuckDB 1.5 does not take back all of a commit that fails in the middle for want of memory: columns of a table are of
    different lengths then, and what is committed later stands in other rows than its own (2.0.1 does not fail there).
    So a commit gets all there is. Where that is too little, nothing is committed any more, nor written, until the
    database was closed. Changing the limit takes a little too: where other threads have all of it, a commit is not
    begun.
    """

    def __init__(self) -> None:
        self.spoiled: DatabaseException | None = None
        """The commit that has failed."""
        self.allowed = self._most = 0
        self._changes = threading.Lock()
        self._commits = 0

    def begin(self, client: Any, allowed: int, most: int) -> None:
        """Allow so many bytes, and as many at most where they do not suffice; `end` before the old limit is set."""
        with self._changes:
            self.allowed, self._most = allowed, most
            _limit_memory(client, allowed)

    def end(self) -> None:
        """Leave DuckDB its limit."""
        with self._changes:
            self.allowed = self._most = 0

    def grow(self, client: Any, beyond: int, what: str) -> bool:
        """Allow twice as much as was too little, unless there is more already; False where all there is was."""

        def more() -> None:
            with self._changes:
                if self.allowed > beyond:  # someone else has made room meanwhile
                    return
                wanted = min(2 * beyond, self._most)
                if not self._commits:
                    _set(client, {"memory_limit": f"{wanted} bytes"})
                logger.info("%s: more memory than %s bytes is needed", what, beyond)
                self.allowed = wanted

        if beyond >= self._most:
            return False
        when_any_is_free(more)
        return True

    @contextmanager
    def for_commit(self, client: Any) -> Iterator[None]:
        """All there is, until the end of the block.

        Raises:
            DatabaseException: an earlier commit has failed for want of memory; or all there is could not be had, and
                nothing is committed.
        """
        if self.spoiled is not None:
            raise self.spoiled
        with self._changes:
            if not self._commits and self.allowed < self._most:
                _set(client, {"memory_limit": f"{self._most} bytes"})
            self._commits += 1
        try:
            yield
        except DatabaseException as error:
            if _NO_ROOM.search(str(error.__cause__)):
                self.spoiled = error
            raise
        finally:
            with self._changes:
                self._commits -= 1
                if not self._commits and self.allowed < self._most:
                    _limit_memory(client, self.allowed)


@contextmanager
def frugal(client: Any, pipeline: Pipeline, room: Room | None = None) -> Iterator[Memory]:
    """DuckDB with little memory until the end of the block, for all connections of this process to the database.

    Args:
        client: dlt's, with an open connection.
        pipeline: whose working folder takes what does not fit.
        room: how much memory; None is that of a look.

    Yields:
        The limit, which is the client's own if it has one.
    """
    _give_back_what_is_freed()
    settings = ("threads", "memory_limit", "preserve_insertion_order", "temp_directory")
    found = client.execute_sql(f"SELECT name, value FROM duckdb_settings() WHERE name IN {settings}")  # noqa: S608
    before = {str(row[0]): str(row[1]) for row in found or ()}
    threads, wanted = (room or Room()).of(min(int(before["threads"]), THREADS))
    most = _bytes(before["memory_limit"])
    memory = min(most, wanted)
    spill = before.pop("temp_directory")
    before["memory_limit"] = f"{most} bytes"
    folder = Path(pipeline.working_dir)
    folder.chmod(0o700)  # a look may be the first thing that is done in it
    limit = _limit_of(client)
    try:
        _spill_into(client, str(folder / SPILL_FOLDER))
        _set(client, {"threads": threads, "preserve_insertion_order": "false"})
        limit.begin(client, memory, most)
        yield limit
    finally:
        limit.end()
        # the database may be open elsewhere in this process, where these settings hold too
        when_any_is_free(partial(_set, client, before))
        _spill_into(client, spill)


def write_frugally(client: Any) -> None:
    """Write what a DuckDB file lacks: closing it would, with all threads, beside all that was read before.

    Args:
        client: dlt's, with an open connection.
    """
    if _limit_of(client).spoiled:
        return
    found = client.execute_sql(
        "SELECT wal_size <> '0 bytes', used_blocks * block_size, current_setting('threads'), "
        "current_setting('disabled_compression_methods') FROM pragma_database_size() "
        "WHERE database_name = current_database()"
    )
    if not found:  # of two databases of one name, as of a file that is named as its dataset, it may show the other one
        return
    [[unwritten, written, threads, disabled]] = found
    if not unwritten:
        return
    before = {
        "memory_limit": f"{_memory_limit(client)} bytes",
        "threads": threads,
        "disabled_compression_methods": disabled,
    }
    without = f"{disabled},{COSTLY_METHOD}" if written < SMALL_FILE_BYTES else disabled
    try:
        _limit_memory(client, FEW_ROWS_BYTES)
        # the checkpoint itself gets what it needs
        _set(client, {**before, "threads": 1, "disabled_compression_methods": without})
        client.execute_sql("CHECKPOINT")
    finally:
        _set(client, before)


def with_more_memory(client: Any, limit: Memory, attempt: Callable[[], T], what: str) -> T:
    """Do something within DuckDB's limit, and again with twice as much for as long as that is too little.

    How much the rows of a table need depends on their width, which is only known when they are there.

    Args:
        client: dlt's, with an open connection.
        limit: of a `frugal` block.
        attempt: what to do; it may be done several times.
        what: for the log.
    """
    while True:
        allowed = limit.allowed
        try:
            return attempt()
        except DatabaseException as error:
            # a commit that had too little is not tried again, see `Memory`
            if limit.spoiled or not _had_no_room(error) or not limit.grow(client, allowed, what):
                raise


def when_any_is_free(attempt: Callable[[], None]) -> None:
    """Do something that takes very little memory, all of which the statements of other threads may have until they end.

    Args:
        attempt: what to do; it may be done several times.
    """

    def done() -> bool:
        try:
            attempt()
        except DatabaseException as error:
            if not _had_no_room(error):
                raise
            return False
        return True

    if not wait_for(done, "other threads have all of DuckDB's memory", patience=PATIENCE):
        attempt()


def _give_back_what_is_freed() -> None:
    """Let glibc go on to take large blocks from the system one by one, as it does at first.

    Once such a block was freed, glibc takes those of its size from its heaps, of which it gives back little:
    each load package would leave some megabytes behind. Other systems have no such setting.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM)


def _spill_into(client: Any, folder: str) -> None:
    with suppress(DatabaseException):  # DuckDB keeps the folder that it has used already
        _set(client, {"temp_directory": folder.replace("'", "''")})


def _limit_memory(client: Any, allowed: int) -> None:
    with suppress(DatabaseException):  # what is in use stays, and so does the limit then
        _set(client, {"memory_limit": f"{allowed} bytes"})


def _had_no_room(error: DatabaseException) -> bool:
    return isinstance(error.__cause__, duckdb.OutOfMemoryException)


def _set(client: Any, settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        client.execute_sql(f"SET GLOBAL {name} = '{value}'")


def _limit_of(client: Any) -> Memory:
    """That of our own clients; dlt's have none."""
    return getattr(client, "memory", None) or Memory()


def _memory_limit(client: Any) -> int:
    return _bytes(client.execute_sql("SELECT current_setting('memory_limit')")[0][0])


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([\d.]+) (\w+)", text)
    # DuckDB shows one digit and cuts off the others: without a little more, each time around would take a digit away
    return int((float(match[1]) + 0.001) * _UNITS[match[2]]) if match and match[2] in _UNITS else 1 << 62
