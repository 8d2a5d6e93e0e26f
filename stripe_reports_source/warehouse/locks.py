"""One load at a time per pipeline, where there is a common place for a lock.

In: a pipeline. Out: a lock that is held while `load_reports` works: on the working folder, on a DuckDB database, in
PostgreSQL. It spares work and waiting; tables and cursors come out right without it too (see `history`).
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dlt import Pipeline
from dlt.destinations.sql_client import SqlClientBase
from filelock import FileLock, Timeout

from .destinations import destination_type

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
POSTGRES_PATIENCE = 7200.0
"""Seconds to wait for PostgreSQL's lock: a connection pooler may keep one that nobody holds."""


@contextmanager
def pipeline_lock(pipeline: Pipeline) -> Iterator[None]:
    """Wait until no other `load_reports` works for the pipeline, then keep others out."""
    with ExitStack() as held:
        for path in _lock_files(pipeline):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            _wait_for(lambda lock=lock: _try_file(lock), pipeline, math.inf)  # type: ignore[misc]
            held.callback(lock.release)
        if destination_type(pipeline) == "postgres":
            client: SqlClientBase[Any] = held.enter_context(pipeline.sql_client())  # type: ignore[arg-type]
            number = int.from_bytes(hashlib.sha256(_identity(pipeline).encode()).digest()[:8], "big", signed=True)
            if _wait_for(lambda: _try_advisory(client, number), pipeline, POSTGRES_PATIENCE):
                held.callback(client.execute_sql, "SELECT pg_advisory_unlock(%s)", number)
        yield


def _wait_for(attempt: Callable[[], bool], pipeline: Pipeline, patience: float) -> bool:
    if attempt():
        return True
    logger.warning("another sync of the pipeline %r is at work; waiting for it", pipeline.pipeline_name)
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
        if attempt():
            return True
    logger.warning("going on without the lock of the pipeline %r after %s s", pipeline.pipeline_name, patience)
    return False


def _try_file(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _try_advisory(client: SqlClientBase[Any], number: int) -> bool:
    rows = client.execute_sql("SELECT pg_try_advisory_lock(%s)", number)
    return bool(rows and rows[0][0])


def _lock_files(pipeline: Pipeline) -> Iterator[Path]:
    yield Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.lock"
    if destination_type(pipeline) == "duckdb":
        database = str(getattr(pipeline.destination_client().config.credentials, "database", None) or ":memory:")
        if not database.startswith((":", "md:")):
            path = Path(database).absolute()
            yield path.with_name(f".{path.name}.lock")


def _identity(pipeline: Pipeline) -> str:
    return f"stripe_reports|{pipeline.dataset_name}|{pipeline.pipeline_name}"
