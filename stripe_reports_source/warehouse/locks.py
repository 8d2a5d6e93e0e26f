"""One load at a time per pipeline, where there is a common place for a lock; and how to wait for others' locks.

In: a pipeline. Out: a lock that is held while `load_reports` works: on the working folder, on a DuckDB database, in
PostgreSQL. It spares work and waiting; tables and cursors come out right without it too (see `forks` for the cursor,
`postgres_cells` and `duckdb_cells` for the rows: whatever two loads share is locked in the transaction that writes it).
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError
from dlt.destinations.sql_client import SqlClientBase
from filelock import FileLock, Timeout

from ..errors import WorkingFolderError
from .destinations import destination_type

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
POSTGRES_PATIENCE = 7200.0
"""Seconds to wait for PostgreSQL's lock: a connection pooler may keep one that is not in use."""
KEEP_ALIVE_SECONDS = 20.0
"""How often the connection that holds PostgreSQL's lock is used, so that it is not taken for idle."""
HOLDER = "'pid ' || a.pid || ', user ' || a.usename || coalesce(', application ' || nullif(a.application_name, ''), '')"
"""SQL that names a session `a` of `pg_stat_activity`."""


@contextmanager
def pipeline_lock(
    pipeline: Pipeline, mend: Callable[[], None] = lambda: None, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Wait until no other `load_reports` works for the pipeline, then keep others out.

    Args:
        pipeline: what is worked for.
        mend: called when the working folder is held, and before it is read to know what else is to be held.
        meanwhile: called before each wait.

    Raises:
        WorkingFolderError: a lock file cannot be made.
    """
    with ExitStack() as held:
        _hold(held, pipeline_file(pipeline, Path(pipeline.pipelines_dir).resolve()), pipeline, meanwhile)
        mend()
        database = duckdb_file(pipeline)
        if database is not None:
            _hold(held, database_file(database), pipeline, meanwhile)
        if destination_type(pipeline) == "postgres":
            held.enter_context(AdvisoryLock(pipeline).held(meanwhile))
        yield


def wait_for(
    attempt: Callable[[], bool],
    what: str,
    holder: Callable[[], str] = str,
    patience: float = math.inf,
    meanwhile: Callable[[], None] = lambda: None,
) -> bool:
    """Try until it works.

    Args:
        attempt: tries once, without waiting for long.
        what: is waited for; said once, in the log, after the first attempt has failed.
        holder: who has it, in words; asked once.
        patience: seconds.
        meanwhile: called once, before the wait.

    Returns:
        False where patience has ended.
    """
    if attempt():
        return True
    name = holder()
    logger.warning("%s%s; waiting for it", what, f" ({name})" if name else "")
    meanwhile()
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
        if attempt():
            return True
    return False


def lock_number(*names: str) -> int:
    """The number of PostgreSQL's advisory lock for something. Such locks are per database."""
    return int.from_bytes(hashlib.sha256("|".join(names).encode()).digest()[:8], "big", signed=True)


class AdvisoryLock:
    """PostgreSQL's lock for a pipeline, on a connection of its own that a thread keeps in use.

    Args:
        pipeline: whose syncs keep one another out.
        patience: seconds to wait for it.
        keep_alive: seconds between two uses of the connection.
    """

    def __init__(
        self, pipeline: Pipeline, patience: float = POSTGRES_PATIENCE, keep_alive: float = KEEP_ALIVE_SECONDS
    ) -> None:
        self._pipeline = pipeline
        self._patience = patience
        self._keep_alive = keep_alive
        self._number = lock_number("stripe_reports", str(pipeline.dataset_name), pipeline.pipeline_name)
        self._done = threading.Event()
        self._held = False

    @contextmanager
    def held(self, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold it, or go on without it once patience has ended. How the work in between ends is not changed.

        `meanwhile` is called before the wait.
        """
        with self._pipeline.sql_client() as client:
            what = sync_of(self._pipeline)
            self._held = wait_for(
                lambda: self._try(client), what, lambda: self._holder(client), self._patience, meanwhile
            )
            if not self._held:
                logger.warning("going on without the lock of the pipeline %r", self._pipeline.pipeline_name)
            keeper = threading.Thread(target=self._keep, args=(client,), name="stripe-reports-lock", daemon=True)
            keeper.start()
            try:
                yield
            finally:
                self._done.set()
                keeper.join()
                self._release(client)

    def holder(self) -> str:
        """The session that holds it now, in words; empty where none does."""
        with self._pipeline.sql_client() as client:
            return self._holder(client)

    def _try(self, client: SqlClientBase[Any]) -> bool:
        rows = client.execute_sql("SELECT pg_try_advisory_lock(%s)", self._number)
        return bool(rows and rows[0][0])

    def _holder(self, client: SqlClientBase[Any]) -> str:
        rows = client.execute_sql(
            f"SELECT {HOLDER} FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' "  # noqa: S608
            "AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = %s AND l.objsubid = 1",
            self._number,
        )
        return str(rows[0][0]) if rows else ""

    def _keep(self, client: SqlClientBase[Any]) -> None:
        while not self._done.wait(self._keep_alive):
            try:
                client.execute_sql("SELECT 1")
            except (DatabaseException, DestinationConnectionError) as error:
                self._take_again(client, error)

    def _take_again(self, client: SqlClientBase[Any], error: Exception) -> None:
        # dlt's client has opened another connection meanwhile, or will at the next try
        try:
            if client.native_connection is None:
                client.open_connection()
            self._held = self._try(client)
        except Exception:  # the server may be away; the load itself will say so
            self._held = False
        logger.warning(
            "the connection that held the lock of the pipeline %r was lost (%s); %s",
            self._pipeline.pipeline_name,
            str(error).strip().splitlines()[0],
            "the lock is taken again" if self._held else "going on without the lock",
        )

    def _release(self, client: SqlClientBase[Any]) -> None:
        if not self._held:
            return
        try:
            client.execute_sql("SELECT pg_advisory_unlock(%s)", self._number)
        except Exception as error:  # a lock that is gone needs no release, and hides nothing
            logger.warning(
                "the connection that held the lock of the pipeline %r was lost: %s",
                self._pipeline.pipeline_name,
                str(error).strip().splitlines()[0],
            )


def pipeline_file(pipeline: Pipeline, folder: Path) -> Path:
    """The file whose lock a load of a pipeline holds, in the folder where pipelines are."""
    return folder / f"{pipeline.pipeline_name}.lock"


def database_file(database: Path) -> Path:
    """The file whose lock a load into a DuckDB file holds."""
    return database.with_name(f".{database.name}.lock")


def is_held(file: Path) -> bool:
    """True if someone holds the lock of a file now."""
    if not file.exists():
        return False
    lock = FileLock(file)
    if not _try_file(lock):
        return True
    lock.release()
    return False


def sync_of(pipeline: Pipeline) -> str:
    """Who holds the locks of a pipeline, in words."""
    return f"another sync of the pipeline {pipeline.pipeline_name!r} is at work"


def _hold(held: ExitStack, path: Path, pipeline: Pipeline, meanwhile: Callable[[], None]) -> None:
    try:
        # `FileLock` waits for ever for a folder that is read-only or full
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise WorkingFolderError(
            f"the lock file {path} cannot be made ({error.strerror}), and without it two syncs may work at once; "
            "give permission to write there, or choose another place."
        ) from None
    lock = FileLock(path)
    wait_for(lambda: _try_file(lock), sync_of(pipeline), meanwhile=meanwhile)
    held.callback(lock.release)


def _try_file(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def duckdb_file(pipeline: Pipeline) -> Path | None:
    """The file of a DuckDB destination, where all links to it lead; None for other destinations, or in memory."""
    if destination_type(pipeline) != "duckdb":
        return None
    database = str(getattr(pipeline.destination_client().config.credentials, "database", None) or ":memory:")
    return None if database.startswith((":", "md:")) else Path(database).resolve()
